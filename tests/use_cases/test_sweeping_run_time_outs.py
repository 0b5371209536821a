"""Time limits of a run: its time-out, and a stop that takes long."""

from __future__ import annotations

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.wire.run_document import message_of
from polysync_core.values.run import Status


@pytest.mark.parametrize(
    ("body", "setting"), [({"timeoutMinutes": 5}, ""), ({}, "5"), ({"timeoutMinutes": 5}, "1")], ids=str
)
def test_past_its_time_a_run_is_stopped_and_says_so(
    azurite: str, rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, body: dict[str, object], setting: str
) -> None:
    limited = Rig(azurite, {rig.name: workspace.url}, workspace, clock, POLYSYNC_RUN_TIMEOUT_MINUTES=setting)
    pipeline_id = workspace.add_pipeline()
    run_id = limited.start(pipeline_id, body).run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    clock.pass_time(minutes=4, seconds=59)
    limited.sweep()
    assert limited.stored(run_id).cancel_requested_at is None
    clock.pass_time(seconds=1)
    limited.sweep()
    assert workspace.updates_of(pipeline_id)[0].state == "STOPPING"
    limited.sweep()
    workspace.advance(pipeline_id)
    limited.sweep()
    run = limited.stored(run_id)
    assert run.error is not None
    assert (status_of_run(run), run.error.code) == (Status.CANCELLED, "RunTimedOut")


def test_a_read_past_the_time_out_asks_for_the_stop_itself(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id, {"timeoutMinutes": 5}).run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    clock.pass_time(minutes=6)
    assert rig.read(run_id).run.cancel_requested_at is not None
    assert workspace.updates_of(pipeline_id)[0].state == "STOPPING"


def test_a_run_that_completes_in_spite_of_its_time_out_is_a_success(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id, {"timeoutMinutes": 1}).run.run_id
    clock.pass_time(minutes=2)
    rig.sweep()
    workspace.set_state(pipeline_id, None, "COMPLETED")
    rig.sweep()
    run = rig.stored(run_id)
    assert (status_of_run(run), run.error) == (Status.SUCCESS, None)


def test_an_update_that_was_only_joined_is_not_stopped(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.start_elsewhere(pipeline_id)
    rig.start(pipeline_id, {"onConflict": "attach", "timeoutMinutes": 1})
    clock.pass_time(hours=1)
    rig.sweep()
    assert workspace.updates_of(pipeline_id)[0].state == "CREATED"


def test_the_time_out_of_a_start_that_a_sweep_settles_is_kept(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    started = rig.start(pipeline_id, {"timeoutMinutes": 5, "followRetries": True})
    assert started.run.timeout_at is not None
    assert started.run.follow_retries


def test_a_long_stop_says_that_it_is_normal(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    rig.cancel(run_id)
    rig.sweep()
    assert "continuous" not in message_of(rig.stored(run_id), clock.now(), None)
    clock.pass_time(minutes=25)
    message = message_of(rig.stored(run_id), clock.now(), None)
    assert "stopping for 25 minutes; for a continuous pipeline that is normal" in message
