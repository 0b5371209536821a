"""Transitions that share a batch: each run has its own outcome, whatever happens to the others or to the batch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from local.faults import Fault, FaultPlan
from local.rig import Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.values.errors import StorageUnavailable
from polysync_core.values.run import Attempt, Run
from polysync_core.values.stored import Locked


def _active(rig: Rig, workspace: SimulatedWorkspace, count: int) -> list[Locked[Run]]:
    track_running(rig, workspace, workspace.add_pipelines(count))
    return [*rig.ws.runs.list_active().rows]


def _ended(locked: Locked[Run], rig: Rig) -> tuple[Locked[Run], Run]:
    attempt = Attempt(update_id=locked.value.run_id.update_id, state="COMPLETED")
    return locked, replace(locked.value, attempts=(attempt,), finished_at=rig.clock.now())


def _batches(plan: FaultPlan) -> int:
    return len([call for call in plan.calls() if call.label.startswith("POST $batch")])


def test_seventy_ends_take_three_batches(behind_proxy: Rig, workspace: SimulatedWorkspace, plan: FaultPlan) -> None:
    active = _active(behind_proxy, workspace, 70)
    before = _batches(plan)
    saved = [*behind_proxy.ws.runs.save_transitions(_ended(locked, behind_proxy) for locked in active)]
    assert _batches(plan) - before == 3, "three rows a run, a hundred rows a batch"
    assert [(run.run_id, done) for run, done in saved] == [(locked.value.run_id, True) for locked in active]
    assert behind_proxy.active_ids() == set()
    assert all(behind_proxy.stored(locked.value.run_id).state == "COMPLETED" for locked in active)


def test_a_run_that_changed_meanwhile_stops_no_other_in_its_batch(rig: Rig, workspace: SimulatedWorkspace) -> None:
    active = _active(rig, workspace, 10)
    other = replace(active[4].value, pipeline_name="changed by another instance")
    assert rig.ws.runs.save_transition(active[4], other) is not None
    saved = [*rig.ws.runs.save_transitions(_ended(locked, rig) for locked in active)]
    assert [done for _, done in saved] == [number != 4 for number in range(10)]
    assert rig.active_ids() == {str(active[4].value.run_id)}
    assert rig.stored(active[4].value.run_id) == other


def test_a_batch_that_was_saved_without_an_answer_is_read_back(
    behind_proxy: Rig, workspace: SimulatedWorkspace, plan: FaultPlan
) -> None:
    active = _active(behind_proxy, workspace, 5)
    plan.add(Fault("reset", when="after", label="POST $batch*"))
    saved = [*behind_proxy.ws.runs.save_transitions(_ended(locked, behind_proxy) for locked in active)]
    assert [done for _, done in saved] == [True] * 5
    assert behind_proxy.active_ids() == set()


def test_of_batches_without_an_answer_nothing_is_said(
    behind_proxy: Rig, workspace: SimulatedWorkspace, plan: FaultPlan
) -> None:
    active = _active(behind_proxy, workspace, 40)
    plan.add(Fault("status", status=503, label="POST $batch*", after=1, times=None))
    saving = behind_proxy.ws.runs.save_transitions(_ended(locked, behind_proxy) for locked in active)
    saved = [next(saving) for _ in range(33)]
    assert all(done for _, done in saved)
    with pytest.raises(StorageUnavailable):
        next(saving)
    plan.clear()
    assert behind_proxy.active_ids() == {str(locked.value.run_id) for locked in active[33:]}
