"""Deletes what has been kept long enough: finished runs with all their rows, and used keys. In bounded pieces."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import islice
from math import inf

from azure.data.tables import TableEntity

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.tables import Table, etag_of, written_at_of
from polysync_core.rules.decisions.run_transitions import MOST_ATTEMPTS
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import decode_run, decode_used_key
from polysync_core.values.callback import CallbackState
from polysync_core.values.errors import RowUnreadable, StorageUnavailable
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run

_log = logging.getLogger("polysync.clean")
MOST_RUNS, MOST_KEYS = 50, 200
_A_BATCH = 100
SecondsLeft = Callable[[], float]


def _no_hurry() -> float:
    return inf


class RunCleaner:
    """Every method may raise StorageUnavailable; what was deleted before stays deleted.

    Nothing is begun once `seconds_left()` is down to 0; what is left then is for the next time.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def delete_runs_before(self, workspace: str, cutoff: datetime, *, seconds_left: SecondsLeft = _no_hurry) -> int:
        """Delete up to 50 runs that finished before `cutoff` and owe no callback. Gives how many were.

        A run may last longer than it is kept, so its end counts; by its beginning it is only found. One whose rows
        cannot be deleted is logged and left, and holds up no other.
        """
        deleted = 0
        after = row_keys.recent_before(cutoff)
        for row in self._table.scan(workspace, row_keys.RECENT, after=after, page_size=MOST_RUNS):
            if deleted >= MOST_RUNS or seconds_left() <= 0:
                break
            try:
                deleted += self._delete_run(workspace, row, cutoff)
            except StorageUnavailable as error:
                _log.warning("old row %s could not be deleted: %s", row["RowKey"], error.detail)
        return deleted

    def _delete_run(self, workspace: str, row: TableEntity, cutoff: datetime) -> bool:
        """Delete the run of a `recent` row with all its rows, if it is old enough."""
        recent = str(row["RowKey"])
        try:
            run = decode_run(row)
        except RowUnreadable:
            behind = self._table.get(workspace, row_keys.RUN + row_keys.id_of_recent(recent))
            try:
                run = decode_run({} if behind is None else behind)
            except RowUnreadable:
                return self._delete_unreadable_run(workspace, row, behind, cutoff)
        if run.finished_at is None or run.finished_at >= cutoff or _owes(run):
            return False
        if len(run.attempts) >= MOST_ATTEMPTS:
            self._delete_forgotten_attempts(workspace, run)
        rows = [row_keys.run(RunId(run.run_id.pipeline_id, attempt.update_id)) for attempt in run.attempts]
        rows += [row_keys.waiter(run.run_id, callback.callback_id) for callback in run.callbacks]
        operations = [
            tables.delete(_key(workspace, recent), etag_of(row)),
            *(tables.delete(_key(workspace, key)) for key in dict.fromkeys(rows)),
        ]
        return self._table.commit(operations, was_written=partial(self._is_gone, workspace, recent))

    def _delete_unreadable_run(
        self, workspace: str, row: TableEntity, behind: TableEntity | None, cutoff: datetime
    ) -> bool:
        """Delete a `recent` row that cannot be read, and the `run` row behind it, which cannot either or is gone."""
        unreadable = [row] if behind is None else [row, behind]
        active = row_keys.ACTIVE + row_keys.id_of_recent(str(row["RowKey"]))
        if not all(_is_written_before(one, cutoff) for one in unreadable) or not self._is_gone(workspace, active):
            return False
        operations = [tables.delete(_key(workspace, str(one["RowKey"])), etag_of(one)) for one in unreadable]
        return self._table.commit(operations, was_written=partial(self._is_gone, workspace, str(row["RowKey"])))

    def _delete_forgotten_attempts(self, workspace: str, run: Run) -> None:
        """The rows that lead from attempts to the run, of attempts that the run itself has not kept."""
        kept = {row_keys.run(RunId(run.run_id.pipeline_id, attempt.update_id)) for attempt in run.attempts}
        rows = self._table.scan(
            workspace,
            f"{row_keys.RUN}{run.run_id.pipeline_id}:",
            where="aliasOf eq @run",
            values={"run": row_keys.run(run.run_id)},
        )
        forgotten = [key for row in rows if (key := str(row["RowKey"])) not in kept]
        for begin in range(0, len(forgotten), _A_BATCH):
            keys = forgotten[begin : begin + _A_BATCH]
            self._table.commit([tables.delete(_key(workspace, key)) for key in keys], was_written=lambda: False)

    def delete_keys_before(
        self, workspace: str, cutoff: datetime, after: str, *, seconds_left: SecondsLeft = _no_hurry
    ) -> str:
        """Look at 200 used keys after the row key `after`; delete those used before `cutoff` whose run is gone.

        Gives the row key to go on after: "" once all were looked at. A key that cannot be read goes by its last
        writing; one whose start has no outcome stays for as long as that start's reservation.
        """
        rows = list(islice(self._table.scan(workspace, row_keys.START, after=after, page_size=MOST_KEYS), MOST_KEYS))
        for row in rows:
            if seconds_left() <= 0:
                return after
            after = key = str(row["RowKey"])
            try:
                if self._may_go(workspace, row, cutoff):
                    self._table.commit(
                        [tables.delete(_key(workspace, key), etag_of(row))],
                        was_written=partial(self._is_gone, workspace, key),
                    )
            except StorageUnavailable as error:
                _log.warning("old row %s could not be deleted: %s", key, error.detail)
        return after if len(rows) == MOST_KEYS else ""

    def _may_go(self, workspace: str, row: TableEntity, cutoff: datetime) -> bool:
        try:
            used = decode_used_key(row)
        except RowUnreadable:
            return _is_written_before(row, cutoff) and not self._is_reserved(workspace, row)
        if used.used_at >= cutoff:
            return False
        if used.run_id is None:
            return not self._is_reserved(workspace, row)
        return self._is_gone(workspace, row_keys.run(used.run_id))

    def _is_reserved(self, workspace: str, row: TableEntity) -> bool:
        """Whether a reservation, be it spoilt, still leads to this key."""
        leading = self._table.scan(
            workspace,
            row_keys.STARTING,
            where="( startRow eq @key or owner eq @owner )",
            values={"key": str(row["RowKey"]), "owner": str(row.get("owner"))},
        )
        return any(True for _ in leading)

    def _is_gone(self, workspace: str, key: str) -> bool:
        return self._table.get(workspace, key) is None


def _is_written_before(row: TableEntity, cutoff: datetime) -> bool:
    written_at = written_at_of(row)
    return written_at is not None and written_at < cutoff


def _owes(run: Run) -> bool:
    return any(callback.state is CallbackState.DUE for callback in run.callbacks)


def _key(workspace: str, key: str) -> dict[str, object]:
    return {"PartitionKey": workspace, "RowKey": key}
