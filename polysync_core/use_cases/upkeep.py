"""What a sweep does besides observing runs: settle starts and delete old rows. Both are bounded.

So they never delay an observation. The next sweeps continue with the rows that one sweep does not reach.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.threads import ContextPool
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets
from polysync_core.rules.decisions.sweep_rules import in_turn
from polysync_core.use_cases.resolving_starts import settle
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import PolysyncError, StorageUnavailable
from polysync_core.values.run import Reservation, UpkeepCursor
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.sweep")
_SETTLERS = 4
_CLEAN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Upkeep:
    """The upkeep of one sweep of one workspace. Its `client` is not the one that observes runs."""

    ws: WorkspaceServices
    client: BoundedClient
    began_at: datetime
    deadline: Deadline

    # --- starts without an answer

    def begin_settling(self, starts: Sequence[Locked[Reservation]], after: str, settle_seconds: int) -> Settling:
        """Settle `starts` in separate threads, beginning with those after the pipeline id `after`."""
        by_id = {held.value.pipeline_id: held for held in starts}
        pool = ContextPool(max_workers=_SETTLERS)
        futures = {
            pipeline_id: pool.submit(self._settle, by_id[pipeline_id], settle_seconds)
            for pipeline_id in in_turn(by_id, after)
        }
        return Settling(pool=pool, futures=futures, after=after)

    def _settle(self, held: Locked[Reservation], settle_seconds: int) -> bool:
        """Settle one start. False when no time was left for it. Errors are only logged."""
        if self.client.deadline.is_over():
            return False
        pipeline_id = held.value.pipeline_id
        try:
            with storage_deadline(self.deadline):
                settle(held, self.ws, self.client, settle_seconds)
        except PolysyncError as error:
            _log.warning("the start of pipeline %s is not settled: %s", pipeline_id, error.detail)
        except Exception:
            _log.exception("the start of pipeline %s is not settled", pipeline_id)
        return True

    # --- old rows

    def clean(self, cursor: UpkeepCursor, retention: timedelta) -> UpkeepCursor:
        """Once a minute, delete a few rows older than `retention`, if there is time. Errors are only logged.

        Returns the cursor for the next sweep.
        """
        is_due = cursor.cleaned_at is None or self.began_at - cursor.cleaned_at >= _CLEAN_EVERY
        if not is_due or self.deadline.seconds_left() < 2 * budgets.SWEEP_CLEANING:
            return cursor
        cutoff, deadline = self.began_at - retention, self.deadline.within(budgets.SWEEP_CLEANING)
        keys_after = cursor.cleaned_keys_after
        try:
            self.ws.cleaner.delete_runs_before(cutoff, deadline=deadline)
            keys_after = self.ws.cleaner.delete_keys_before(cutoff, keys_after, deadline=deadline)
            if not deadline.is_over():
                self.ws.jobs.delete_removed_before(cutoff)
        except StorageUnavailable as error:
            _log.warning("old rows of workspace %s could not be deleted: %s", self.ws.workspace.name, error.detail)
        return replace(cursor, cleaned_at=self.began_at, cleaned_keys_after=keys_after)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settling:
    """Starts that are being settled, in the order in which they are handled."""

    pool: ContextPool
    futures: dict[str, Future[bool]]
    after: str

    def finish(self, deadline: Deadline) -> str:
        """Wait until `deadline`, and cancel the starts that have not begun by then.

        Returns the pipeline id after which the next sweep continues.
        """
        wait(self.futures.values(), timeout=deadline.seconds_left())
        self.pool.shutdown(wait=False, cancel_futures=True)
        after = self.after
        for pipeline_id, future in self.futures.items():
            if future.cancelled() or (future.done() and not future.result()):
                break
            after = pipeline_id
        return after
