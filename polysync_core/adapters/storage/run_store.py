"""The table PolysyncRuns: each method is one atomic step of a run's story, all of it in the workspace's partition.

Rows that decide something carry the random `owner` (a start) or `writeId` (a run) of their writer, so that after an
unclear answer of storage the row can be read back and recognised.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.callback_store import CallbackStore, queue, waiter_row
from polysync_core.adapters.storage.run_rows import RunRows, row_of
from polysync_core.adapters.storage.tables import Operation, Table, etag_of, written_at_of
from polysync_core.rules.decisions.callback_rules import owe_waiting
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.columns import Columns
from polysync_core.rules.rows.run_entity import (
    decode_last_sweep,
    decode_reservation,
    decode_run,
    decode_used_key,
    encode_last_sweep,
    encode_reservation,
    encode_used_key,
    salvage_reservations,
)
from polysync_core.values.errors import RowUnreadable, StorageUnavailable
from polysync_core.values.ids import RunId
from polysync_core.values.run import (
    ActiveRows,
    HeldReservation,
    LastSweep,
    Reservation,
    Run,
    RunFilter,
    RunPage,
    StartsInFlight,
    TrackedRun,
    UsedKey,
)

_log = logging.getLogger("polysync.store")
AWAIT_SECRET_BYTES = 32


class RunStore:
    """All reads and writes of runs. Every method may raise StorageUnavailable."""

    def __init__(self, table: Table, new_id: Callable[[], str]) -> None:
        self._table = table
        self._rows = RunRows(table, new_id)
        self.callbacks = CallbackStore(table, self._rows, new_id)

    # --- starts

    def reserve(self, reservation: Reservation, used: UsedKey | None) -> HeldReservation | None:
        """Insert the `starting` row, and the `start` row when a key came. None when either exists already."""
        workspace = reservation.workspace
        key = row_keys.starting(reservation.pipeline_id)
        operations = [tables.create(row_of(workspace, key, encode_reservation(reservation)))]
        if reservation.start_row is not None and used is not None:
            operations.append(tables.create(row_of(workspace, reservation.start_row, encode_used_key(used))))
        self._table.commit(operations, was_written=lambda: self._held(reservation) is not None)
        return self._held(reservation)

    def _held(self, reservation: Reservation) -> HeldReservation | None:
        row = self._table.get(reservation.workspace, row_keys.starting(reservation.pipeline_id))
        if row is None or row.get("owner") != reservation.owner:
            return None
        return HeldReservation(reservation=reservation, etag=etag_of(row))

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
                operations.append(tables.delete(row_of(reservation.workspace, reservation.start_row), etag_of(used)))
        self._table.commit(operations, was_written=lambda: self._held(reservation) is None)

    def track(self, run: Run, held: HeldReservation, *, attached: bool = False) -> Run:
        """Begin to track `run`: end its reservation, complete its key, insert the run. Gives the run as it is tracked.

        `attached`: the key's caller did not start the update but joined it.
        When another (a sweep that settled this start) was first, theirs is given: one update has one run. Raises
        TooManyCallbacks when too many callers wait for that one.
        """
        waiter = held.reservation.waiter
        waiting = [] if waiter is None else [tables.create(waiter_row(run, waiter))]
        outcome = [*_outcome(held.reservation, run.run_id, attached), *waiting]
        if self._rows.insert(run, [_end(held), *outcome]):
            return run
        tracked = self.find_run(run.workspace, run.run_id)
        if tracked is not None:
            if self._held(held.reservation) is not None:
                return self.complete(held, tracked.run_id, attached=attached) or tracked
            return tracked
        if self._rows.insert(run, outcome) or self._rows.insert(run, waiting):
            return run  # its reservation was cleared meanwhile, and perhaps its key released
        tracked = self.find_run(run.workspace, run.run_id)
        if tracked is None:
            raise StorageUnavailable("Table Storage did not keep the run.")
        return tracked

    def complete(self, held: HeldReservation, run_id: RunId, *, attached: bool) -> Run | None:
        """End a reservation whose run is tracked already: the key's outcome is that run, and its caller waits for it.

        Gives the run as it stands now, None when it is no longer kept. TooManyCallbacks leaves all as it was.
        """
        reservation = held.reservation
        operations = [_end(held), *_outcome(reservation, run_id, attached)]
        if reservation.waiter is not None:
            return self.callbacks.join(
                reservation.workspace, run_id, reservation.waiter, reservation.reserved_at, operations
            )
        self._table.commit(operations, was_written=lambda: self._held(reservation) is None)
        return self.find_run(reservation.workspace, run_id)

    # --- runs

    def find_run(self, workspace: str, run_id: RunId) -> Run | None:
        """The run; by the id of any of its attempts. RowUnreadable when its row is spoilt and it is not active."""
        return self._rows.find(workspace, run_id)

    def find_holder(self, workspace: str, run_id: RunId) -> RunId | None:
        """The id of the run that tracks this update, also when that run's row cannot be read; None when none does."""
        return self._rows.find_holder(workspace, run_id)

    def find_active(self, workspace: str, run_id: RunId) -> TrackedRun | None:
        """The run with its lock, or None when it is not active."""
        return self._rows.find_active(workspace, run_id)

    def active_runs(self, workspace: str, pipeline_id: str | None = None) -> ActiveRows:
        """All active runs, or those of one pipeline; rows that cannot be read are set aside by key."""
        prefix = row_keys.ACTIVE if pipeline_id is None else f"{row_keys.ACTIVE}{pipeline_id}:"
        runs: list[TrackedRun] = []
        unreadable: list[str] = []
        for row in self._table.scan(workspace, prefix):
            try:
                runs.append(TrackedRun(run=decode_run(row), etag=etag_of(row)))
            except RowUnreadable:
                unreadable.append(str(row["RowKey"]))
        return ActiveRows(runs=tuple(runs), unreadable=tuple(unreadable))

    def save_transition(self, tracked: TrackedRun, run: Run) -> bool:
        """Replace the run, under its lock. False when another transition was first: then nothing was written.

        A finished run leaves the active ones in the same batch, and owes its callbacks from then on. A new attempt gets
        an alias row, so that nobody else tracks its update.
        """
        owing = owe_waiting(run) if run.is_finished else run
        return self._rows.change(tracked, owing, queue(owing))

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

    def reservations(self, workspace: str) -> StartsInFlight:
        """Every start in flight. A row that cannot be read is set aside; it keeps its pipeline from being started."""
        held: list[HeldReservation] = []
        unreadable: list[str] = []
        for row in self._table.scan(workspace, row_keys.STARTING):
            try:
                held.append(HeldReservation(reservation=decode_reservation(row), etag=etag_of(row)))
            except RowUnreadable:
                unreadable.append(str(row["RowKey"]))
        return StartsInFlight(held=tuple(held), unreadable=tuple(unreadable))

    def salvage_start(self, workspace: str, key: str, before: datetime) -> tuple[HeldReservation, ...]:
        """A start whose row cannot be read and was last written before `before`, by what the row still tells.

        One reservation for each full_refresh that it may have had; none when the row is gone or younger.
        """
        row = self._table.get(workspace, key)
        written_at = None if row is None else written_at_of(row)
        if row is None or written_at is None or written_at >= before:
            return ()
        pipeline_id = key.removeprefix(row_keys.STARTING)
        salvaged = salvage_reservations(row, workspace=workspace, pipeline_id=pipeline_id, written_at=written_at)
        start_row = salvaged[0].start_row
        used = None if start_row is None else self._table.get(workspace, start_row)
        if used is None or "runId" in used:
            salvaged = tuple(replace(reservation, start_row=None) for reservation in salvaged)
        else:  # still in flight: while this row stands, no other start can have used it
            salvaged = tuple(replace(reservation, owner=str(used.get("owner"))) for reservation in salvaged)
        return tuple(HeldReservation(reservation=reservation, etag=etag_of(row)) for reservation in salvaged)

    def restore_active(self, workspace: str, key: str) -> None:
        """Write a spoilt `active` row anew from its run's own row; without a whole, active one leave it as it is."""
        row = self._table.get(workspace, key)
        try:
            run = self.find_run(workspace, RunId.parse(row_keys.id_of_active(key)))
        except (ValueError, RowUnreadable):
            return
        if row is not None and run is not None and not run.is_finished:
            self._rows.restore(run, key, etag_of(row))

    def last_sweep(self, workspace: str) -> LastSweep | None:
        """When and how the workspace was last swept; None when never, or when the row is spoilt (the next heals it)."""
        row = self._table.get(workspace, row_keys.SWEEP_LAST)
        try:
            return None if row is None else decode_last_sweep(row)
        except RowUnreadable:
            return None

    def save_last_sweep(self, workspace: str, last: LastSweep) -> None:
        self._table.put(row_of(workspace, row_keys.SWEEP_LAST, encode_last_sweep(last)))

    # --- the secret behind await addresses

    def await_secret(self, new_secret: Callable[[], bytes]) -> bytes:
        """The random key of the await tokens; made by whoever needs it first."""
        row = self._table.get(row_keys.SECRETS_PARTITION, row_keys.AWAIT_SECRET)
        if row is None:
            made = base64.b64encode(new_secret()).decode()
            fresh = row_of(row_keys.SECRETS_PARTITION, row_keys.AWAIT_SECRET, {"value": made})
            self._table.commit([tables.create(fresh)], was_written=lambda: False)
            row = self._table.get(row_keys.SECRETS_PARTITION, row_keys.AWAIT_SECRET)
        value = None if row is None else row.get("value")
        try:
            secret = base64.b64decode(str(value), validate=True)
        except ValueError:
            secret = b""
        if len(secret) != AWAIT_SECRET_BYTES:
            raise StorageUnavailable("The key of the await addresses cannot be read.")
        return secret


def _end(held: HeldReservation) -> Operation:
    reservation = held.reservation
    return tables.delete(row_of(reservation.workspace, row_keys.starting(reservation.pipeline_id)), held.etag)


def _outcome(reservation: Reservation, run_id: RunId, attached: bool) -> list[Operation]:
    """What completes the key of a start; nothing when it came without one."""
    if reservation.start_row is None:
        return []
    columns: Columns = {"runId": str(run_id), "attached": attached}
    return [tables.merge(row_of(reservation.workspace, reservation.start_row, columns))]
