"""The table PolysyncRuns: each method is one atomic step of a run's story, all of it in the workspace's partition.

Rows that decide something carry the random `owner` (a start) or `writeId` (a run) of their writer, so that after an
unclear answer of storage the row can be read back and recognised.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from itertools import islice

from polysync_core.adapters import tables
from polysync_core.adapters.tables import Operation, Table, etag_of
from polysync_core.errors import RowUnreadable, StorageUnavailable
from polysync_core.model import (
    ActiveRows,
    HeldReservation,
    LastSweep,
    Reservation,
    Run,
    RunFilter,
    RunId,
    RunPage,
    TrackedRun,
    UsedKey,
)
from polysync_core.rules import row_keys
from polysync_core.rules.run_entity import (
    Columns,
    decode_last_sweep,
    decode_reservation,
    decode_run,
    decode_used_key,
    encode_last_sweep,
    encode_reservation,
    encode_run,
    encode_used_key,
)
from polysync_core.rules.run_states import status_of_run

_log = logging.getLogger("polysync.store")


class RunStore:
    """All reads and writes of runs. Every method may raise StorageUnavailable."""

    def __init__(self, table: Table, new_id: Callable[[], str]) -> None:
        self._table = table
        self._new_id = new_id

    # --- starts

    def reserve(self, reservation: Reservation, used: UsedKey | None) -> HeldReservation | None:
        """Insert the `starting` row, and the `start` row when a key came. None when either exists already."""
        workspace = reservation.workspace
        key = row_keys.starting(reservation.pipeline_id)
        operations = [tables.create(_row(workspace, key, encode_reservation(reservation)))]
        if reservation.start_row is not None and used is not None:
            operations.append(tables.create(_row(workspace, reservation.start_row, encode_used_key(used))))
        self._table.commit(operations, is_ours=lambda: self._held(reservation) is not None)
        return self._held(reservation)

    def _held(self, reservation: Reservation) -> HeldReservation | None:
        row = self._table.get(reservation.workspace, row_keys.starting(reservation.pipeline_id))
        if row is None or row.get("owner") != reservation.owner:
            return None
        return HeldReservation(reservation=reservation, etag=etag_of(row))

    def find_reservation(self, workspace: str, pipeline_id: str) -> Reservation | None:
        """The start in flight for a pipeline, whoever's it is."""
        row = self._table.get(workspace, row_keys.starting(pipeline_id))
        return None if row is None else decode_reservation(row)

    def find_used_key(self, workspace: str, start_row: str) -> UsedKey | None:
        row = self._table.get(workspace, start_row)
        return None if row is None else decode_used_key(row)

    def release(self, held: HeldReservation) -> None:
        """Forget a start that definitely did not happen: its reservation and its key. Harmless when both are gone."""
        reservation = held.reservation
        operations = [_end(held)]
        if reservation.start_row is not None:
            used = self._table.get(reservation.workspace, reservation.start_row)
            if used is not None and used.get("owner") == reservation.owner:
                operations.append(tables.delete(_row(reservation.workspace, reservation.start_row), etag_of(used)))
        self._table.commit(operations, is_ours=lambda: self._held(reservation) is None)

    def track(self, run: Run, held: HeldReservation, *, attached: bool = False) -> Run:
        """Begin to track `run`: end its reservation, complete its key, insert the run. Gives the run as it is tracked.

        `attached`: the key's caller did not start the update but joined it.
        When another (a sweep that settled this start) was first, theirs is given: one update has one run.
        """
        outcome = _outcome(held.reservation, run.run_id, attached)
        if self._insert(run, [_end(held), *outcome]):
            return run
        tracked = self.find_run(run.workspace, run.run_id)
        if tracked is not None:
            if self._held(held.reservation) is not None:
                self.complete(held, run.run_id, attached=attached)
            return tracked
        if self._insert(run, outcome):
            return run
        tracked = self.find_run(run.workspace, run.run_id)
        if tracked is None:
            raise StorageUnavailable("Table Storage did not keep the run.")
        return tracked

    def complete(self, held: HeldReservation, run_id: RunId, *, attached: bool) -> None:
        """End a reservation whose run is tracked already: the key's outcome is that run."""
        reservation = held.reservation
        self._table.commit(
            [_end(held), *_outcome(reservation, run_id, attached)], is_ours=lambda: self._held(reservation) is None
        )

    def _insert(self, run: Run, beside: list[Operation]) -> bool:
        write_id = self._new_id()
        rows = [_run_row(run, key, write_id) for key in _keys_of(run)]
        return self._table.commit(
            [*beside, *(tables.create(row) for row in rows)], is_ours=lambda: self._wrote(run, write_id)
        )

    # --- runs

    def find_run(self, workspace: str, run_id: RunId) -> Run | None:
        """The run; by the id of any of its attempts."""
        row = self._table.get(workspace, row_keys.run(run_id))
        if row is not None and "aliasOf" in row:
            row = self._table.get(workspace, str(row["aliasOf"]))
        return None if row is None else decode_run(row)

    def find_active(self, workspace: str, run_id: RunId) -> TrackedRun | None:
        """The run with its lock, or None when it is not active."""
        row = self._table.get(workspace, row_keys.active(run_id))
        return None if row is None else TrackedRun(run=decode_run(row), etag=etag_of(row))

    def active_runs(self, workspace: str, pipeline_id: str | None = None) -> ActiveRows:
        """All active runs, or those of one pipeline; rows that cannot be read are set aside by key."""
        prefix = row_keys.ACTIVE if pipeline_id is None else f"{row_keys.ACTIVE}{pipeline_id}:"
        runs: list[TrackedRun] = []
        set_aside: list[str] = []
        for row in self._table.scan(workspace, prefix):
            try:
                runs.append(TrackedRun(run=decode_run(row), etag=etag_of(row)))
            except RowUnreadable:
                set_aside.append(str(row["RowKey"]))
        return ActiveRows(runs=tuple(runs), set_aside=tuple(set_aside))

    def save_transition(self, tracked: TrackedRun, run: Run) -> bool:
        """Replace the run, under its lock. False when another transition was first: then nothing was written.

        A finished run leaves the active ones in the same batch. A new attempt gets an alias row, so that nobody else
        tracks its update.
        """
        write_id = self._new_id()
        active_key, run_key, recent_key = _keys_of(run)
        if run.is_finished:
            lock = tables.delete(_row(run.workspace, active_key), tracked.etag)
        else:
            lock = tables.replace(_run_row(run, active_key, write_id), tracked.etag)
        operations = [lock, *(tables.replace(_run_row(run, key, write_id)) for key in (run_key, recent_key))]
        for attempt in run.attempts[len(tracked.run.attempts) :]:
            alias = row_keys.run(RunId(run.run_id.pipeline_id, attempt.update_id))
            operations.append(tables.create(_row(run.workspace, alias, {"aliasOf": run_key})))
        return self._table.commit(operations, is_ours=lambda: self._wrote(run, write_id))

    def _wrote(self, run: Run, write_id: str) -> bool:
        row = self._table.get(run.workspace, row_keys.run(run.run_id))
        return row is not None and row.get("writeId") == write_id

    def recent_runs(self, workspace: str, wanted: RunFilter, *, limit: int, after: str | None) -> RunPage:
        """A page of runs, newest first."""
        if wanted.active:
            rows = self._active_newest_first(workspace, wanted, after or "")
        else:
            rows = self._recent(workspace, wanted, after or "", limit)
        found = list(islice(rows, limit + 1))
        return RunPage(
            runs=tuple(run for _, run in found[:limit]), after=found[limit - 1][0] if len(found) > limit else None
        )

    def _recent(self, workspace: str, wanted: RunFilter, after: str, limit: int) -> Iterator[tuple[str, Run]]:
        filters: dict[str, object] = {}
        if wanted.status is not None:
            filters["status"] = wanted.status.value
        if wanted.pipeline_id is not None:
            filters["pipelineId"] = wanted.pipeline_id
        where = " and ".join(f"{column} eq @{column}" for column in filters)
        for row in self._table.scan(
            workspace, row_keys.RECENT, after=after, where=where, values=filters, page_size=limit + 1
        ):
            try:
                yield str(row["RowKey"]), decode_run(row)
            except RowUnreadable:
                _log.warning("a row of the listing cannot be read", extra={"action": "list_runs"})

    def _active_newest_first(self, workspace: str, wanted: RunFilter, after: str) -> Iterator[tuple[str, Run]]:
        runs = (tracked.run for tracked in self.active_runs(workspace, wanted.pipeline_id).runs)
        keyed = sorted((row_keys.recent(run.run_id, run.accepted_at), run) for run in runs)
        return (
            (key, run)
            for key, run in keyed
            if key > after and (wanted.status is None or status_of_run(run) == wanted.status)
        )

    # --- the sweep

    def reservations(self, workspace: str) -> tuple[HeldReservation, ...]:
        """Every start in flight; one that cannot be read is logged and left."""
        found = []
        for row in self._table.scan(workspace, row_keys.STARTING):
            try:
                found.append(HeldReservation(reservation=decode_reservation(row), etag=etag_of(row)))
            except RowUnreadable:
                _log.warning("a row of a start in flight cannot be read", extra={"action": "sweep"})
        return tuple(found)

    def last_sweep(self, workspace: str) -> LastSweep | None:
        """When and how the workspace was last swept; None when never, or when the row is spoilt (the next heals it)."""
        row = self._table.get(workspace, row_keys.SWEEP_LAST)
        try:
            return None if row is None else decode_last_sweep(row)
        except RowUnreadable:
            return None

    def save_last_sweep(self, workspace: str, last: LastSweep) -> None:
        self._table.put(_row(workspace, row_keys.SWEEP_LAST, encode_last_sweep(last)))

    # --- the secret behind await addresses

    def await_secret(self, new_secret: Callable[[], bytes]) -> bytes:
        """The random key of the await tokens; made by whoever needs it first."""
        row = self._table.get(row_keys.SECRETS_PARTITION, row_keys.AWAIT_SECRET)
        if row is None:
            made = base64.b64encode(new_secret()).decode()
            fresh = _row(row_keys.SECRETS_PARTITION, row_keys.AWAIT_SECRET, {"value": made})
            self._table.commit([tables.create(fresh)], is_ours=lambda: False)
            row = self._table.get(row_keys.SECRETS_PARTITION, row_keys.AWAIT_SECRET)
        if row is None or not isinstance(row.get("value"), str):
            raise StorageUnavailable("The key of the await addresses cannot be read.")
        return base64.b64decode(row["value"])


def _end(held: HeldReservation) -> Operation:
    reservation = held.reservation
    return tables.delete(_row(reservation.workspace, row_keys.starting(reservation.pipeline_id)), held.etag)


def _outcome(reservation: Reservation, run_id: RunId, attached: bool) -> list[Operation]:
    """What completes the key of a start; nothing when it came without one."""
    if reservation.start_row is None:
        return []
    columns: Columns = {"runId": str(run_id), "attached": attached}
    return [tables.merge(_row(reservation.workspace, reservation.start_row, columns))]


def _keys_of(run: Run) -> tuple[str, str, str]:
    return (
        row_keys.active(run.run_id),
        row_keys.run(run.run_id),
        row_keys.recent(run.run_id, run.accepted_at),
    )


def _run_row(run: Run, key: str, write_id: str) -> Columns:
    return _row(run.workspace, key, {**encode_run(run), "writeId": write_id})


def _row(partition: str, key: str, columns: Columns | None = None) -> Columns:
    return {"PartitionKey": partition, "RowKey": key, **(columns or {})}
