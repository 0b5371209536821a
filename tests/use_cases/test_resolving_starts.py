"""Starts without an answer: what proves that an update was started, and what does not."""

from __future__ import annotations

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.values.errors import StartUnknown

UPDATES, UPDATE = "/pipelines/{id}/updates", "/pipelines/{id}/updates/{uid}"


def test_an_empty_listing_that_says_nothing_does_not_prove_that_nothing_was_started(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="after")
    workspace.add_fault("garbage", method="GET", route=UPDATES, times=None, status=200, body="")
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id, key="k")
    for _ in range(14):
        clock.pass_time(seconds=15)
        rig.sweep()
    assert rig.is_reserved(pipeline_id)
    workspace.clear_faults()
    rig.sweep()
    (update,) = workspace.updates_of(pipeline_id)
    assert rig.active_ids() == {f"{pipeline_id}:{update.update_id}"}
