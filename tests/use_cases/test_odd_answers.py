"""Answers of Databricks that are no answers: empty, about something else, without end."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.values.errors import DatabricksUnreachable, StartUnknown
from polysync_core.values.ids import RunId
from tests.rig import ManualClock, Rig

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


@pytest.mark.parametrize("other", [{"update_id": "another"}, {"pipeline_id": "another"}])
def test_an_answer_about_another_update_ends_no_run(
    rig: Rig, workspace: SimulatedWorkspace, other: dict[str, str]
) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    told = {"pipeline_id": run_id.pipeline_id, "update_id": run_id.update_id, "state": "COMPLETED", **other}
    workspace.add_fault("garbage", method="GET", route=UPDATE, status=200, body=json.dumps({"update": told}))
    assert rig.sweep().failed == 1
    assert not rig.stored(run_id).is_finished


@pytest.fixture
def real_time(azurite: str, workspace: SimulatedWorkspace) -> Rig:
    return Rig(azurite, {f"test-{uuid.uuid4().hex[:12]}": workspace.url}, workspace, Clock())


def _running(workspace: SimulatedWorkspace) -> RunId:
    pipeline_id = workspace.add_pipeline()
    return RunId(pipeline_id, workspace.start_elsewhere(pipeline_id))


def test_an_answer_that_trickles_ends_by_the_deadline(real_time: Rig, workspace: SimulatedWorkspace) -> None:
    run_id = _running(workspace)
    workspace.add_fault("trickle", method="GET", route=UPDATE, seconds=30)
    began_at = time.monotonic()
    with pytest.raises(DatabricksUnreachable):
        real_time.client(1.5).fetch_update(run_id)
    assert time.monotonic() - began_at < 10


@pytest.mark.parametrize(("megabytes", "is_read"), [(30, True), (33, False)])
def test_an_answer_is_read_up_to_32_mb(
    real_time: Rig, workspace: SimulatedWorkspace, megabytes: int, *, is_read: bool
) -> None:
    run_id = _running(workspace)
    told = json.dumps({"update": {"update_id": run_id.update_id}}) + " " * (megabytes << 20)
    workspace.add_fault("garbage", method="GET", route=UPDATE, status=200, body=told)
    client = real_time.client(20)
    if is_read:
        assert client.fetch_update(run_id).update_id == run_id.update_id
    else:
        with pytest.raises(DatabricksUnreachable):
            client.fetch_update(run_id)
