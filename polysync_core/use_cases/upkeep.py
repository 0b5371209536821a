"""What a sweep does beside its looks: settle starts, mend or clear spoilt rows, delete old ones. All of it bounded.

What one sweep does not come to is for the next ones, in turn: none of it holds up a look, or another row for good.
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
from polysync_core.rules.rows import row_keys
from polysync_core.use_cases.resolving_starts import find_started, new_run, settle
from polysync_core.values.errors import PolysyncError, StorageUnavailable
from polysync_core.values.ids import is_id
from polysync_core.values.run import HeldReservation, LastSweep

_log = logging.getLogger("polysync.sweep")
_SETTLERS = 4
_MOST_HEALED = 20
_HEALING_TAKES_SECONDS = 1.5
_SPOILT_START_KEPT = timedelta(hours=1)
_CLEAN_EVERY = timedelta(minutes=1)
_CLEANING_TAKES_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Upkeep:
    """The upkeep of one sweep of one workspace. `talk` is not the one of its looks, which have to end in time."""

    ws: WorkspaceServices
    client: BoundedClient
    began_at: datetime
    seconds_left: Callable[[], float]

    # --- starts without an answer

    def begin_settling(self, starts: Sequence[HeldReservation], after: str, settle_seconds: int) -> Settling:
        """Settle `starts` in threads of their own, those after the pipeline id `after` first."""
        by_id = {held.reservation.pipeline_id: held for held in starts}
        pool = ThreadPoolExecutor(max_workers=_SETTLERS)
        futures = {
            pipeline_id: pool.submit(self._settle, by_id[pipeline_id], settle_seconds)
            for pipeline_id in in_turn(by_id, after)
        }
        return Settling(pool=pool, futures=futures, after=after)

    def _settle(self, held: HeldReservation, settle_seconds: int) -> bool:
        """Whether it had its turn: False when no time was left."""
        if self.client.seconds_left <= 0:
            return False
        pipeline_id = held.reservation.pipeline_id
        try:
            with within(self.seconds_left()):
                settle(held, self.ws, self.client, settle_seconds)
        except PolysyncError as error:
            _log.warning("the start of pipeline %s is not settled: %s", pipeline_id, error.detail)
        except Exception:
            _log.exception("the start of pipeline %s is not settled", pipeline_id)
        return True

    # --- spoilt rows

    def heal(self, keys: Sequence[str], after: str) -> str:
        """Restore spoilt `active` rows from their runs' own rows; let go of spoilt starts that are an hour old.

        So many a sweep, those after the row key `after` first; gives how far that came.
        """
        for key in in_turn(keys, after)[:_MOST_HEALED]:
            if self.seconds_left() < _HEALING_TAKES_SECONDS:
                break
            after = key
            try:
                if key.startswith(row_keys.STARTING):
                    self._let_go(key)
                else:
                    self.ws.store.restore_active(self.ws.workspace.name, key)
            except PolysyncError as error:
                _log.warning("row %s could not be healed: %s", key, error.detail)
            except Exception:
                _log.exception("row %s could not be healed", key)
        return after

    def _let_go(self, key: str) -> None:
        """Track the update of a start that nobody can read any more, if there is one; else free its pipeline."""
        store, before = self.ws.store, self.began_at - _SPOILT_START_KEPT
        salvaged = store.salvage_start(self.ws.workspace.name, key, before)
        for held in salvaged:
            is_named = is_id(held.reservation.pipeline_id)
            found = find_started(held.reservation, self.ws, self.client) if is_named else None
            if found is not None:
                run = store.track(new_run(held.reservation, found, self.ws), held)
                _log.warning("the update of spoilt row %s is tracked now", key, extra={"run_id": str(run.run_id)})
                return
        if salvaged:
            store.release(salvaged[0])

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
            cleaner.delete_runs_before(name, cutoff, seconds_left=seconds_left)
            keys_after = cleaner.delete_keys_before(name, cutoff, last.cleaned_keys_after, seconds_left=seconds_left)
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
