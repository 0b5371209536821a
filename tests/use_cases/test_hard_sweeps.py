"""Sweeps that are made hard: listings that crawl or fail, rows that cannot be read, reads that fail once."""

from __future__ import annotations

from typing import Any

import pytest

from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.rules.rows.run_entity import RUN
from polysync_core.use_cases import checking
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import DatabricksUnreachable, RowUnreadable
from tests.rig import ManualClock, Rig
from tests.use_cases.seeding import delete_row, put_row, track_running


def _finish(workspace: SimulatedWorkspace, pipeline_ids: list[str]) -> None:
    for pipeline_id in pipeline_ids:
        workspace.set_state(pipeline_id, None, "COMPLETED")


def test_a_listing_that_crawls_does_not_keep_runs_from_being_swept(
    azurite: str, rig: Rig, workspace: SimulatedWorkspace
) -> None:
    real_time = Rig(azurite, {rig.name: workspace.url}, workspace, Clock())
    pipeline_ids = workspace.add_pipelines(1_300)
    track_running(rig, workspace, pipeline_ids[:20])
    _finish(workspace, pipeline_ids[:20])
    workspace.add_fault("delay", method="GET", route="/pipelines", seconds=0.8, times=None)
    report = real_time.sweep()
    assert (report.finished, report.failed) == (20, 0)


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 500}, {"kind": "reset"}, {"kind": "garbage", "status": 200, "body": "["}]
)
def test_a_listing_that_fails_leaves_the_runs_to_be_looked_at_one_by_one(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, fault: dict[str, Any]
) -> None:
    pipeline_ids = workspace.add_pipelines(20)
    track_running(rig, workspace, pipeline_ids)
    _finish(workspace, pipeline_ids[:10])
    workspace.add_fault(method="GET", route="/pipelines", times=None, **fault)
    assert rig.sweep().finished == 10
    _finish(workspace, pipeline_ids[10:])
    workspace.clear_calls()
    clock.pass_time(seconds=15)
    assert rig.sweep().finished == 10
    assert workspace.calls("GET", "/pipelines") == [], "it is not tried again at once"


def test_a_workspace_that_nobody_could_look_at_for_five_minutes_is_unhealthy(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    rig.start(workspace.add_pipeline())
    workspace.down()
    for _ in range(21):
        rig.sweep()
        clock.pass_time(seconds=15)
    checks = checking.check_all([rig.ws], rig.services.tokens, ())
    assert {check.name: check.ok for check in checks}[f"sweep {rig.name}"] is False
    workspace.up()
    rig.sweep()
    checks = checking.check_all([rig.ws], rig.services.tokens, ())
    assert all(check.ok for check in checks)


def test_an_unreadable_active_row_is_never_shown_as_fresh_and_is_left_to_a_person(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    _finish(workspace, [pipeline_id])
    put_row(rig, f"active|{run_id}", {"attempts": "{"})
    clock.pass_time(minutes=1)
    report = rig.sweep()
    assert (report.unreadable, report.finished) == (1, 0)
    last = rig.ws.runs.last_sweep()
    assert last is not None
    assert str(run_id) in last.not_seen
    clock.pass_time(days=1)
    assert rig.sweep().unreadable == 1
    put_row(rig, f"active|{run_id}", RUN.encode(rig.stored(run_id)))
    report = rig.sweep()
    assert (report.unreadable, report.finished) == (0, 1)


def test_an_unreadable_start_is_counted_and_keeps_its_pipeline_closed_until_a_person_deletes_it(
    azurite: str, rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    put_row(rig, f"starting|{pipeline_id}", {"reservedAt": "soon"})
    with pytest.raises(RowUnreadable, match="correct or delete that row"):
        rig.start(pipeline_id)
    assert rig.sweep().unreadable == 1
    with pytest.raises(RowUnreadable, match="correct or delete that row"):
        rig.start(pipeline_id, {"onConflict": "attach"}, key="k")
    clock.pass_time(days=365)
    rig.sweep()
    with pytest.raises(RowUnreadable, match="correct or delete that row"):
        rig.start(pipeline_id)
    assert workspace.updates_of(pipeline_id) == []
    delete_row(rig, f"starting|{pipeline_id}")
    rig.start(pipeline_id)
    assert rig.sweep().unreadable == 0


def test_a_read_that_fails_once_is_repeated(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    clock.pass_time(minutes=1)
    workspace.add_fault("status", method="GET", status=503)
    view = rig.read(run_id)
    assert (view.run.state, view.stale_since) == ("RUNNING", None)


def test_no_post_begins_when_the_token_took_too_long(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    client = rig.client(60)
    with pytest.raises(DatabricksUnreachable, match="nothing was sent"):
        client.start_update(pipeline_id, False, begins_by=Deadline.after(rig.clock, -0.1))
    assert workspace.updates_of(pipeline_id) == []
