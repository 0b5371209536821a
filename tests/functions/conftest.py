"""Captures the app's log at the lowest level that Azure can keep: PYTHON_ENABLE_DEBUG_LOGGING."""

import logging

import pytest


@pytest.fixture(autouse=True)
def _log_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
