"""Callbacks in the table PolysyncRuns. `waiter` rows are waiting callers, `callback` rows are callbacks to send.

The run itself holds the state of each callback, so every change of it is made under the run's lock. A caller may join a
run while it finishes. It is then either one of the waiters or finds the run finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.races import retry_lost_races
from polysync_core.adapters.storage.run_rows import RunChange, RunRows
from polysync_core.adapters.storage.tables import Operation, Partition, etag_of
from polysync_core.adapters.storage.unreadable import MOST_LOGGED, log_unreadable
from polysync_core.rules.decisions import callback_rules
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.callback_entity import OWED, WAITER
from polysync_core.values.callback import Callback, CallbackState, OwedCallback, Waiter
from polysync_core.values.errors import RowUnreadable, TooBusy
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run
from polysync_core.values.stored import Locked

_MOST_RACES = 30
"""A run has up to 20 callbacks. All may change at the same time, and each change may be first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedTry:
    """A try whose result is to be saved.

    `run` was read before the try. `decide` takes the callback as it is stored, and returns it as it is to be.
    """

    claimed: Locked[OwedCallback]
    run: Locked[Run]
    decide: Callable[[Callback], Callback]


class CallbackStore:
    """All reads and writes of one workspace's callbacks. Every method may raise StorageUnavailable."""

    def __init__(self, partition: Partition, rows: RunRows, new_id: Callable[[], str]) -> None:
        self._partition = partition
        self._rows = rows
        self._new_id = new_id

    # --- waiting callers

    def find_waiter(self, run_id: RunId, callback_id: str) -> Waiter | None:
        row = self._partition.get(row_keys.waiter(run_id, callback_id))
        return None if row is None else WAITER.decode(row)

    def join(
        self, run_id: RunId, waiter: Waiter, now: datetime, extra_operations: Sequence[Operation] = ()
    ) -> Run | None:
        """Let a caller wait for a run. If the caller already waits, the new address replaces the old one.

        The callback of a finished run is due at once, even if it was delivered to another address before. If the
        address is the same as before, nothing is written. `extra_operations` go into the same batch. Returns the run,
        or None if there is none. Raises TooManyCallbacks and TooBusy; nothing was written then.
        """

        def change(run: Run) -> tuple[Run, list[Operation]]:
            known = self.find_waiter(run_id, waiter.callback_id)
            if known is not None and known.address.leads_where(waiter.address):
                return run, []
            joined = callback_rules.put_waiter(run, waiter, now)
            queued = self._queue_anew(joined, waiter.callback_id) if run.is_finished else []
            return joined, [*extra_operations, tables.replace(*waiter_row(run_id, waiter)), *queued]

        return self._change(run_id, change)

    def leave(self, run_id: RunId, callback_id: str) -> Run | None:
        """Remove a waiter from an active run. Returns the run, or None if there is none.

        A finished run, or one without that waiter, stays unchanged. Raises TooBusy.
        """

        def change(run: Run) -> tuple[Run, list[Operation]]:
            key = row_keys.waiter(run_id, callback_id)
            row = self._partition.get(key)
            if run.is_finished or row is None:
                return run, []
            return callback_rules.remove_waiter(run, callback_id), [tables.delete(key, etag_of(row))]

        return self._change(run_id, change)

    def owe_again(self, run_id: RunId, now: datetime) -> Run | None:
        """Make every callback of a finished run due again, at once. Returns the run, or None if there is none.

        An active run stays unchanged. Raises TooBusy.
        """

        def change(run: Run) -> tuple[Run, list[Operation]]:
            if not run.is_finished:
                return run, []
            owing = callback_rules.owe_all(run, now)
            return owing, self._queue_anew(owing)

        return self._change(run_id, change)

    def _change(self, run_id: RunId, change: Callable[[Run], tuple[Run, list[Operation]]]) -> Run | None:
        """Change the run and the rows that belong to it, under its lock. Raises TooBusy."""

        def attempt() -> Run | None:
            locked = self._rows.find_locked(run_id)
            if locked is None:
                return None
            run, operations = change(locked.value)
            if run == locked.value and not operations:
                return run
            if not self._rows.change(RunChange(locked=locked, run=run, extra_operations=operations)):
                raise TooBusy(f"Run {run_id} changes all the time, so its callbacks were not changed; repeat it.")
            return run

        return retry_lost_races(attempt, _MOST_RACES)

    # --- due callbacks

    def due(self, now: datetime) -> Iterator[Locked[OwedCallback]]:
        """The callbacks that are due at `now`, the longest due first. An unreadable row is logged and skipped."""
        return self._owed(where="RowKey lt @until", values={"until": row_keys.due_until(now)})

    def queue(self) -> Iterator[Locked[OwedCallback]]:
        """All callbacks that are owed, in the order of their due times. An unreadable row is logged and skipped."""
        return self._owed()

    def _owed(self, **where: Any) -> Iterator[Locked[OwedCallback]]:
        unreadable = 0
        for row in self._partition.scan(row_keys.CALLBACK, **where):
            try:
                yield Locked(value=OWED.decode(row), etag=etag_of(row))
            except RowUnreadable:
                unreadable += 1
                if unreadable <= MOST_LOGGED:
                    log_unreadable(self._partition.name, str(row["RowKey"]), "deliver")

    def claim(self, locked: Locked[OwedCallback], now: datetime) -> Locked[OwedCallback] | None:
        """Claim the callback: move its due time on, so that no other instance sends it now.

        None when another instance claimed it first, or when it was ended.
        """
        won = self._claim([locked], now)
        return None if won is None else won[0]

    def claim_all(self, due: Sequence[Locked[OwedCallback]], now: datetime) -> list[Locked[OwedCallback] | None]:
        """Claim callbacks of this workspace, at most 50, each as `claim` does. Returns an entry for each of them.

        They share a batch. If one of them is not as expected, each is claimed on its own. Of two rows of one callback
        only the first is claimed. The other one stays due.
        """
        first = {(entry.value.run_id, entry.value.callback_id): entry for entry in reversed(due)}
        wanted = [entry for entry in due if first[entry.value.run_id, entry.value.callback_id] is entry]
        together = self._claim(wanted, now)
        claims = together if together is not None else [self.claim(entry, now) for entry in wanted]
        won = {_key_of(entry.value): claimed for entry, claimed in zip(wanted, claims, strict=True)}
        return [won.get(_key_of(entry.value)) for entry in due]

    def _claim(self, due: Sequence[Locked[OwedCallback]], now: datetime) -> list[Locked[OwedCallback] | None] | None:
        """Claim all of the callbacks or none, in one batch. None when one of them was not as expected."""
        token = self._new_id()
        claims = [callback_rules.claim(locked.value, now) for locked in due]
        operations: list[Operation] = []
        for locked, claimed in zip(due, claims, strict=True):
            mine = {**OWED.encode(claimed), "claimedBy": token}
            operations += [_delete(locked), tables.create(_key_of(claimed), mine)]
        done = self._partition.commit(operations, was_written=lambda: self._find_claimed(claims[0], token) is not None)
        if done is None:
            return None
        etags = [done.etags.get(_key_of(claimed)) for claimed in claims]
        return [
            self._find_claimed(claimed, token) if etag is None else Locked(value=claimed, etag=etag)
            for claimed, etag in zip(claims, etags, strict=True)
        ]

    def _find_claimed(self, claimed: OwedCallback, token: str) -> Locked[OwedCallback] | None:
        row = self._partition.get(_key_of(claimed))
        if row is None or row.get("claimedBy") != token:
            return None
        return Locked(value=claimed, etag=etag_of(row))

    def find_finished_run(self, run_id: RunId) -> Locked[Run] | None:
        """The run with its lock, or None when it is not known or not finished."""
        return self._rows.find_finished(run_id)

    def save_together(self, tries: Sequence[FinishedTry]) -> Iterator[tuple[FinishedTry, Callback | None]]:
        """Save the results of many tries in few batches. Yields each try and its new callback.

        None where the result was not saved, because another change of the run was first: `save_try` saves it. Raises
        StorageUnavailable: then the results that were not yielded may have been saved or not.
        """
        together: dict[RunId, list[FinishedTry]] = {}
        for each in tries:
            of_run = together.setdefault(each.claimed.value.run_id, [each])
            if each.run.etag != of_run[0].run.etag:
                yield each, None
            elif each is not of_run[0]:
                of_run.append(each)
        afters, changes = [], []
        for of_run in together.values():
            after, change = _change_after(of_run)
            afters.append([*zip(of_run, after, strict=True)])
            changes.append(change)
        for of_run_after, (_, was_saved) in zip(afters, self._rows.change_all(changes), strict=True):
            for each, callback in of_run_after:
                yield each, callback if was_saved else None

    def save_try(self, locked: Locked[OwedCallback], decide: Callable[[Callback], Callback]) -> Callback | None:
        """Save the result of a try. `decide` takes the stored callback and returns the new one, which is saved.

        None when the callback was ended, moved or made due again meanwhile, or when its run is deleted. The run was not
        changed then. Raises TooBusy.
        """
        owed = locked.value

        def attempt() -> Callback | None:
            run = self._rows.find_finished(owed.run_id)
            callback = None if run is None else _callback_of(run.value, owed.callback_id)
            if run is None or callback is None:
                self.drop(locked)
                return None
            after = decide(callback)
            changed = callback_rules.put_callback(run.value, after)
            if self._rows.change(RunChange(locked=run, run=changed, extra_operations=_after_try(locked, after))):
                return after
            row = self._partition.get(_key_of(owed))
            if row is None or etag_of(row) != locked.etag:
                return None
            raise TooBusy(f"Run {owed.run_id} changes all the time, so the result of a delivery was not saved.")

        return retry_lost_races(attempt, _MOST_RACES)

    def drop(self, locked: Locked[OwedCallback]) -> None:
        """Delete the row of a callback for which no caller waits any more."""
        self._partition.commit([_delete(locked)], was_written=lambda: False)

    def _queue_anew(self, run: Run, callback_id: str | None = None) -> list[Operation]:
        """The operations that replace the run's `callback` rows by rows for its due callbacks.

        `callback_id` limits them to one callback.
        """
        rows = self._partition.scan(row_keys.CALLBACK, where="runId eq @run", values={"run": str(run.run_id)})
        queued = {str(row["RowKey"]): etag_of(row) for row in rows if callback_id in {None, row.get("callbackId")}}
        owed = {_key_of(entry): entry for entry in callback_rules.owed_of(run, callback_id=callback_id)}
        return [
            *(tables.delete(key, etag) for key, etag in queued.items() if key not in owed),
            *(tables.replace(key, OWED.encode(entry), queued[key]) for key, entry in owed.items() if key in queued),
            *(_create(entry) for key, entry in owed.items() if key not in queued),
        ]


def waiter_row(run_id: RunId, waiter: Waiter) -> tuple[str, Mapping[str, object]]:
    """The key and the columns of a waiter's row."""
    return row_keys.waiter(run_id, waiter.callback_id), WAITER.encode(waiter)


def queue(run: Run) -> list[Operation]:
    """The operations that insert a `callback` row for each due callback of the run."""
    return [_create(owed) for owed in callback_rules.owed_of(run)]


def _callback_of(run: Run, callback_id: str) -> Callback | None:
    return next((entry for entry in run.callbacks if entry.callback_id == callback_id), None)


def _key_of(owed: OwedCallback) -> str:
    return row_keys.callback(owed.run_id, owed.callback_id, owed.due_at)


def _create(owed: OwedCallback) -> Operation:
    return tables.create(_key_of(owed), OWED.encode(owed))


def _change_after(tries: Sequence[FinishedTry]) -> tuple[list[Callback | None], RunChange]:
    """The new callbacks after tries of one run, and its change. All of them read the same version of the run."""
    run, afters, operations = tries[0].run.value, list[Callback | None](), list[Operation]()
    for each in tries:
        callback = _callback_of(run, each.claimed.value.callback_id)
        after = None if callback is None else each.decide(callback)
        afters.append(after)
        if after is not None:
            run = callback_rules.put_callback(run, after)
            operations += _after_try(each.claimed, after)
    return afters, RunChange(locked=tries[0].run, run=run, extra_operations=operations)


def _after_try(claimed: Locked[OwedCallback], after: Callback) -> list[Operation]:
    """The operations that end the claimed row, or move it to the next try."""
    if after.state is CallbackState.DUE and after.next_attempt_at is not None:
        return _put_off(claimed, after.next_attempt_at)
    return [_delete(claimed)]


def _put_off(locked: Locked[OwedCallback], due_at: datetime) -> list[Operation]:
    """The operations that move the row to another due time.

    A batch must not name one row twice, so a row with the same key is replaced.
    """
    later = replace(locked.value, due_at=due_at)
    if _key_of(later) == _key_of(locked.value):
        return [tables.replace(_key_of(later), OWED.encode(later), locked.etag)]
    return [_delete(locked), _create(later)]


def _delete(locked: Locked[OwedCallback]) -> Operation:
    return tables.delete(_key_of(locked.value), locked.etag)
