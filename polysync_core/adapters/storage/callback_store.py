"""Callbacks in the table PolysyncRuns: who waits for a run (`waiter` rows), what is owed and when (`callback` rows).

How each callback stands is a column of the run itself. So every change of it is made under the run's lock, and a
caller who joins a run while it finishes is either among its waiters or finds it finished, never between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.run_rows import RunRows, row_of
from polysync_core.adapters.storage.tables import Operation, Table, etag_of
from polysync_core.rules.decisions import callback_rules
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.callback_entity import decode_owed, decode_waiter, encode_owed, encode_waiter
from polysync_core.rules.rows.columns import Columns
from polysync_core.values.callback import Callback, CallbackState, HeldCallback, OwedCallback, Waiter
from polysync_core.values.errors import RowUnreadable, StorageUnavailable
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run

_RACES = 30
"""The most that all callbacks of one run can get in each other's way."""


class CallbackStore:
    """All reads and writes of callbacks. Every method may raise StorageUnavailable."""

    def __init__(self, table: Table, rows: RunRows, new_id: Callable[[], str]) -> None:
        self._table = table
        self._rows = rows
        self._new_id = new_id

    # --- who waits

    def find_waiter(self, workspace: str, run_id: RunId, callback_id: str) -> Waiter | None:
        row = self._table.get(workspace, row_keys.waiter(run_id, callback_id))
        return None if row is None else decode_waiter(row)

    def join(
        self, workspace: str, run_id: RunId, waiter: Waiter, now: datetime, extra_operations: Sequence[Operation] = ()
    ) -> Run | None:
        """Let a caller wait for a run; one who waits already is called at the new address instead.

        A finished run owes the callback at once, also when it was delivered to another address before; the same address
        as before changes nothing. `beside` are operations for the same batch. None: no such run. Raises
        TooManyCallbacks: then nothing was written.
        """

        def change(run: Run) -> tuple[Run, list[Operation]]:
            known = self.find_waiter(workspace, run_id, waiter.callback_id)
            if known is not None and known.address.leads_where(waiter.address):
                return run, []
            joined = callback_rules.put_waiter(run, waiter, now)
            queued = self._queue_anew(joined, waiter.callback_id) if run.is_finished else []
            return joined, [*extra_operations, tables.replace(waiter_row(run, waiter)), *queued]

        return self._change(workspace, run_id, change)

    def leave(self, workspace: str, run_id: RunId, callback_id: str) -> Run | None:
        """End a caller's waiting for an active run. A finished run, or one without that waiter, is left as it is."""

        def change(run: Run) -> tuple[Run, list[Operation]]:
            key = row_keys.waiter(run_id, callback_id)
            row = self._table.get(workspace, key)
            if run.is_finished or row is None:
                return run, []
            return callback_rules.remove_waiter(run, callback_id), [tables.delete(row_of(workspace, key), etag_of(row))]

        return self._change(workspace, run_id, change)

    def owe_again(self, workspace: str, run_id: RunId, now: datetime) -> Run | None:
        """Owe every callback of a finished run once more, due at once. An active run is left as it is."""

        def change(run: Run) -> tuple[Run, list[Operation]]:
            if not run.is_finished:
                return run, []
            owing = callback_rules.owe_all(run, now)
            return owing, self._queue_anew(owing)

        return self._change(workspace, run_id, change)

    def _change(
        self, workspace: str, run_id: RunId, change: Callable[[Run], tuple[Run, list[Operation]]]
    ) -> Run | None:
        """Change the run, and the rows beside it, under its lock; begun anew whenever another change was first."""
        for _ in range(_RACES):
            tracked = self._rows.find_locked(workspace, run_id)
            if tracked is None:
                return None
            run, extra_operations = change(tracked.run)
            if run == tracked.run and not extra_operations:
                return run
            if self._rows.change(tracked, run, extra_operations):
                return run
        raise StorageUnavailable("The run changed again and again while its callbacks were to change; repeat it.")

    # --- what is owed

    def due(self, workspace: str, now: datetime) -> Iterator[HeldCallback | str]:
        """What is due at `now`, the longest due first; of a row that cannot be read its key."""
        rows = self._table.scan(
            workspace, row_keys.CALLBACK, where="RowKey lt @until", values={"until": row_keys.due_until(now)}
        )
        for row in rows:
            try:
                yield HeldCallback(owed=decode_owed(row), etag=etag_of(row))
            except RowUnreadable:
                yield str(row["RowKey"])

    def restore(self, workspace: str, key: str) -> None:
        """Write a spoilt `callback` row anew from what its key and its run say; delete it when its run owes nothing.

        A key that is none of ours is left. RowUnreadable when the run's row is spoilt too.
        """
        row = self._table.get(workspace, key)
        try:
            run_id, callback_id, due_at = row_keys.parse_callback(key)
        except ValueError:
            return
        if row is None:
            return
        tracked = self._rows.find_finished(workspace, run_id)
        callback = None if tracked is None else _callback_of(tracked.run, callback_id)
        if callback is None or callback.state is not CallbackState.DUE:
            operation = tables.delete(row_of(workspace, key), etag_of(row))
        else:
            owed = OwedCallback(
                workspace=workspace,
                run_id=run_id,
                callback_id=callback_id,
                host=callback.host,
                due_at=due_at,
                tries=callback.tries,
            )
            operation = tables.replace(_owed_row(owed), etag_of(row))
        self._table.commit([operation], was_written=lambda: False)

    def claim(self, held: HeldCallback, now: datetime) -> HeldCallback | None:
        """Put the callback off for as long as it takes to send it. None when somebody else has it, or it was ended."""
        claimed, token = callback_rules.claim(held.owed, now), self._new_id()
        mine = {**_owed_row(claimed), "claimedBy": token}

        def found() -> HeldCallback | None:
            row = self._table.get(claimed.workspace, str(mine["RowKey"]))
            if row is None or row.get("claimedBy") != token:
                return None
            return HeldCallback(owed=claimed, etag=etag_of(row))

        won = self._table.commit([_delete(held), tables.create(mine)], was_written=lambda: found() is not None)
        return found() if won else None

    def save_try(self, held: HeldCallback, decide: Callable[[Callback], Callback]) -> Callback | None:
        """Write down what came of a try: `decide` gets the callback as it stands and gives it as it stands now.

        None when the callback was ended, moved or owed anew meanwhile, or its run is gone: then nothing was written.
        """
        owed = held.owed
        for _ in range(_RACES):
            tracked = self._rows.find_finished(owed.workspace, owed.run_id)
            callback = None if tracked is None else _callback_of(tracked.run, owed.callback_id)
            if tracked is None or callback is None:
                self.drop(held)
                return None
            after = decide(callback)
            operations = [_delete(held)]
            if after.state is CallbackState.DUE and after.next_attempt_at is not None:
                operations = _put_off(held, after.next_attempt_at)
            if self._rows.change(tracked, callback_rules.put_callback(tracked.run, after), operations):
                return after
            row = self._table.get(owed.workspace, _key_of(owed))
            if row is None or etag_of(row) != held.etag:
                return None
        raise StorageUnavailable("The run changed again and again while a delivery was to be written down.")

    def put_off(self, held: HeldCallback, due_at: datetime) -> None:
        """Let an owed callback be due later, without a word about it in its run. Nothing if somebody else has it."""
        self._table.commit(_put_off(held, due_at), was_written=lambda: False)

    def drop(self, held: HeldCallback) -> None:
        """Forget an owed callback that nobody waits for any more."""
        self._table.commit([_delete(held)], was_written=lambda: False)

    def _queue_anew(self, run: Run, callback_id: str | None = None) -> list[Operation]:
        """Queue the run's due callbacks, or the one of that id, in place of what the queue holds of them."""
        rows = self._table.scan(
            run.workspace, row_keys.CALLBACK, where="runId eq @run", values={"run": str(run.run_id)}
        )
        held = {str(row["RowKey"]): etag_of(row) for row in rows if callback_id in {None, row.get("callbackId")}}
        owed = {_key_of(entry): entry for entry in callback_rules.owed_of(run, callback_id=callback_id)}
        return [
            *(tables.delete(row_of(run.workspace, key), etag) for key, etag in held.items() if key not in owed),
            *(tables.replace(_owed_row(entry), held[key]) for key, entry in owed.items() if key in held),
            *(tables.create(_owed_row(entry)) for key, entry in owed.items() if key not in held),
        ]


def waiter_row(run: Run, waiter: Waiter) -> Columns:
    return row_of(run.workspace, row_keys.waiter(run.run_id, waiter.callback_id), encode_waiter(waiter))


def queue(run: Run, callback_id: str | None = None) -> list[Operation]:
    """Put the run's due callbacks, or the one of that id, into the queue."""
    return [tables.create(_owed_row(owed)) for owed in callback_rules.owed_of(run, callback_id=callback_id)]


def _callback_of(run: Run, callback_id: str) -> Callback | None:
    return next((entry for entry in run.callbacks if entry.callback_id == callback_id), None)


def _key_of(owed: OwedCallback) -> str:
    return row_keys.callback(owed.run_id, owed.callback_id, owed.due_at)


def _owed_row(owed: OwedCallback) -> Columns:
    return row_of(owed.workspace, _key_of(owed), encode_owed(owed))


def _put_off(held: HeldCallback, due_at: datetime) -> list[Operation]:
    """Move the row to another due time. A batch must not name one row twice, so the same time is written over."""
    later = replace(held.owed, due_at=due_at)
    if _key_of(later) == _key_of(held.owed):
        return [tables.replace(_owed_row(later), held.etag)]
    return [_delete(held), tables.create(_owed_row(later))]


def _delete(held: HeldCallback) -> Operation:
    return tables.delete(row_of(held.owed.workspace, _key_of(held.owed)), held.etag)
