"""An unreadable row stops no other run, and does not release the pipeline that it holds."""

from __future__ import annotations

import pytest
from azure.data.tables import TableClient

from local.rig import ManualClock, Rig
from local.seeding import delete_row, put_row
from local.workspace import SimulatedWorkspace
from polysync_core.endpoints import run_endpoints as endpoints
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import encode_active
from polysync_core.rules.wire.http_contract import Call
from polysync_core.services import RUNS_TABLE
from polysync_core.values.errors import RowUnreadable, StartUnknown
from polysync_core.values.run import Status

START = "/pipelines/{id}/updates"
UNREADABLE = {"runId": 7}


def _start_unknown(rig: Rig, workspace: SimulatedWorkspace, pipeline_id: str, *, executed: bool) -> None:
    workspace.add_fault("reset", method="POST", route=START, when="after" if executed else "before")
    workspace.add_fault("status", method="GET", route=START, status=500, times=None)
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id, key="k")
    workspace.clear_faults()


def test_an_unreadable_row_of_the_next_update_holds_up_no_failed_run(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id, {"followRetries": True}).run.run_id
    workspace.set_state(pipeline_id, None, "FAILED")
    clock.pass_time(seconds=5)
    other = workspace.start_elsewhere(pipeline_id, cause="RETRY_ON_FAILURE")
    put_row(rig, f"run|{pipeline_id}:{other}", UNREADABLE)
    rig.sweep()
    run = rig.stored(run_id)
    assert (status_of_run(run), run.is_finished, len(run.attempts)) == (Status.FAILED, True, 1), "it counts as taken"


def test_an_unreadable_row_of_another_update_holds_up_no_settling(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    _start_unknown(rig, workspace, pipeline_id, executed=False)
    other = workspace.start_elsewhere(pipeline_id, cause="API_CALL")
    put_row(rig, f"run|{pipeline_id}:{other}", UNREADABLE)
    clock.pass_time(minutes=10)
    rig.sweep()
    assert not rig.is_reserved(pipeline_id)


def test_an_active_run_whose_row_is_unreadable_is_read_cancelled_and_finished_by_its_lock(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id, key="k").run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    rig.sweep()
    put_row(rig, f"run|{run_id}", UNREADABLE)
    assert rig.read(run_id).run.state == "RUNNING"
    assert rig.start(pipeline_id, key="k").run.run_id == run_id
    call = Call(method="POST", url="http://app.example/api/runs/x/cancel", route={"run_id": str(run_id)})
    assert endpoints.cancel_run(call, rig.services).status == 202
    put_row(rig, f"run|{run_id}", {}, replace=True)
    workspace.set_state(pipeline_id, None, "CANCELED")
    rig.sweep()
    assert status_of_run(rig.stored(run_id)) is Status.CANCELLED, "its rows are whole again"


@pytest.mark.parametrize("columns", [{}, UNREADABLE, {"aliasOf": "x"}, {"aliasOf": "run|gone:gone"}], ids=str)
def test_a_finished_run_whose_row_is_unreadable_is_unreadable_never_unknown_and_its_key_stays_used(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, columns: dict[str, object]
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id, key="k").run.run_id
    workspace.set_state(pipeline_id, None, "COMPLETED")
    rig.sweep()
    put_row(rig, f"run|{run_id}", columns, replace=True)
    for _ in range(3):
        with pytest.raises(RowUnreadable):
            rig.read(run_id)
        for body in ({}, {"callbackUrl": "https://prod-1.westeurope.logic.azure.com/x"}):
            with pytest.raises(RowUnreadable):
                rig.start(pipeline_id, body, key="k")
        clock.pass_time(minutes=2)
        rig.sweep()
    assert len(workspace.updates_of(pipeline_id)) == 1


@pytest.mark.parametrize("value", [None, 5, "", "!!!", "abc", "c2hvcnQ="], ids=str)
def test_an_unreadable_key_of_the_await_addresses_signs_nothing(rig: Rig, value: object) -> None:
    whole = rig.services.await_keys.stored().value
    key, partition = row_keys.AWAIT_SECRET, row_keys.SECRETS_PARTITION
    with _table(rig) as table:
        kept = dict(table.get_entity(partition, key))
    try:
        put_row(rig, key, {} if value is None else {"value": value}, partition=partition, replace=True)
        with pytest.raises(RowUnreadable, match=r"correct or delete the row secret\|await"):
            rig.services.await_keys.current()
    finally:
        put_row(rig, key, kept, partition=partition, replace=True)
    assert rig.services.await_keys.current() == whole


def _table(rig: Rig) -> TableClient:
    connection = rig.settings.tables.connection_string
    assert connection is not None
    return TableClient.from_connection_string(connection, RUNS_TABLE)


def _finish(workspace: SimulatedWorkspace, pipeline_ids: list[str]) -> None:
    for pipeline_id in pipeline_ids:
        workspace.set_state(pipeline_id, None, "COMPLETED")


def test_an_unreadable_active_row_is_never_shown_as_fresh_and_is_left_to_a_person(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    _finish(workspace, [pipeline_id])
    put_row(rig, f"active|{run_id}", {"run0": "{"})
    clock.pass_time(minutes=1)
    report = rig.sweep()
    assert (report.unreadable, report.finished) == (1, 0)
    last = rig.ws.runs.last_sweep()
    assert last is not None
    assert str(run_id) in last.not_seen
    clock.pass_time(days=1)
    assert rig.sweep().unreadable == 1
    put_row(rig, f"active|{run_id}", encode_active(rig.stored(run_id)))
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
