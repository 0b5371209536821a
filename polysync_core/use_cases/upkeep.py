"""What a sweep does besides observing runs: settle starts, delete old rows. Both are bounded.

What one sweep does not reach is for the next ones, in turn: none of it delays an observation, or another row for good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.adapters.storage.tables import within
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions.sweep_rules import in_turn
from polysync_core.use_cases.resolving_starts import settle
from polysync_core.values.errors import PolysyncError, StorageUnavailable
from polysync_core.values.run import LastSweep, Reservation
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.sweep")
_SETTLERS = 4
_CLEAN_EVERY = timedelta(minutes=1)
_CLEANING_TAKES_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Upkeep:
    """The upkeep of one sweep of one workspace. `client` is its own: observations have one that ends in time."""

    ws: WorkspaceServices
    client: BoundedClient
    began_at: datetime
    seconds_left: Callable[[], float]

    # --- starts without an answer

    def begin_settling(self, starts: Sequence[Locked[Reservation]], after: str, settle_seconds: int) -> Settling:
        """Settle `starts` in threads of their own, those after the pipeline id `after` first."""
        by_id = {held.value.pipeline_id: held for held in starts}
        pool = ThreadPoolExecutor(max_workers=_SETTLERS)
        futures = {
            pipeline_id: pool.submit(self._settle, by_id[pipeline_id], settle_seconds)
            for pipeline_id in in_turn(by_id, after)
        }
        return Settling(pool=pool, futures=futures, after=after)

    def _settle(self, held: Locked[Reservation], settle_seconds: int) -> bool:
        """Whether it had its turn: False when no time was left."""
        if self.client.seconds_left <= 0:
            return False
        pipeline_id = held.value.pipeline_id
        try:
            with within(self.seconds_left()):
                settle(held, self.ws, self.client, settle_seconds)
        except PolysyncError as error:
            _log.warning("the start of pipeline %s is not settled: %s", pipeline_id, error.detail)
        except Exception:
            _log.exception("the start of pipeline %s is not settled", pipeline_id)
        return True

    # --- old rows

    def clean(self, last: LastSweep, retention: timedelta) -> LastSweep:
        """Once a minute, delete a little of what is older than the retention, if there is time. Trouble can wait."""
        is_due = last.cleaned_at is None or self.began_at - last.cleaned_at >= _CLEAN_EVERY
        if not is_due or self.seconds_left() < 2 * _CLEANING_TAKES_SECONDS:
            return last
        cutoff = self.began_at - retention
        name, cleaner, clock = self.ws.workspace.name, self.ws.cleaner, self.ws.clock
        ends_at = clock.monotonic() + _CLEANING_TAKES_SECONDS

        def seconds_left() -> float:
            return ends_at - clock.monotonic()

        try:
            cleaner.delete_runs_before(cutoff, seconds_left=seconds_left)
            keys_after = cleaner.delete_keys_before(cutoff, last.cleaned_keys_after, seconds_left=seconds_left)
        except StorageUnavailable as error:
            _log.warning("old rows of workspace %s could not be deleted: %s", name, error.detail)
            return replace(last, cleaned_at=self.began_at)
        return replace(last, cleaned_at=self.began_at, cleaned_keys_after=keys_after)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settling:
    """Starts that are being settled, in the order of their turns."""

    pool: ThreadPoolExecutor
    futures: dict[str, Future[bool]]
    after: str

    def finish(self, seconds: float) -> str:
        """Wait up to `seconds`; those that have not begun by then are left. Gives how far the turn came."""
        wait(self.futures.values(), timeout=seconds)
        self.pool.shutdown(wait=False, cancel_futures=True)
        after = self.after
        for pipeline_id, future in self.futures.items():
            if future.cancelled() or (future.done() and not future.result()):
                break
            after = pipeline_id
        return after
