"""Deletes what has been kept long enough: finished runs with all their rows, and used keys. In bounded pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from math import inf

from polysync_core.adapters import tables
from polysync_core.adapters.tables import Table, etag_of
from polysync_core.callback_model import CallbackState
from polysync_core.errors import RowUnreadable
from polysync_core.ids import RunId
from polysync_core.model import Run
from polysync_core.rules import row_keys
from polysync_core.rules.run_entity import decode_run, decode_used_key
from polysync_core.rules.run_transitions import MOST_ATTEMPTS

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
        """Delete up to 50 runs that finished before `cutoff` and owe no callback. Gives how many were."""
        deleted = 0
        for run, etag in islice(self._old_runs(workspace, cutoff, seconds_left), MOST_RUNS):
            if len(run.attempts) >= MOST_ATTEMPTS:
                self._delete_forgotten_attempts(workspace, run)
            recent = row_keys.recent(run.run_id, run.accepted_at)
            rows = [row_keys.run(RunId(run.run_id.pipeline_id, attempt.update_id)) for attempt in run.attempts]
            rows += [row_keys.waiter(run.run_id, callback.callback_id) for callback in run.callbacks]
            operations = [
                tables.delete(_key(workspace, recent), etag),
                *(tables.delete(_key(workspace, key)) for key in rows),
            ]
            deleted += self._table.commit(operations, is_ours=partial(self._is_gone, workspace, recent))
        return deleted

    def _old_runs(self, workspace: str, cutoff: datetime, seconds_left: SecondsLeft) -> Iterator[tuple[Run, str]]:
        """A run may last longer than it is kept, so its end counts; by its beginning it is only found."""
        after = row_keys.recent_before(cutoff)
        for row in self._table.scan(workspace, row_keys.RECENT, after=after, page_size=MOST_RUNS):
            if seconds_left() <= 0:
                return
            try:
                run = decode_run(row)
            except RowUnreadable:
                continue
            if run.finished_at is not None and run.finished_at < cutoff and not _owes(run):
                yield run, etag_of(row)

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
            self._table.commit([tables.delete(_key(workspace, key)) for key in keys], is_ours=lambda: False)

    def delete_keys_before(
        self, workspace: str, cutoff: datetime, after: str, *, seconds_left: SecondsLeft = _no_hurry
    ) -> str:
        """Look at 200 used keys after the row key `after`; delete those used before `cutoff` whose run is gone.

        Gives the row key to go on after: "" once all were looked at.
        """
        rows = list(islice(self._table.scan(workspace, row_keys.START, after=after, page_size=MOST_KEYS), MOST_KEYS))
        for row in rows:
            if seconds_left() <= 0:
                return after
            after = key = str(row["RowKey"])
            try:
                used = decode_used_key(row)
            except RowUnreadable:
                continue
            if used.used_at < cutoff and not self._is_kept(workspace, used.run_id):
                self._table.commit(
                    [tables.delete(_key(workspace, key), etag_of(row))],
                    is_ours=partial(self._is_gone, workspace, key),
                )
        return after if len(rows) == MOST_KEYS else ""

    def _is_kept(self, workspace: str, run_id: RunId | None) -> bool:
        return run_id is not None and not self._is_gone(workspace, row_keys.run(run_id))

    def _is_gone(self, workspace: str, key: str) -> bool:
        return self._table.get(workspace, key) is None


def _owes(run: Run) -> bool:
    return any(callback.state is CallbackState.DUE for callback in run.callbacks)


def _key(workspace: str, key: str) -> dict[str, object]:
    return {"PartitionKey": workspace, "RowKey": key}
