"""For the tests of callbacks: a receiver, and the core with leave to call it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from local.receiver import Receiver
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from tests.rig import ManualClock, Rig

RigOf = Callable[..., Rig]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def rig_of(azurite: str, workspace: SimulatedWorkspace, clock: ManualClock) -> RigOf:
    """Makes the core in a partition of its own (or in the one of `name`), which may call these receivers."""

    def make(*receivers: Receiver, name: str | None = None, watch: Clock = clock, **settings: str) -> Rig:
        settings = {"POLYSYNC_CALLBACK_HOSTS": ",".join(receiver.host for receiver in receivers), **settings}
        return Rig(azurite, {name or f"test-{uuid.uuid4().hex[:12]}": workspace.url}, workspace, watch, **settings)

    return make
