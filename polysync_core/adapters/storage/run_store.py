"""The runs of one workspace, in the table PolysyncRuns. Each method makes one atomic change.

A row carries the random `owner` (a start) or `writeId` (a run) of its writer. After an unclear answer of storage, the
row is read back and recognised by it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.callback_store import CallbackStore, queue, waiter_row
from polysync_core.adapters.storage.recent_rows import recent_rows
from polysync_core.adapters.storage.run_rows import RunChange, RunRows
from polysync_core.adapters.storage.tables import Operation, Partition, etag_of
from polysync_core.rules.decisions.callback_rules import owe_waiting
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import (
    RESERVATION,
    USED_KEY,
    decode_active,
    decode_last_sweep,
    encode_last_sweep,
)
from polysync_core.values.callback import Waiter
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import RowUnreadable, StorageUnavailable
from polysync_core.values.ids import RunId
from polysync_core.values.run import LastSweep, Reservation, Run, RunFilter, RunPage, SweepClaim, UsedKey
from polysync_core.values.stored import Locked, Scan, UnreadableRow

_log = logging.getLogger("polysync.store")
_T = TypeVar("_T")


class RunStore(RunRows):
    """All reads and writes of one workspace's runs. Every method may raise StorageUnavailable."""

    def __init__(
        self,
        partition: Partition,
        callbacks: CallbackStore,
        new_id: Callable[[], str],
        on_end: Callable[[Run], None] = lambda _: None,
    ) -> None:
        """`on_end` is called with each run that a transition of this store has finished."""
        super().__init__(partition, new_id)
        self._callbacks = callbacks
        self._on_end = on_end

    # --- starts

    def reserve(
        self, reservation: Reservation, idempotency_key: str | None = None, used: UsedKey | None = None
    ) -> Locked[Reservation] | None:
        """Insert the `starting` row, and the `start` row when there is a key. None when either row exists already.

        Raises RowUnreadable when the existing `starting` row cannot be read. The outcome of that start is unknown then,
        so the pipeline stays closed until a person corrects or deletes the row.
        """
        if idempotency_key is not None:
            start_row = row_keys.start(reservation.pipeline_id, idempotency_key)
            reservation = replace(reservation, start_row=start_row)
        operations = [tables.create(row_keys.starting(reservation.pipeline_id), RESERVATION.encode(reservation))]
        if reservation.start_row is not None and used is not None:
            operations.append(tables.create(reservation.start_row, USED_KEY.encode(used)))
        done = self._partition.commit(operations, was_written=lambda: self._locked(reservation) is not None)
        if done is None:
            self._check_readable(reservation.pipeline_id)
            return None
        etag = done.etags.get(row_keys.starting(reservation.pipeline_id))
        return self._locked(reservation) if etag is None else Locked(value=reservation, etag=etag)

    def _check_readable(self, pipeline_id: str) -> None:
        row = self._partition.get(row_keys.starting(pipeline_id))
        try:
            if row is not None:
                RESERVATION.decode(row)
        except RowUnreadable as wrong:
            raise RowUnreadable(
                f"Pipeline {pipeline_id} cannot be started: the stored row of an earlier start cannot be read. An "
                "operator has to correct or delete that row; the app's log names it."
            ) from wrong

    def _locked(self, reservation: Reservation) -> Locked[Reservation] | None:
        row = self._partition.get(row_keys.starting(reservation.pipeline_id))
        if row is None or row.get("owner") != reservation.owner:
            return None
        return Locked(value=reservation, etag=etag_of(row))

    def find_used_key(self, pipeline_id: str, idempotency_key: str) -> UsedKey | None:
        row = self._partition.get(row_keys.start(pipeline_id, idempotency_key))
        return None if row is None else USED_KEY.decode(row)

    def release(self, locked: Locked[Reservation]) -> None:
        """Delete the reservation and the key of a start that definitely did not happen. Harmless when both are gone."""
        reservation, operations = locked.value, [_end(locked)]
        if reservation.start_row is not None:
            used = self._partition.get(reservation.start_row)
            if used is not None and used.get("owner") == reservation.owner:
                operations.append(tables.delete(reservation.start_row, etag_of(used)))
        self._partition.commit(operations, was_written=lambda: self._locked(reservation) is None)

    def track(self, run: Run, locked: Locked[Reservation], *, attached: bool = False) -> Run:
        """Begin to track `run`: end its reservation, complete its key, insert the run. Returns the run as it is stored.

        `attached`: the key's caller did not start the update but joined it.
        If another instance tracked the update first, its run is returned, so that one update has one run. Raises
        TooManyCallbacks when too many callers wait for that run.
        """
        waiter = locked.value.waiter
        waiting = [] if waiter is None else [tables.create(*waiter_row(run.run_id, waiter))]
        outcome = [*_outcome(locked.value, run.run_id, attached), *waiting]
        if self.insert(run, [_end(locked), *outcome]):
            return run
        tracked = self.find(run.run_id)
        if tracked is not None:
            if self._locked(locked.value) is not None:
                return self.complete(locked, tracked.run_id, attached=attached) or tracked
            return tracked
        if self.insert(run, outcome) or self.insert(run, waiting):
            return run  # its reservation was cleared meanwhile, and its key may have been released
        tracked = self.find(run.run_id)
        if tracked is None:
            raise StorageUnavailable("Table Storage did not keep the run.")
        return tracked

    def complete(self, locked: Locked[Reservation], run_id: RunId, *, attached: bool) -> Run | None:
        """End a reservation whose update has a run already. That run becomes the outcome of the key.

        The caller of the start waits for that run if it wants a callback. Returns the stored run, or None when it is no
        longer kept. Raises TooManyCallbacks and TooBusy; nothing was written then.
        """
        reservation = locked.value
        operations = [_end(locked), *_outcome(reservation, run_id, attached)]
        if reservation.waiter is not None:
            return self._callbacks.join(run_id, reservation.waiter, reservation.reserved_at, operations)
        self._partition.commit(operations, was_written=lambda: self._locked(reservation) is None)
        return self.find(run_id)

    def join(
        self, run_id: RunId, idempotency_key: str | None, used: UsedKey, waiter: Waiter | None, now: datetime
    ) -> Run | None:
        """Let a caller join an active run: store its key as `used`, and let it wait for the callback that it wants.

        Returns the run as it is now. None when the run is no longer kept, or the key was used meanwhile. Raises
        TooManyCallbacks and TooBusy: then nothing was written.
        """
        operations = []
        if idempotency_key is not None:
            start_row = row_keys.start(run_id.pipeline_id, idempotency_key)
            operations.append(tables.create(start_row, USED_KEY.encode(used)))
        if waiter is not None:
            return self._callbacks.join(run_id, waiter, now, operations)

        def was_written() -> bool:
            row = self._partition.get(start_row)
            return row is not None and row.get("owner") == used.owner

        if operations and self._partition.commit(operations, was_written=was_written) is None:
            return None
        return self.find(run_id)

    # --- runs

    def list_active(self, pipeline_id: str | None = None) -> Scan[Locked[Run]]:
        """All active runs, or those of one pipeline."""
        prefix = row_keys.ACTIVE if pipeline_id is None else f"{row_keys.ACTIVE}{pipeline_id}:"
        return self._scan(row_keys.ACTIVE, prefix, decode_active)

    def save_transition(self, locked: Locked[Run], run: Run) -> Run | None:
        """Replace the run under its lock. Returns the stored run, or None when another transition was first.

        With None, nothing was written. The same batch deletes the `active` row of a finished run and makes its waiting
        callbacks due. A new attempt gets an alias row, so that no other run tracks its update.
        """
        change = _transition(locked, run)
        if not self.change(change):
            return None
        self._note_end(change.run)
        return change.run

    def save_transitions(self, transitions: Iterable[tuple[Locked[Run], Run]]) -> Iterator[tuple[Run, bool]]:
        """Save many transitions, each as `save_transition` does. Yields each run, and whether it was saved.

        False means that another transition of that run was first. After StorageUnavailable, the runs that were not
        yielded may have been saved or not.
        """
        changes = (_transition(locked, run) for locked, run in transitions)
        for change, saved in self.change_all(changes):
            if saved:
                self._note_end(change.run)
            yield change.run, saved

    def _note_end(self, run: Run) -> None:
        if run.is_finished:
            self._on_end(run)

    def abandon(self, run_id: RunId, finish: Callable[[Run], Run]) -> Run | None:
        """Finish an active run by `finish`, and owe its callbacks. Its `active` row may be unreadable or missing.

        Returns the run as it is stored now. None when it is not active, or another change was first.
        """
        try:
            locked = self.find_active(run_id)
        except RowUnreadable:
            locked = None
        if locked is not None:
            return self.save_transition(locked, finish(locked.value))
        abandoned = self.finish_without_active_row(run_id, lambda run: owe_waiting(finish(run)), queue)
        if abandoned is not None:
            self._note_end(abandoned)
        return abandoned

    def list_recent(self, wanted: RunFilter, *, limit: int, continuation: str | None, deadline: Deadline) -> RunPage:
        """A page of runs, newest first, with what was found until `deadline`.

        InvalidRequest when the continuation is not one of an earlier page.
        """
        after = row_keys.decode_continuation(continuation, row_keys.RECENT)
        if wanted.until is not None:
            after = max(after, row_keys.recent_before(wanted.until))
        end = row_keys.end_of(row_keys.RECENT) if wanted.since is None else row_keys.recent_before(wanted.since)
        rows = (
            self._active_newest_first(wanted, after, end)
            if wanted.active
            else recent_rows(self._partition, wanted, after, end, limit, deadline.clock)
        )
        found: list[Run] = []
        last_key = after
        for key, run in rows:
            if run is not None and len(found) == limit:
                return RunPage(runs=tuple(found), continuation=row_keys.encode_continuation(last_key))
            last_key = key
            if run is not None:
                found.append(run)
            elif deadline.is_over():
                return RunPage(runs=tuple(found), continuation=row_keys.encode_continuation(last_key))
        return RunPage(runs=tuple(found), continuation=None)

    def _active_newest_first(self, wanted: RunFilter, after: str, end: str) -> Iterator[tuple[str, Run | None]]:
        runs = (locked.value for locked in self.list_active(wanted.pipeline_id).rows)
        keyed = sorted((row_keys.recent(run.run_id, run.accepted_at), run) for run in runs)
        return (
            (key, run)
            for key, run in keyed
            if after < key <= end and (wanted.status is None or status_of_run(run) == wanted.status)
        )

    # --- the sweep

    def list_reservations(self) -> Scan[Locked[Reservation]]:
        """All starts in flight. An unreadable row prevents other starts of its pipeline."""
        return self._scan(row_keys.STARTING, row_keys.STARTING, RESERVATION.decode)

    def _scan(self, kind: str, prefix: str, decode: Callable[[Mapping[str, object]], _T]) -> Scan[Locked[_T]]:
        found: list[Locked[_T]] = []
        unreadable: list[UnreadableRow] = []
        for row in self._partition.scan(prefix):
            try:
                found.append(Locked(value=decode(row), etag=etag_of(row)))
            except RowUnreadable:
                key = str(row["RowKey"])
                unreadable.append(
                    UnreadableRow(partition=self._partition.name, key=key, subject=key.removeprefix(kind))
                )
        return Scan(rows=tuple(found), unreadable=tuple(unreadable))

    def last_sweep(self) -> LastSweep | None:
        """The workspace's last sweep. None when there was none, or when its row is unreadable."""
        row = self._partition.get(row_keys.SWEEP_LAST)
        return None if row is None else _decode_sweep(row)

    def claim_sweep(self, now: datetime, *, until: datetime, unless_swept_since: datetime) -> SweepClaim | None:
        """Take the workspace's next sweep until `until`, or until `save_last_sweep`.

        None when another sweep of it is under way, or one began after `unless_swept_since`.
        """
        row = self._partition.get(row_keys.SWEEP_LAST)
        last = None if row is None else _decode_sweep(row)
        claimed_until = None if row is None else row.get("claimedUntil")
        if isinstance(claimed_until, datetime) and claimed_until > now:
            return None
        if last is not None and last.swept_at > unless_swept_since:
            return None
        claim = {"claimedUntil": until, "claimedBy": self._new_id()}
        operation = (
            tables.create(row_keys.SWEEP_LAST, claim)
            if row is None
            else tables.merge(row_keys.SWEEP_LAST, claim, etag_of(row))
        )

        def was_written() -> bool:
            found = self._partition.get(row_keys.SWEEP_LAST)
            return found is not None and found.get("claimedBy") == claim["claimedBy"]

        return SweepClaim(last=last) if self._partition.commit([operation], was_written=was_written) else None

    def save_last_sweep(self, last: LastSweep) -> None:
        self._partition.put(row_keys.SWEEP_LAST, encode_last_sweep(last))


def _decode_sweep(row: Mapping[str, object]) -> LastSweep | None:
    try:
        return decode_last_sweep(row)
    except RowUnreadable:
        return None


def _transition(locked: Locked[Run], run: Run) -> RunChange:
    owing = owe_waiting(run) if run.is_finished else run
    return RunChange(locked=locked, run=owing, extra_operations=queue(owing))


def _end(locked: Locked[Reservation]) -> Operation:
    return tables.delete(row_keys.starting(locked.value.pipeline_id), locked.etag)


def _outcome(reservation: Reservation, run_id: RunId, attached: bool) -> list[Operation]:
    """The operations that complete the key of a start. None without a key."""
    if reservation.start_row is None:
        return []
    return [tables.merge(reservation.start_row, {"runId": str(run_id), "attached": attached})]
