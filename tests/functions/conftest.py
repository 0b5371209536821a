"""Serves the app to the tests of this folder, once in each mode, and captures its log.

A test that uses `serve` or `app` runs twice: callers have a function key, and callers sign in with Entra ID. Its body
takes the credential from ServedApp. `only_with_keys` leaves a test in one mode.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator

import pytest

from local.entra import SimulatedEntra
from polysync_core.rules.wire.entra_settings import ENTRA
from tests.functions.app import MODES, Serve, ServedApp, served


@pytest.fixture(autouse=True)
def _log_levels(caplog: pytest.LogCaptureFixture) -> None:
    """The lowest level that Azure can keep: PYTHON_ENABLE_DEBUG_LOGGING."""
    caplog.set_level(logging.DEBUG)


@pytest.fixture(scope="session")
def entra() -> Iterator[SimulatedEntra]:
    """The tenant whose tokens the app of `serve` accepts. All tests share it, so none changes it."""
    with SimulatedEntra() as running:
        yield running


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Who lets callers in: a value of POLYSYNC_CALLERS."""
    return str(request.param)


@pytest.fixture(scope="module")
def sign_in(mode: str, entra: SimulatedEntra) -> dict[str, str]:
    """The settings of this mode. With function keys there are none."""
    return entra.environ() if mode == ENTRA else {}


@pytest.fixture(scope="module")
def serve(mode: str, azurite: str, entra: SimulatedEntra) -> Serve:
    """Return a function that serves the app in this mode: `with serve(POLYSYNC_PUBLIC_URL=…) as app`."""
    return functools.partial(served, azurite, entra if mode == ENTRA else None)


@pytest.fixture(scope="module")
def app(serve: Serve) -> Iterator[ServedApp]:
    """The app with the default settings. A module that needs others has a fixture of this name."""
    with serve() as running:
        yield running
