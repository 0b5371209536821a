"""Deletes what has been kept long enough: finished runs with all their rows, and used keys. In bounded pieces."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import islice

from polysync_core.adapters import tables
from polysync_core.adapters.tables import Table, etag_of
from polysync_core.errors import RowUnreadable
from polysync_core.ids import RunId
from polysync_core.model import Run
from polysync_core.rules import row_keys
from polysync_core.rules.run_entity import decode_run, decode_used_key

MOST_RUNS, MOST_KEYS = 50, 200


class RunCleaner:
    """Every method may raise StorageUnavailable; what was deleted before stays deleted."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def delete_runs_before(self, workspace: str, cutoff: datetime) -> int:
        """Delete up to 50 finished runs that were accepted before `cutoff`. Gives how many were."""
        deleted = 0
        for run, etag in islice(self._old_runs(workspace, cutoff), MOST_RUNS):
            recent = row_keys.recent(run.run_id, run.accepted_at)
            rows = [row_keys.run(RunId(run.run_id.pipeline_id, attempt.update_id)) for attempt in run.attempts]
            rows += [row_keys.waiter(run.run_id, callback.callback_id) for callback in run.callbacks]
            operations = [
                tables.delete(_key(workspace, recent), etag),
                *(tables.delete(_key(workspace, key)) for key in rows),
            ]
            deleted += self._table.commit(operations, is_ours=partial(self._is_gone, workspace, recent))
        return deleted

    def _old_runs(self, workspace: str, cutoff: datetime) -> Iterator[tuple[Run, str]]:
        after = row_keys.recent_before(cutoff)
        for row in self._table.scan(workspace, row_keys.RECENT, after=after, page_size=MOST_RUNS):
            try:
                run = decode_run(row)
            except RowUnreadable:
                continue
            if run.is_finished:
                yield run, etag_of(row)

    def delete_keys_before(self, workspace: str, cutoff: datetime, after: str) -> str:
        """Look at 200 used keys after the row key `after` and delete those used before `cutoff`.

        Gives the row key to go on after: "" once all were looked at.
        """
        rows = list(islice(self._table.scan(workspace, row_keys.START, after=after, page_size=MOST_KEYS), MOST_KEYS))
        for row in rows:
            try:
                used_at = decode_used_key(row).used_at
            except RowUnreadable:
                continue
            if used_at < cutoff:
                key = str(row["RowKey"])
                self._table.commit(
                    [tables.delete(_key(workspace, key), etag_of(row))],
                    is_ours=partial(self._is_gone, workspace, key),
                )
        return str(rows[-1]["RowKey"]) if len(rows) == MOST_KEYS else ""

    def _is_gone(self, workspace: str, key: str) -> bool:
        return self._table.get(workspace, key) is None


def _key(workspace: str, key: str) -> dict[str, object]:
    return {"PartitionKey": workspace, "RowKey": key}
