"""The sweep: look at every active run, decide, apply. Every workspace by itself, all of them within 12 seconds.

No call is repeated in a sweep: the next sweep is the retry. What cannot be looked at keeps its state and is counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto

from polysync_core.adapters.storage.tables import within
from polysync_core.adapters.storage.unreadable import MOST_LOGGED, log_unreadable
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import sweep_rules
from polysync_core.rules.decisions.run_transitions import NO_FAILURE_CONTEXT, TransitionLimits, decide
from polysync_core.use_cases.observing import Observation, observe_run
from polysync_core.use_cases.upkeep import Upkeep
from polysync_core.values.databricks import ListedPipeline, SeenUpdate
from polysync_core.values.errors import DatabricksError, DatabricksUnreachable, PolysyncError
from polysync_core.values.run import LastSweep, Run, SweepReport
from polysync_core.values.stored import Locked, Scan, UnreadableRow

_log = logging.getLogger("polysync.sweep")
_LOOK_SECONDS = 9.0
"""For Databricks; the rest of the 12 s is for storage."""
_LIST_SECONDS = 4.0
"""Of these, for the listing: one that takes longer is dropped, and the runs are looked at one by one."""
_MOST_LOGGED = 20
_MOST_UNREADABLE_NOTED = 1_000
"""At most this many unreadable `active` rows are noted as not seen: a row of storage holds 1 MiB."""
_WORK_SECONDS, _WORKSPACE_SECONDS = 10.0, 11.0
"""Between the two the sweep is written down, whatever became of its work."""
_THREADS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepLimits:
    """What the settings say about a sweep."""

    transitions: TransitionLimits
    settle_seconds: int
    retention: timedelta


class _Outcome(Enum):
    UNCHANGED = auto()
    CHANGED = auto()
    FINISHED = auto()
    OVERTAKEN = auto()  # another changed it meanwhile: what was seen of it is not written down
    FAILED = auto()


def sweep_workspaces(workspaces: Sequence[WorkspaceServices], limits: SweepLimits) -> tuple[SweepReport, ...]:
    """Sweep every workspace, side by side. Ends within 12 s; a workspace that hangs is left behind and counted."""
    if not workspaces:
        return ()
    clock = workspaces[0].clock
    began_at = clock.monotonic()
    reports: dict[str, SweepReport] = {}
    threads = []
    for ws in workspaces:
        thread = threading.Thread(target=_sweep_into, args=(reports, ws, limits), daemon=True)
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join(max(0.0, began_at + sweep_rules.DEADLINE_SECONDS - 0.3 - clock.monotonic()))
    done = tuple(
        reports.get(ws.workspace.name)
        or SweepReport(workspace=ws.workspace.name, failed=1, seconds=clock.monotonic() - began_at)
        for ws in workspaces
    )
    _log_report(done, clock.monotonic() - began_at)
    return done


def _log_report(reports: Sequence[SweepReport], seconds: float) -> None:
    counts = {
        name: sum(getattr(report, name) for report in reports)
        for name in ("active", "changed", "finished", "failed", "unreadable", "calls")
    }
    _log.info(
        "sweep: workspaces=%d active=%d changed=%d finished=%d failed=%d unreadable=%d calls=%d seconds=%.2f",
        len(reports),
        *counts.values(),
        seconds,
        extra={"action": "sweep", **counts},
    )


def _sweep_into(reports: dict[str, SweepReport], ws: WorkspaceServices, limits: SweepLimits) -> None:
    try:
        reports[ws.workspace.name] = sweep_workspace(ws, limits)
    except PolysyncError as error:
        _log.warning("workspace %s could not be swept: %s", ws.workspace.name, error.detail)
    except Exception:
        _log.exception("workspace %s could not be swept", ws.workspace.name)


def sweep_workspace(ws: WorkspaceServices, limits: SweepLimits) -> SweepReport:
    """Sweep one workspace and write down when. Raises StorageUnavailable when its runs cannot even be read."""
    return _Sweep(ws, limits).run()


class _Sweep:
    def __init__(self, ws: WorkspaceServices, limits: SweepLimits) -> None:
        self._ws = ws
        self._limits = limits
        self._name = ws.workspace.name
        self._client = ws.databricks.client(_LOOK_SECONDS)
        self._listing_client = ws.databricks.client(_LIST_SECONDS)
        self._logged = 0
        self._began_at = ws.clock.now()
        self._monotonic = ws.clock.monotonic()
        self._ends_at = self._monotonic + _WORK_SECONDS
        self._upkeep = Upkeep(
            ws=ws,
            client=ws.databricks.client(_LOOK_SECONDS),
            began_at=self._began_at,
            seconds_left=lambda: self._seconds_left,
        )

    def run(self) -> SweepReport:
        with within(_WORKSPACE_SECONDS):
            return self._run()

    def _run(self) -> SweepReport:
        store = self._ws.runs
        last, active = store.last_sweep(), store.list_active()
        starts = store.list_reservations()
        unreadable = (*active.unreadable, *starts.unreadable)
        for row in unreadable[:MOST_LOGGED]:
            log_unreadable(row.partition, row.key, "sweep")
        after = last or LastSweep(swept_at=self._began_at, report=SweepReport(workspace=self._name))
        settling = self._upkeep.begin_settling(starts.rows, after.settled_after, self._limits.settle_seconds)
        pool = ThreadPoolExecutor(max_workers=_THREADS)
        outcomes: Mapping[str, _Outcome] = {}
        try:
            try:
                listing, pages = self._list(len(active.rows), last)
            except PolysyncError as error:
                _log.warning("workspace %s does not answer: %s", self._name, error.detail, extra={"action": "sweep"})
            else:
                plan = sweep_rules.plan_looks([tracked.value for tracked in active.rows], listing, last, self._began_at)
                outcomes = self._sweep_runs(active, plan, pool)
                after = replace(after, round_began_at=plan.round_began_at, round_cursor=plan.round_cursor)
                if pages is not None:
                    after = replace(after, pages=pages, pages_counted_at=self._began_at)
            after = self._upkeep.clean(after, self._limits.retention)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            settled_after = settling.finish(self._seconds_left)
        return self._write_down(active, unreadable, outcomes, replace(after, settled_after=settled_after), last)

    @property
    def _seconds_left(self) -> float:
        return max(0.0, self._ends_at - self._ws.clock.monotonic())

    # --- gather

    def _list(self, active: int, last: LastSweep | None) -> tuple[Mapping[str, ListedPipeline] | None, int | None]:
        """The workspace's pipelines by id where listing them is the cheaper look, and how many pages they take.

        A listing that is refused, fails or takes too long leaves the runs to be looked at one by one, and counts as
        more pages than that, so that the next sweeps do not try it again. No connection, no token and "not now" (429,
        503) are raised: asking for each run would fare no better.
        """
        if not sweep_rules.should_list(active, sweep_rules.known_pages(last, self._began_at)):
            return None, None
        pipelines: dict[str, ListedPipeline] = {}
        pages = 0
        try:
            for page in self._listing_client.iter_pipelines_pages():
                pages += 1
                pipelines.update((pipeline.pipeline_id, pipeline) for pipeline in page.pipelines)
                if pages == active and page.next_page_token is not None:
                    return pipelines, active + 1
        except DatabricksUnreachable as error:
            if not error.was_sent and self._listing_client.seconds_left > 0:
                raise
        except DatabricksError as error:
            if error.databricks_status in {429, 503}:
                raise
            _log.warning("the pipelines of workspace %s could not be listed: %s", self._name, error.detail)
        else:
            return pipelines, pages
        return pipelines or None, active + 1

    # --- decide and apply

    def _sweep_runs(
        self, active: Scan[Locked[Run]], plan: sweep_rules.LookPlan, pool: ThreadPoolExecutor
    ) -> dict[str, _Outcome]:
        """What became of each run; one that was not reached in time has no outcome here."""
        by_id = {str(tracked.value.run_id): tracked for tracked in active.rows}
        futures: dict[Future[_Outcome], str] = {}
        for run_id, seen in plan.listed.items():
            futures[pool.submit(self._sweep_run, by_id[run_id], seen)] = run_id
        for run_id in plan.single:
            futures[pool.submit(self._sweep_run, by_id[run_id], None)] = run_id
        done, _ = wait(futures, timeout=self._seconds_left)
        return {futures[future]: future.result() for future in done}

    def _sweep_run(self, tracked: Locked[Run], seen: SeenUpdate | None) -> _Outcome:
        with within(self._seconds_left):
            return self._observe_and_save(tracked, seen)

    def _observe_and_save(self, tracked: Locked[Run], seen: SeenUpdate | None) -> _Outcome:
        run = tracked.value
        try:
            observation = (
                observe_run(run, self._ws, self._client)
                if seen is None
                else Observation(seen=seen, failure_context=NO_FAILURE_CONTEXT)
            )
            decision = decide(
                run, observation.seen, self._ws.clock.now(), self._limits.transitions, observation.failure_context
            )
            won = decision.write and self._ws.runs.save_transition(tracked, decision.run)
            if decision.stop and (won or not decision.write):  # only what is written down may be asked for
                self._stop(decision.run)
        except PolysyncError as error:
            self._log_failure(run, error)
            return _Outcome.FAILED
        except Exception:
            _log.exception("run %s", run.run_id, extra={"run_id": str(run.run_id), "action": "sweep"})
            return _Outcome.FAILED
        if not won:
            return _Outcome.OVERTAKEN if decision.write else _Outcome.UNCHANGED
        return _Outcome.FINISHED if decision.run.is_finished else _Outcome.CHANGED

    def _stop(self, run: Run) -> None:
        """Ask for the stop of a run that has been seen, and is so whatever comes of this; the next sweep asks again."""
        try:
            self._client.stop(run.current_id)
        except PolysyncError as error:
            self._log_failure(run, error)

    def _log_failure(self, run: Run, error: PolysyncError) -> None:
        """A line for a run that failed to be swept or stopped; at most so many a sweep."""
        self._logged += 1
        if self._logged <= _MOST_LOGGED:
            _log.warning("run %s: %s", run.run_id, error.detail, extra={"run_id": str(run.run_id), "action": "sweep"})

    # --- write down

    def _write_down(
        self,
        active: Scan[Locked[Run]],
        unreadable: Sequence[UnreadableRow],
        outcomes: Mapping[str, _Outcome],
        after: LastSweep,
        last: LastSweep | None,
    ) -> SweepReport:
        ended = [*outcomes.values()]
        failed = [
            run_id
            for tracked in active.rows
            if outcomes.get(run_id := str(tracked.value.run_id), _Outcome.FAILED) is _Outcome.FAILED
        ]
        report = SweepReport(
            workspace=self._name,
            active=len(active.rows),
            changed=ended.count(_Outcome.CHANGED),
            finished=ended.count(_Outcome.FINISHED),
            failed=len(failed),
            unreadable=len(unreadable),
            calls=self._client.calls + self._listing_client.calls + self._upkeep.client.calls,
            seconds=round(self._ws.clock.monotonic() - self._monotonic, 3),
        )
        overtaken = [run_id for run_id, outcome in outcomes.items() if outcome is _Outcome.OVERTAKEN]
        not_read = [row.subject for row in active.unreadable[:_MOST_UNREADABLE_NOTED]]
        is_blind = bool(active.rows) and len(failed) == len(active.rows)
        self._ws.runs.save_last_sweep(
            replace(
                after,
                swept_at=self._began_at,
                report=report,
                unreadable_pipelines=_pipelines_of(unreadable),
                not_seen=sweep_rules.note_not_seen([*failed, *overtaken, *not_read], last),
                blind_since=(after.blind_since or self._began_at) if is_blind else None,
            ),
        )
        return report


def _pipelines_of(unreadable: Sequence[UnreadableRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.pipeline_id for row in unreadable))
