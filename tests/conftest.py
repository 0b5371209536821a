"""What every test may lean on: one Azurite for the session, and a simulated workspace with its identity endpoint."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from local.azurite import Azurite
from local.workspace import SimulatedWorkspace
from tests.rig import ManualClock, Rig


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of a running Azurite. Tests keep apart by workspace name, which is the partition."""
    with Azurite() as running:
        yield running.connection_string


@pytest.fixture
def clock() -> ManualClock:
    """Time that passes only when somebody sleeps, or when the test says so."""
    return ManualClock()


@pytest.fixture
def workspace(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedWorkspace]:
    """A workspace in the test's own time; its states change only when told to."""
    with SimulatedWorkspace(pace_seconds=None, now=lambda: clock.now().timestamp()) as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def rig(azurite: str, workspace: SimulatedWorkspace, clock: ManualClock) -> Rig:
    """The core wired to that workspace, in a partition of its own."""
    return Rig(azurite, {f"test-{uuid.uuid4().hex[:12]}": workspace.url}, workspace, clock)
