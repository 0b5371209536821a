"""The bounds of a sweep: storage without responses, slow looks, many starts in doubt, many unreadable rows."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from local.faults import Fault, FaultPlan, FaultProxy, storage_label
from local.rig import Rig
from local.seeding import put_rows, track_running
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.rules.decisions import budgets
from polysync_core.use_cases.workspace_sweep import WorkspaceSweep
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import StorageUnavailable
from polysync_core.values.run import Reservation


@pytest.fixture
def plan() -> FaultPlan:
    return FaultPlan()


@pytest.fixture
def real_time(azurite: str, plan: FaultPlan, workspace: SimulatedWorkspace) -> Iterator[Rig]:
    """A rig in real time whose storage is behind a fault proxy."""
    direct = azurite.partition("TableEndpoint=")[2].rpartition("/")[0]
    with FaultProxy(direct, plan, label=storage_label) as proxy:
        name = f"test-{uuid.uuid4().hex[:12]}"
        yield Rig(azurite.replace(direct, proxy.url), {name: workspace.url}, workspace, Clock())


@pytest.fixture
def direct(azurite: str, real_time: Rig, workspace: SimulatedWorkspace) -> Rig:
    """A rig on the same partition without the proxy."""
    return Rig(azurite, {real_time.name: workspace.url}, workspace, Clock())


def _sweep(rig: Rig) -> float:
    began = time.monotonic()
    rig.sweep()
    return time.monotonic() - began


def _leave_behind(rig: Rig, pipeline_ids: Sequence[str]) -> None:
    """Write a reservation of each pipeline that is an hour old and has no known outcome."""
    for pipeline_id in pipeline_ids:
        reservation = Reservation(
            pipeline_id=pipeline_id,
            owner="o",
            reserved_at=rig.clock.now() - timedelta(hours=1),
            full_refresh=False,
        )
        assert rig.ws.runs.reserve(reservation, None) is not None


def test_a_sweep_over_silent_storage_ends_in_time(
    real_time: Rig, workspace: SimulatedWorkspace, plan: FaultPlan
) -> None:
    runs = track_running(real_time, workspace, workspace.add_pipelines(40))
    for run in runs:
        workspace.set_state(run.run_id.pipeline_id, None, "COMPLETED")
    plan.add(Fault("delay", seconds=60, times=None))
    sweep = WorkspaceSweep(real_time.ws, real_time.settings.sweep_limits, None, time.monotonic())
    began = time.monotonic()
    with storage_deadline(Deadline.after(real_time.clock, budgets.SWEEP_WORKSPACE)), pytest.raises(StorageUnavailable):
        sweep.run()
    assert time.monotonic() - began < 12, "by itself, not only for whoever waits for it"


def test_a_sweep_whose_batches_get_no_answer_ends_in_time_and_is_written_down(
    real_time: Rig, workspace: SimulatedWorkspace, plan: FaultPlan
) -> None:
    runs = track_running(real_time, workspace, workspace.add_pipelines(40))
    for run in runs:
        workspace.set_state(run.run_id.pipeline_id, None, "COMPLETED")
    plan.add(Fault("delay", label="POST $batch*", seconds=60, times=None))
    began = time.monotonic()
    report = real_time.sweep()
    assert time.monotonic() - began < 12
    assert (report.finished, report.failed) == (0, 40)
    plan.clear()
    assert real_time.sweep().finished == 40


def test_runs_are_looked_at_side_by_side(real_time: Rig, workspace: SimulatedWorkspace) -> None:
    track_running(real_time, workspace, workspace.add_pipelines(32))
    workspace.add_fault("status", method="GET", route="/pipelines", status=403, times=None)
    workspace.add_fault("delay", method="GET", route="/pipelines/{id}/updates/{uid}", seconds=1, times=None)
    report = real_time.sweep()
    assert (report.active, report.failed) == (32, 0)


def test_starts_that_take_long_to_settle_hold_up_no_look_and_each_has_its_turn(
    real_time: Rig, workspace: SimulatedWorkspace
) -> None:
    (run,) = track_running(real_time, workspace, workspace.add_pipelines(1))
    workspace.set_state(run.run_id.pipeline_id, None, "COMPLETED")
    store = real_time.ws.runs
    _leave_behind(real_time, workspace.add_pipelines(60))
    workspace.add_fault("delay", method="GET", route="/pipelines/{id}/updates", seconds=1, times=None)
    assert real_time.sweep().finished == 1
    left = len(store.list_reservations().rows)
    assert 0 < left < 60
    for _ in range(2):
        real_time.sweep()
    assert store.list_reservations().rows == ()


def test_starts_that_never_settle_leave_the_others_their_turn(real_time: Rig, workspace: SimulatedWorkspace) -> None:
    store = real_time.ws.runs
    workspace.add_fault("hang", method="GET", route="/pipelines/{id}/updates", seconds=60, times=4)
    pipeline_ids = sorted(workspace.add_pipelines(12))
    _leave_behind(real_time, pipeline_ids)
    assert _sweep(real_time) < 12
    assert len(store.list_reservations().rows) == 12
    last = store.last_sweep()
    assert last is not None
    assert last.upkeep.settled_after == pipeline_ids[3]


def test_however_many_rows_are_unreadable_the_sweep_is_written_down(
    direct: Rig, workspace: SimulatedWorkspace, caplog: pytest.LogCaptureFixture
) -> None:
    put_rows(direct, [(f"active|garbage:{number:04d}", {"runId": 7}) for number in range(3_000)])
    runs = track_running(direct, workspace, workspace.add_pipelines(1))
    put_rows(direct, [(f"active|{runs[0].run_id}", {"run0": "x"})])
    report = direct.sweep()
    assert (report.unreadable, report.failed) == (3_001, 0)
    assert caplog.text.count("correct or delete this row") == 20
    assert f"PartitionKey {direct.partition}, RowKey active|" in caplog.text
    last = direct.ws.runs.last_sweep()
    assert last is not None
    assert (last.report, last.unreadable_pipelines[-1]) == (report, "garbage")


def test_updates_that_gave_no_answer_hold_up_no_others(real_time: Rig, workspace: SimulatedWorkspace) -> None:
    silent, others = workspace.add_pipelines(16), workspace.add_pipelines(20)
    track_running(real_time, workspace, [*silent, *others])
    workspace.add_fault("status", method="GET", route="/pipelines", status=403, times=None)
    for pipeline_id in silent:
        workspace.add_fault("hang", method="GET", pipeline_id=pipeline_id, seconds=60, times=None)
    real_time.sweep()  # which of them came first in this one is chance
    for pipeline_id in others:
        workspace.set_state(pipeline_id, None, "COMPLETED")
    real_time.sweep()
    assert {run_id.split(":")[0] for run_id in real_time.active_ids()} == {*silent}
    last = real_time.ws.runs.last_sweep()
    assert last is not None
    assert {run_id.split(":")[0] for run_id in last.no_answer} <= {*silent}
