"""The app's log is captured as Azure keeps it: at the levels that host.json sets."""

import logging

import pytest


@pytest.fixture(autouse=True)
def _log_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="azure")
    caplog.set_level(logging.INFO)
