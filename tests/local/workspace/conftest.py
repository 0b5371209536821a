"""The simulated workspace that all tests of this folder use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.workspace import SimulatedWorkspace
from tests.local.workspace.raw_http import Caller, SimulatedTime


@pytest.fixture
def now() -> SimulatedTime:
    return SimulatedTime()


@pytest.fixture
def workspace(now: SimulatedTime) -> Iterator[SimulatedWorkspace]:
    with SimulatedWorkspace(now=now) as simulated:
        yield simulated


@pytest.fixture
def call(workspace: SimulatedWorkspace) -> Iterator[Caller]:
    caller = Caller(workspace)
    yield caller
    caller.session.close()
