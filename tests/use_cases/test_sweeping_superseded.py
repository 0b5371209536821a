"""A state that Polysync does not know, while the pipeline goes on with a newer update."""

from __future__ import annotations

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions.run_states import outcome_code
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run

STOPS = ("/pipelines/{id}/updates/{uid}/stop", "/pipelines/{id}/stop")


def _go_on(workspace: SimulatedWorkspace, pipeline_id: str, state: str) -> str:
    """The newest update stays in `state`, and Databricks begins a newer one. Returns the newer one's id."""
    workspace.set_state(pipeline_id, None, state)
    return workspace.begin_beside(pipeline_id)


def _sweep_for(rig: Rig, clock: ManualClock, run_id: RunId, *, minutes: float) -> Run:
    for _ in range(int(minutes * 2)):
        clock.pass_time(seconds=30)
        rig.sweep()
    return rig.stored(run_id)


@pytest.mark.parametrize("others", [0, 5], ids=["looked at singly", "looked at through the listing"])
def test_a_run_in_an_unknown_state_ends_10_minutes_after_a_newer_update_was_seen(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, others: int
) -> None:
    for pipeline_id in workspace.add_pipelines(others):
        rig.start(pipeline_id)
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id, {"timeoutMinutes": 5}).run.run_id
    workspace.configure(has_update_stop=False)
    newer = _go_on(workspace, pipeline_id, "SKIPPED")
    assert not _sweep_for(rig, clock, run_id, minutes=9.5).is_finished
    run = _sweep_for(rig, clock, run_id, minutes=1.5)
    assert run.error is not None
    assert (run.is_finished, run.state, run.error.code, outcome_code(run)) == (True, "SKIPPED", "RunSuperseded", 410)
    assert "SKIPPED" in run.error.message
    assert workspace.calls("POST", STOPS[1]) == [], "the pipeline's stop would stop the stranger's update"
    assert workspace.updates_of(pipeline_id)[-1].update_id == newer


def test_a_known_state_never_ends_this_way(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    _go_on(workspace, pipeline_id, "RUNNING")
    assert not _sweep_for(rig, clock, run_id, minutes=30).is_finished


def test_an_unknown_state_without_a_newer_update_stays_active(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "RESYNCING")
    assert not _sweep_for(rig, clock, run_id, minutes=30).is_finished


def test_the_10_minutes_begin_again_when_the_state_changes(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    _go_on(workspace, pipeline_id, "SKIPPED")
    assert not _sweep_for(rig, clock, run_id, minutes=8).is_finished
    workspace.set_state(pipeline_id, run_id.update_id, "RESYNCING")
    assert not _sweep_for(rig, clock, run_id, minutes=8).is_finished
    workspace.set_state(pipeline_id, run_id.update_id, "COMPLETED")
    run = _sweep_for(rig, clock, run_id, minutes=1)
    assert (run.state, run.error) == ("COMPLETED", None)
