"""The fixtures of all tests: one Azurite for the session, and a simulated workspace with its identity endpoint."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from local.azurite import Azurite
from local.faults import FaultPlan, FaultProxy, storage_label
from local.receiver import Receiver
from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of a running Azurite. All tests share it, and each uses partitions of its own."""
    with Azurite() as running:
        yield running.connection_string


@pytest.fixture
def clock() -> ManualClock:
    """A clock that only a sleep or the test moves."""
    return ManualClock()


@pytest.fixture
def workspace(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedWorkspace]:
    """A workspace on the test's clock. Its states change only by control methods."""
    with SimulatedWorkspace(pace_seconds=None, now=lambda: clock.now().timestamp()) as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def rig(azurite: str, workspace: SimulatedWorkspace, clock: ManualClock) -> Rig:
    """The core, wired to the `workspace` fixture."""
    return Rig(azurite, {f"test-{uuid.uuid4().hex[:12]}": workspace.url}, workspace, clock)


@pytest.fixture
def plan() -> FaultPlan:
    """The faults of the storage of `behind_proxy`, and its calls."""
    return FaultPlan()


@pytest.fixture
def behind_proxy(azurite: str, plan: FaultPlan, workspace: SimulatedWorkspace, clock: ManualClock) -> Iterator[Rig]:
    """The core whose storage is behind a fault proxy."""
    direct = azurite.partition("TableEndpoint=")[2].rpartition("/")[0]
    with FaultProxy(direct, plan, label=storage_label) as proxy:
        name = f"test-{uuid.uuid4().hex[:12]}"
        yield Rig(azurite.replace(direct, proxy.url), {name: workspace.url}, workspace, clock)


RigOf = Callable[..., Rig]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def rig_of(azurite: str, workspace: SimulatedWorkspace, clock: ManualClock) -> RigOf:
    """Return a function that wires the core to that workspace. The receivers' hosts are allowed for callbacks.

    `name` is the workspace's name in the settings, by default a new one.
    """

    def make(*receivers: Receiver, name: str | None = None, watch: Clock = clock, **settings: str) -> Rig:
        settings = {"POLYSYNC_CALLBACK_HOSTS": ",".join(receiver.host for receiver in receivers), **settings}
        return Rig(azurite, {name or f"test-{uuid.uuid4().hex[:12]}": workspace.url}, workspace, watch, **settings)

    return make
