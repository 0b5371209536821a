"""Retention: finished runs, their listing and their keys are deleted after the configured time. Active runs stay."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables import TableClient

from local.receiver import Receiver
from local.rig import ManualClock, Rig
from local.seeding import put_row
from local.workspace import SimulatedWorkspace
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import RUN
from polysync_core.services import RUNS_TABLE
from polysync_core.use_cases import reading
from polysync_core.values.callback import Callback, CallbackKind, CallbackState
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import RunNotFound, StartUnknown
from polysync_core.values.run import Run, RunFilter
from tests.conftest import RigOf
from tests.use_cases.callbacks import deliver, finish, started


def _keys(rig: Rig) -> set[str]:
    connection = rig.settings.tables.connection_string
    assert connection is not None
    with TableClient.from_connection_string(connection, RUNS_TABLE) as table:
        rows = table.query_entities("PartitionKey eq @name", parameters={"name": rig.partition}, select=["RowKey"])
        return {str(row["RowKey"]).split("|")[0] for row in rows}


def test_finished_runs_and_keys_go_after_90_days_and_active_ones_stay(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    old, endless = workspace.add_pipeline(), workspace.add_pipeline()
    old_id = rig.start(old, key="k").run.run_id
    endless_id = rig.start(endless).run.run_id
    workspace.set_state(old, None, "COMPLETED")
    rig.sweep()
    clock.pass_time(days=89)
    rig.sweep()
    assert rig.read(old_id).run.is_finished
    clock.pass_time(days=1, minutes=2)
    rig.sweep()
    with pytest.raises(RunNotFound):
        rig.read(old_id)
    assert rig.stored(endless_id).run_id == endless_id
    assert _keys(rig) == {"run", "active", "recent", "sweep"}
    page = reading.list_runs(rig.ws, RunFilter(), limit=10, continuation=None, max_age_seconds=30)
    assert [view.run.run_id for view in page.views] == [endless_id]


def test_a_run_that_lasted_longer_than_it_is_kept_goes_90_days_after_its_end(
    rig_of: RigOf, receiver: Receiver, clock: ManualClock
) -> None:
    rig = rig_of(receiver)
    run = started(rig, receiver.url(), key="k")
    clock.pass_time(days=91)
    rig.sweep()
    again = rig.start(run.run_id.pipeline_id, {"callbackUrl": receiver.url()}, key="k")
    assert again.run.run_id == run.run_id, "the key of an active run stays used"
    finish(rig, run)
    assert rig.stored(run.run_id).is_finished
    assert deliver(rig).delivered == 1
    clock.pass_time(days=90, minutes=2)
    rig.sweep()
    assert _keys(rig) == {"sweep"}


def test_a_run_stays_while_it_owes_a_callback(rig_of: RigOf, receiver: Receiver, clock: ManualClock) -> None:
    rig = rig_of(receiver)
    run = started(rig, receiver.url())
    finish(rig, run)
    clock.pass_time(days=91)
    rig.sweep()
    assert deliver(rig).delivered == 1
    clock.pass_time(minutes=2)
    rig.sweep()
    assert _keys(rig) == {"sweep"}


def test_cleaning_ends_when_its_time_is_up_and_goes_on_from_there(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    for number in range(6):
        pipeline_id = workspace.add_pipeline()
        rig.start(pipeline_id, key=str(number))
        workspace.set_state(pipeline_id, None, "COMPLETED")
    rig.sweep()
    cleaner, cutoff = rig.ws.cleaner, clock.now() + timedelta(seconds=1)

    assert cleaner.delete_runs_before(cutoff, deadline=_over_after(2)) == 2
    assert cleaner.delete_runs_before(cutoff, deadline=Deadline.after(clock, 60)) == 4
    after = cleaner.delete_keys_before(cutoff, "", deadline=_over_after(4))
    assert after.startswith("start|")
    assert "start" in _keys(rig)
    assert cleaner.delete_keys_before(cutoff, after, deadline=Deadline.after(clock, 60)) == ""
    assert "start" not in _keys(rig)


def _catch_up(rig: Rig) -> None:
    """Move the test's clock to the real time, because storage writes its Timestamps in real time."""
    rig.clock.sleep((datetime.now(UTC) - rig.clock.now()).total_seconds())


def _finished(rig: Rig, count: int) -> list[Run]:
    _catch_up(rig)
    runs = []
    for number in range(count):
        pipeline_id = rig.workspace.add_pipeline()
        runs.append(rig.start(pipeline_id, key=str(number)).run)
        rig.workspace.set_state(pipeline_id, None, "COMPLETED")
        rig.clock.sleep(1)
    rig.sweep()
    return [rig.stored(run.run_id) for run in runs]


def _clean_after(rig: Rig, days: int) -> None:
    _catch_up(rig)
    rig.clock.sleep(timedelta(days=days, minutes=1).total_seconds())
    rig.sweep()


def test_a_run_that_cannot_be_deleted_keeps_no_other(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    runs = _finished(rig, 3)
    newest = runs[-1]
    waiters = tuple(
        Callback(callback_id=f"c{number}", kind=CallbackKind.WEBHOOK, host="h", state=CallbackState.DELIVERED)
        for number in range(120)
    )
    impossible = RUN.encode(replace(newest, callbacks=waiters))
    put_row(rig, row_keys.recent(newest.run_id, newest.accepted_at), impossible)
    _clean_after(rig, 91)
    assert [rig.ws.runs.find(run.run_id) is None for run in runs] == [True, True, False]
    assert "could not be deleted" in caplog.text


def test_an_attempt_that_occurs_twice_in_a_run_is_deleted_once(rig: Rig) -> None:
    (run,) = _finished(rig, 1)
    twice = RUN.encode(replace(run, attempts=run.attempts * 2))
    put_row(rig, row_keys.recent(run.run_id, run.accepted_at), twice)
    _clean_after(rig, 91)
    assert _keys(rig) == {"sweep"}


@pytest.mark.parametrize(
    "unreadable", [("recent",), ("recent", "run"), ("start",), ("recent", "run", "start")], ids=str
)
def test_rows_that_cannot_be_read_go_by_their_age(rig: Rig, unreadable: tuple[str, ...]) -> None:
    (run,) = _finished(rig, 1)
    keys = {
        "recent": row_keys.recent(run.run_id, run.accepted_at),
        "run": row_keys.run(run.run_id),
        "start": row_keys.start(run.run_id.pipeline_id, "0"),
    }
    for kind in unreadable:
        put_row(rig, keys[kind], {"runId": 5, "attempts": "x"})
    _clean_after(rig, 89)
    assert {"run", "recent", "start"} <= _keys(rig)
    _clean_after(rig, 91)
    assert _keys(rig) == {"sweep"}


def test_of_an_active_run_no_unreadable_row_is_deleted(rig: Rig, workspace: SimulatedWorkspace) -> None:
    run = rig.start(workspace.add_pipeline(), key="k").run
    for key in (row_keys.recent(run.run_id, run.accepted_at), row_keys.run(run.run_id)):
        put_row(rig, key, {"attempts": "x"})
    workspace.down()
    _clean_after(rig, 91)
    assert _keys(rig) == {"run", "active", "recent", "start", "sweep"}


@pytest.mark.parametrize("columns", [{}, {"owner": 5}, {"startRow": 5}, {"reservedAt": "x"}], ids=str)
@pytest.mark.parametrize("key_columns", [{}, {"fingerprint": 5}], ids=str)
def test_the_key_of_a_start_in_flight_stays_however_old_it_is(
    rig: Rig, workspace: SimulatedWorkspace, columns: dict[str, object], key_columns: dict[str, object]
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("reset", method="POST", when="after")
    workspace.add_fault("status", method="GET", status=500, times=None)
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id, key="k")
    put_row(rig, row_keys.starting(pipeline_id), columns)
    put_row(rig, row_keys.start(pipeline_id, "k"), key_columns)
    _clean_after(rig, 91)
    assert _keys(rig) == {"starting", "start", "sweep"}


def test_many_old_runs_go_in_bounded_pieces(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    for _ in range(60):
        pipeline_id = workspace.add_pipeline()
        rig.start(pipeline_id, key="k")
        workspace.set_state(pipeline_id, None, "COMPLETED")
    rig.sweep()
    clock.pass_time(days=91)

    def left() -> int:
        page = reading.list_runs(rig.ws, RunFilter(), limit=200, continuation=None, max_age_seconds=30)
        return len(page.views)

    assert left() == 60
    rig.sweep()
    assert left() == 10
    rig.sweep()
    assert left() == 10, "once a minute"
    clock.pass_time(minutes=1)
    rig.sweep()
    assert left() == 0


class _CountingClock:
    """A clock that moves on by one second each time it is read."""

    def __init__(self) -> None:
        self._looks = itertools.count()

    def monotonic(self) -> float:
        return float(next(self._looks))


def _over_after(looks: int) -> Deadline:
    return Deadline(_CountingClock(), looks - 1)
