"""The sweep of the active runs: gather what Databricks shows, decide, apply. It ends within `budgets.SWEEP`.

Every workspace is swept separately. No call is repeated in a sweep, because the next sweep is the retry. A run that
cannot be observed keeps its state and is counted as failed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace

from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.storage.unreadable import MOST_LOGGED, log_unreadable
from polysync_core.adapters.threads import ContextPool, start_thread
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, sweep_rules
from polysync_core.rules.decisions.sweep_rules import SweepLimits
from polysync_core.use_cases.run_sweeper import NOT_SEEN, Outcome, RunSweeper
from polysync_core.use_cases.upkeep import Upkeep
from polysync_core.values.databricks import ListedPipeline, SeenUpdate
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import PolysyncError
from polysync_core.values.run import LastSweep, ListingMemory, Reservation, Run, SweepReport, UpkeepCursor
from polysync_core.values.stored import Locked, Scan, UnreadableRow

_log = logging.getLogger("polysync.sweep")
_MOST_UNREADABLE_NOTED = 1_000
"""At most this many unreadable `active` rows are saved as not seen, because a row holds at most 1 MiB."""
_THREADS, _THREADS_FOR_SILENT = 16, 4
"""What gave no answer in the last sweep has a few threads of its own, so that it cannot hold up the others."""


def sweep_workspaces(workspaces: Sequence[WorkspaceServices], limits: SweepLimits) -> tuple[SweepReport, ...]:
    """Sweep all workspaces in parallel, within `budgets.SWEEP`. Returns one report for each.

    A workspace that fails or does not end in time gets a report with one failure.
    """
    if not workspaces:
        return ()
    clock = workspaces[0].clock
    began_at = clock.monotonic()
    deadline = Deadline.after(clock, budgets.SWEEP - budgets.SWEEP_REPORT)
    reports: dict[str, SweepReport] = {}

    def sweep(ws: WorkspaceServices) -> None:
        try:
            reports[ws.workspace.name] = sweep_workspace(ws, limits)
        except PolysyncError as error:
            _log.warning("workspace %s could not be swept: %s", ws.workspace.name, error.detail)
        except Exception:
            _log.exception("workspace %s could not be swept", ws.workspace.name)

    for thread in [start_thread(sweep, ws) for ws in workspaces]:
        thread.join(deadline.seconds_left())
    seconds = clock.monotonic() - began_at
    names = [ws.workspace.name for ws in workspaces]
    done = tuple(reports.get(name) or SweepReport(workspace=name, failed=1, seconds=seconds) for name in names)
    _log_reports(done, seconds)
    return done


def _log_reports(reports: Sequence[SweepReport], seconds: float) -> None:
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


def sweep_workspace(ws: WorkspaceServices, limits: SweepLimits) -> SweepReport:
    """Sweep one workspace and save the `sweep|last` row.

    Raises StorageUnavailable when its rows cannot be read or that row cannot be written.
    """
    with storage_deadline(Deadline.after(ws.clock, budgets.SWEEP_WORKSPACE)):
        return _Sweep(ws, limits).run()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gathered:
    """What storage holds of a workspace when its sweep begins."""

    last: LastSweep | None
    active: Scan[Locked[Run]]
    starts: Scan[Locked[Reservation]]

    @property
    def unreadable(self) -> tuple[UnreadableRow, ...]:
        return (*self.active.unreadable, *self.starts.unreadable)


class _Sweep:
    def __init__(self, ws: WorkspaceServices, limits: SweepLimits) -> None:
        self._ws = ws
        self._limits = limits
        self._began_at = ws.clock.now()
        self._began = ws.clock.monotonic()
        self._deadline = Deadline.after(ws.clock, budgets.SWEEP_WORK)
        self._client = ws.databricks.client(self._deadline.within(budgets.SWEEP_DATABRICKS))
        self._runs = RunSweeper(ws, limits.transitions, self._client, self._deadline)
        self._listing_client = ws.databricks.client(self._deadline.within(budgets.SWEEP_LISTING))
        # Upkeep has a client of its own: its calls must not use up the time of the observations.
        settling_client = ws.databricks.client(self._deadline.within(budgets.SWEEP_DATABRICKS))
        self._upkeep = Upkeep(ws=ws, client=settling_client, began_at=self._began_at, deadline=self._deadline)

    def run(self) -> SweepReport:
        rows = self._gather()
        last = rows.last or LastSweep(swept_at=self._began_at, report=SweepReport(workspace=self._ws.workspace.name))
        settling = self._upkeep.begin_settling(rows.starts.rows, last.upkeep.settled_after, self._limits.settle_seconds)
        outcomes: Mapping[str, Outcome] = {}
        memory, cursor = last.listing, last.upkeep
        try:
            try:
                outcomes, memory = self._look(rows, memory)
            except PolysyncError as error:
                name = self._ws.workspace.name
                _log.warning("workspace %s does not answer: %s", name, error.detail, extra={"action": "sweep"})
                if isinstance(error, DatabricksUnreachable):
                    self._ws.gate.note(answered=False)
            cursor = self._upkeep.clean(cursor, self._limits.retention)
        finally:
            cursor = replace(cursor, settled_after=settling.finish(self._deadline))
        return self._save(rows, outcomes, memory, cursor)

    # --- gather

    def _gather(self) -> _Gathered:
        runs = self._ws.runs
        rows = _Gathered(last=runs.last_sweep(), active=runs.list_active(), starts=runs.list_reservations())
        for row in rows.unreadable[:MOST_LOGGED]:
            log_unreadable(row.partition, row.key, "sweep")
        return rows

    def _look(self, rows: _Gathered, memory: ListingMemory) -> tuple[Mapping[str, Outcome], ListingMemory]:
        """Observe the active runs. Returns what became of each one reached, and what is known of listings now.

        While Databricks refuses listings for now, a few runs are looked at singly, the longest unseen first.
        """
        is_busy, listing, pages = sweep_rules.is_listing_busy(memory, self._began_at), None, None
        runs = [active.value for active in rows.active.rows]
        try:
            if not is_busy:
                listing, pages = self._list(len(runs), memory)
        except DatabricksError as error:
            if not error.is_busy:
                raise
            name = self._ws.workspace.name
            _log.warning("the pipelines of workspace %s are not listed for now: %s", name, error.detail)
            is_busy, memory = True, sweep_rules.note_busy(memory, error.retry_after_seconds, self._began_at)
        plan = sweep_rules.plan_looks(runs, listing, rows.last, self._began_at)
        if is_busy:
            plan = replace(plan, single=plan.single[: sweep_rules.MOST_LOOKS_WHILE_BUSY])
        memory = replace(plan.memory, not_before=memory.not_before)
        if pages is not None:
            memory = replace(memory, pages=pages, pages_counted_at=self._began_at, not_before=None)
        return self._observe_all(rows, plan), memory

    def _list(self, active: int, memory: ListingMemory) -> tuple[Mapping[str, ListedPipeline] | None, int | None]:
        """The workspace's pipelines by id, where listing them costs fewer calls, and how many pages they take.

        A listing that is refused, fails or takes too long leaves the runs to single looks. It counts as more pages than
        that, so that the next sweeps do not try it again. No connection and no token are raised: asking for each run
        would do no better. "Not now" (429, 503) is raised too.
        """
        if not sweep_rules.should_list(active, sweep_rules.known_pages(memory, self._began_at)):
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
            if not error.was_sent and not self._listing_client.deadline.is_over():
                raise
        except DatabricksError as error:
            if error.is_busy:
                raise
            name = self._ws.workspace.name
            _log.warning("the pipelines of workspace %s could not be listed: %s", name, error.detail)
        else:
            return pipelines, pages
        return pipelines or None, active + 1

    # --- decide and apply

    def _observe_all(self, rows: _Gathered, plan: sweep_rules.LookPlan) -> dict[str, Outcome]:
        """The outcome of each run, by run id. A run that was not reached in time has none."""
        by_id = {str(locked.value.run_id): locked for locked in rows.active.rows}
        seen: dict[str, SeenUpdate | None] = {**plan.listed, **dict.fromkeys(plan.single)}
        silent = frozenset[str]() if rows.last is None else seen.keys() & {*rows.last.no_answer}
        pool = ContextPool(max_workers=_THREADS)
        silent_pool = ContextPool(max_workers=_THREADS_FOR_SILENT) if len(silent) < len(seen) else pool
        try:
            futures: dict[Future[Outcome], str] = {
                (silent_pool if run_id in silent else pool).submit(self._runs.sweep, by_id[run_id], listed): run_id
                for run_id, listed in seen.items()
            }
            done, _ = wait(futures, timeout=self._deadline.seconds_left())
        finally:
            for each in (pool, silent_pool):
                each.shutdown(wait=False, cancel_futures=True)
        outcomes = {futures[future]: future.result() for future in done}
        self._note_answers({*outcomes.values()})
        return outcomes

    def _note_answers(self, outcomes: set[Outcome]) -> None:
        """Tell the readers whether the workspace answers. A run that was not reached in time proves nothing."""
        if outcomes - NOT_SEEN:
            self._ws.gate.note(answered=True)
        elif Outcome.NO_ANSWER in outcomes:
            self._ws.gate.note(answered=False)

    # --- report

    def _save(
        self, rows: _Gathered, outcomes: Mapping[str, Outcome], memory: ListingMemory, cursor: UpkeepCursor
    ) -> SweepReport:
        """Write the `sweep|last` row. Returns the report."""
        ended = [*outcomes.values()]
        run_ids = [str(active.value.run_id) for active in rows.active.rows]
        failed = [run_id for run_id in run_ids if outcomes.get(run_id, Outcome.FAILED) in NOT_SEEN]
        overtaken = [run_id for run_id, outcome in outcomes.items() if outcome is Outcome.OVERTAKEN]
        no_answer = [run_id for run_id, outcome in outcomes.items() if outcome is Outcome.NO_ANSWER]
        not_read = [row.subject for row in rows.active.unreadable[:_MOST_UNREADABLE_NOTED]]
        report = SweepReport(
            workspace=self._ws.workspace.name,
            active=len(run_ids),
            changed=ended.count(Outcome.CHANGED),
            finished=ended.count(Outcome.FINISHED),
            failed=len(failed),
            unreadable=len(rows.unreadable),
            calls=self._client.calls + self._listing_client.calls + self._upkeep.client.calls,
            seconds=round(self._ws.clock.monotonic() - self._began, 3),
        )
        is_blind = bool(run_ids) and len(failed) == len(run_ids)
        blind_since = None if rows.last is None else rows.last.blind_since
        not_seen, others_seen_at = sweep_rules.note_not_seen([*failed, *overtaken, *not_read], rows.last)
        self._ws.runs.save_last_sweep(
            LastSweep(
                swept_at=self._began_at,
                report=report,
                not_seen=not_seen,
                others_seen_at=others_seen_at,
                no_answer=tuple(no_answer[: sweep_rules.MOST_NO_ANSWER]),
                unreadable_pipelines=sweep_rules.name_pipelines(rows.unreadable),
                blind_since=(blind_since or self._began_at) if is_blind else None,
                listing=memory,
                upkeep=cursor,
            )
        )
        return report
