"""Deletes rows after their retention: finished runs with all their rows, and used keys. Each call is bounded."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial
from itertools import islice

from azure.data.tables import TableEntity

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.tables import Partition, etag_of, written_at_of
from polysync_core.rules.decisions.run_transitions import MOST_ATTEMPTS
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import RUN, USED_KEY
from polysync_core.values.callback import CallbackState
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import RowUnreadable, StorageUnavailable
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run

_log = logging.getLogger("polysync.clean")
MOST_RUNS, MOST_KEYS = 50, 200
_A_BATCH = 100


class RunCleaner:
    """Deletes old rows of one workspace. Every method may raise StorageUnavailable; earlier deletions remain.

    No deletion begins after the deadline. The next call continues.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition

    def delete_runs_before(self, cutoff: datetime, *, deadline: Deadline) -> int:
        """Delete up to 50 runs that finished before `cutoff` and owe no callback. Returns how many.

        Runs are searched by the time when they were accepted. Only their end counts, because a run may last longer than
        the retention. If the rows of a run cannot be deleted, the error is logged and the next run is handled.
        """
        deleted = 0
        after = row_keys.recent_before(cutoff)
        for row in self._partition.scan(row_keys.RECENT, after=after, page_size=MOST_RUNS):
            if deleted >= MOST_RUNS or deadline.is_over():
                break
            try:
                deleted += self._delete_run(row, cutoff)
            except StorageUnavailable as error:
                _log.warning("old row %s could not be deleted: %s", row["RowKey"], error.detail)
        return deleted

    def _delete_run(self, row: TableEntity, cutoff: datetime) -> bool:
        """Delete the run of a `recent` row with all its rows, if it is old enough. Returns whether it was deleted."""
        recent = str(row["RowKey"])
        try:
            run = RUN.decode(row)
        except RowUnreadable:
            return self._delete_unreadable_run(row, cutoff)
        if run.finished_at is None or run.finished_at >= cutoff or _owes(run):
            return False
        if len(run.attempts) >= MOST_ATTEMPTS:
            self._delete_forgotten_attempts(run)
        rows = [row_keys.run(RunId(run.run_id.pipeline_id, attempt.update_id)) for attempt in run.attempts]
        rows += [row_keys.waiter(run.run_id, callback.callback_id) for callback in run.callbacks]
        operations = [
            tables.delete(recent, etag_of(row)),
            *(tables.delete(key) for key in dict.fromkeys(rows)),
        ]
        return self._partition.commit(operations, was_written=partial(self._is_gone, recent)) is not None

    def _delete_unreadable_run(self, row: TableEntity, cutoff: datetime) -> bool:
        """Delete an unreadable `recent` row and its `run` row, if both are old and the run is not active.

        A row is old if its last write was before `cutoff`. Returns whether the rows were deleted.
        """
        recent, run_id = str(row["RowKey"]), row_keys.id_of_recent(str(row["RowKey"]))
        run_row = self._partition.get(row_keys.RUN + run_id)
        rows = [row] if run_row is None else [row, run_row]
        if not all(_is_written_before(one, cutoff) for one in rows) or not self._is_gone(row_keys.ACTIVE + run_id):
            return False
        operations = [tables.delete(str(one["RowKey"]), etag_of(one)) for one in rows]
        return self._partition.commit(operations, was_written=partial(self._is_gone, recent)) is not None

    def _delete_forgotten_attempts(self, run: Run) -> None:
        """Delete the alias rows of those attempts that the run itself does not hold any more."""
        kept = {row_keys.run(RunId(run.run_id.pipeline_id, attempt.update_id)) for attempt in run.attempts}
        rows = self._partition.scan(
            f"{row_keys.RUN}{run.run_id.pipeline_id}:",
            where="aliasOf eq @run",
            values={"run": row_keys.run(run.run_id)},
        )
        forgotten = [key for row in rows if (key := str(row["RowKey"])) not in kept]
        for begin in range(0, len(forgotten), _A_BATCH):
            keys = forgotten[begin : begin + _A_BATCH]
            self._partition.commit([tables.delete(key) for key in keys], was_written=lambda: False)

    def delete_keys_before(self, cutoff: datetime, after: str, *, deadline: Deadline) -> str:
        """Check 200 used keys after the row key `after`. Delete those used before `cutoff` whose run is deleted.

        Returns the row key to continue after, or "" once all keys were checked. For an unreadable key, the time of its
        last write counts. A key whose start has no outcome stays while the reservation of that start exists.
        """
        rows = list(islice(self._partition.scan(row_keys.START, after=after, page_size=MOST_KEYS), MOST_KEYS))
        for row in rows:
            if deadline.is_over():
                return after
            after = key = str(row["RowKey"])
            try:
                if self._may_go(row, cutoff):
                    self._partition.commit(
                        [tables.delete(key, etag_of(row))],
                        was_written=partial(self._is_gone, key),
                    )
            except StorageUnavailable as error:
                _log.warning("old row %s could not be deleted: %s", key, error.detail)
        return after if len(rows) == MOST_KEYS else ""

    def _may_go(self, row: TableEntity, cutoff: datetime) -> bool:
        try:
            used = USED_KEY.decode(row)
        except RowUnreadable:
            return _is_written_before(row, cutoff) and not self._is_reserved(row)
        if used.used_at >= cutoff:
            return False
        if used.run_id is None:
            return not self._is_reserved(row)
        return self._is_gone(row_keys.run(used.run_id))

    def _is_reserved(self, row: TableEntity) -> bool:
        """Whether a reservation, readable or not, still belongs to this key."""
        leading = self._partition.scan(
            row_keys.STARTING,
            where="( startRow eq @key or owner eq @owner )",
            values={"key": str(row["RowKey"]), "owner": str(row.get("owner"))},
        )
        return any(True for _ in leading)

    def _is_gone(self, key: str) -> bool:
        return self._partition.get(key) is None


def _is_written_before(row: TableEntity, cutoff: datetime) -> bool:
    written_at = written_at_of(row)
    return written_at is not None and written_at < cutoff


def _owes(run: Run) -> bool:
    return any(callback.state is CallbackState.DUE for callback in run.callbacks)
