"""Puts runs and rows into place without the app's API, where a thousand requests would take too long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from azure.data.tables import TableClient, TableServiceClient, UpdateMode

from local.rig import Rig
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions import callback_rules
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.callback_entity import OWED, WAITER
from polysync_core.rules.rows.run_entity import RUN, encode_active
from polysync_core.services import RUNS_TABLE
from polysync_core.use_cases.resolving_starts import new_run
from polysync_core.values.callback import CallbackAddress, CallbackKind, Waiter
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.ids import RunId
from polysync_core.values.run import Attempt, Reservation, Run


def track_elsewhere(rig: Rig, workspace: SimulatedWorkspace, pipeline_id: str, update_id: str | None = None) -> Run:
    """Track an update that the app did not start, as an attach would. Its state is not observed yet.

    Without `update_id`, an update is started elsewhere first.
    """
    update_id = update_id or workspace.start_elsewhere(pipeline_id)
    reservation = Reservation(
        pipeline_id=pipeline_id,
        owner=rig.ws.new_id(),
        reserved_at=rig.clock.now(),
        full_refresh=False,
    )
    held = rig.ws.runs.reserve(reservation, None)
    assert held is not None
    run = new_run(reservation, SeenUpdate(update_id=update_id, state=None), rig.ws, attached=True)
    return rig.ws.runs.track(run, held, attached=True)


def track_running(rig: Rig, workspace: SimulatedWorkspace, pipeline_ids: Sequence[str]) -> list[Run]:
    """Start an update of each pipeline elsewhere, and write its run into the table as a sweep would.

    The updates and the runs are in the state RUNNING.
    """
    now = rig.clock.now()
    runs = []
    for pipeline_id in pipeline_ids:
        update_id = workspace.start_elsewhere(pipeline_id)
        workspace.set_state(pipeline_id, update_id, "RUNNING")
        created_at = datetime.fromtimestamp(workspace.updates_of(pipeline_id)[-1].creation_time / 1000, UTC)
        runs.append(
            Run(
                run_id=RunId(pipeline_id, update_id),
                full_refresh=False,
                accepted_at=now,
                seen_at=now,
                updated_at=now,
                started_at=created_at,
                attempts=(Attempt(update_id=update_id, state="RUNNING", created_at=created_at),),
            )
        )
    with _table(rig) as table:
        for batch in batched(runs, 33):
            table.submit_transaction(
                [
                    ("create", {"PartitionKey": rig.partition, "RowKey": key, **columns})
                    for run in batch
                    for key, columns in (
                        (row_keys.run(run.run_id), RUN.encode(run)),
                        (row_keys.active(run.run_id), encode_active(run)),
                        (row_keys.recent(run.run_id, run.accepted_at), RUN.encode(run)),
                    )
                ]
            )
    return runs


def put_history(rig: Rig, count: int, *, over: timedelta, failed_every: int) -> None:
    """Write `count` finished runs into the table, spread evenly back from now `over` a time. Some of them failed."""
    now = rig.clock.now()
    rows = []
    for number in range(count):
        at = now - over * ((number + 1) / count)
        state = "FAILED" if number % failed_every == 0 else "COMPLETED"
        attempt = Attempt(update_id=f"u{number}", state=state, created_at=at)
        run = Run(
            run_id=RunId(f"p{number % 500}", attempt.update_id),
            full_refresh=False,
            accepted_at=at,
            seen_at=at,
            updated_at=at,
            finished_at=at,
            attempts=(attempt,),
        )
        rows.append((row_keys.recent(run.run_id, at), RUN.encode(run)))
    put_rows(rig, rows)


def owe_callbacks(rig: Rig, url: str, count: int) -> None:
    """Write `count` finished runs into the table, each with a callback to `url` that is due now."""
    now = rig.clock.now()
    rows: list[tuple[str, Mapping[str, object]]] = []
    for _ in range(count):
        run_id = RunId(rig.ws.new_id(), rig.ws.new_id())
        waiter = Waiter(
            callback_id="1", address=CallbackAddress(kind=CallbackKind.WEBHOOK, url=url, base_url="http://app")
        )
        run = Run(
            run_id=run_id,
            full_refresh=False,
            accepted_at=now,
            seen_at=now,
            updated_at=now,
            finished_at=now,
            attempts=(Attempt(update_id=run_id.update_id, state="COMPLETED", created_at=now),),
        )
        run = callback_rules.put_waiter(run, waiter, now)
        columns = RUN.encode(run)
        rows += [(row_keys.run(run_id), columns), (row_keys.recent(run_id, now), columns)]
        rows.append((row_keys.waiter(run_id, waiter.callback_id), WAITER.encode(waiter)))
        rows += [
            (row_keys.callback(owed.run_id, owed.callback_id, owed.due_at), OWED.encode(owed))
            for owed in callback_rules.owed_of(run)
        ]
    put_rows(rig, rows)


def batched(runs: Sequence[Run], size: int) -> Iterator[Sequence[Run]]:
    """Yield `runs` in pieces of `size`."""
    for begin in range(0, len(runs), size):
        yield runs[begin : begin + size]


def _table(rig: Rig) -> TableClient:
    connection = rig.settings.tables.connection_string
    assert connection is not None
    with TableServiceClient.from_connection_string(connection) as service:
        service.create_table_if_not_exists(RUNS_TABLE)
    return TableClient.from_connection_string(connection, RUNS_TABLE)


def put_rows(rig: Rig, rows: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    """Write many rows exactly as given, without the store. `rows` are pairs of RowKey and columns."""
    with _table(rig) as table:
        for begin in range(0, len(rows), 100):
            table.submit_transaction(
                [
                    ("upsert", {"PartitionKey": rig.partition, "RowKey": key, **columns})
                    for key, columns in rows[begin : begin + 100]
                ]
            )


def delete_row(rig: Rig, key: str) -> None:
    """Delete a row, as an operator does with an unreadable row."""
    with _table(rig) as table:
        table.delete_entity(rig.partition, key)


def put_row(
    rig: Rig, key: str, columns: Mapping[str, object], *, partition: str | None = None, replace: bool = False
) -> None:
    """Write a row exactly as given, without the store. With `replace`, the columns that it had before are removed."""
    mode = UpdateMode.REPLACE if replace else UpdateMode.MERGE
    with _table(rig) as table:
        table.upsert_entity({"PartitionKey": partition or rig.partition, "RowKey": key, **columns}, mode=mode)
