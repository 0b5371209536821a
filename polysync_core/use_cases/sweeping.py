"""The sweep of all workspaces. It ends within `budgets.SWEEP`.

Workspaces wait for one of a bounded number of places, the longest unswept first. So overload delays the looks, and
never makes the app do more at once. What a sweep does not reach comes first in the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from datetime import datetime, timedelta

from polysync_core.adapters import metrics
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.telemetry import span
from polysync_core.adapters.threads import ContextPool
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, sweep_rules
from polysync_core.rules.decisions.sweep_rules import SweepLimits
from polysync_core.use_cases.workspace_sweep import WorkspaceSweep
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import AllWorkspacesFailed, PolysyncError
from polysync_core.values.run import NEVER, LastSweep, SweepClaim, SweepReport

_log = logging.getLogger("polysync.sweep")
_PLACES, _PLACES_FOR_SILENT = 16, 4
"""This many workspaces are swept at a time. Those that showed no run in their last sweep have places of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claiming:
    """How a process takes workspaces that another process may sweep too.

    A workspace that was swept after `unless_swept_since` is left out. `stands_in` is stored: the timer sweeps what
    nobody has taken from the queue.
    """

    unless_swept_since: datetime
    stands_in: bool = False


def sweep_workspaces(
    workspaces: Sequence[WorkspaceServices], limits: SweepLimits, claiming: Claiming | None = None
) -> tuple[SweepReport, ...]:
    """Sweep all workspaces within `budgets.SWEEP`. Returns one report for each.

    A workspace that fails, or is not reached in time, gets a report with one failure and its trouble. With `claiming`,
    each workspace is claimed first, and those that another process sweeps or has swept are left out.
    """
    if not workspaces:
        return ()
    sweep = _Sweep(workspaces, limits, claiming)
    reports = sweep.run()
    sweep.log(reports)
    return reports


def check_not_all_failed(reports: Sequence[SweepReport], workspaces: int) -> None:
    """Raise AllWorkspacesFailed if none of the app's `workspaces` could be swept.

    A workspace was swept if its row was written and Databricks answered, or nothing had to be asked. A workspace that
    another process sweeps has no report. So it has not failed.
    """
    if len(reports) == workspaces and all(report.trouble for report in reports):
        raise AllWorkspacesFailed({report.workspace: report.trouble for report in reports})


def read_last_sweeps(workspaces: Sequence[WorkspaceServices], deadline: Deadline) -> dict[str, LastSweep | None]:
    """The last sweep of each workspace, by its name. One whose row cannot be read by `deadline` is left out."""
    found: dict[str, LastSweep | None] = {}

    def read(ws: WorkspaceServices) -> None:
        try:
            with storage_deadline(deadline):
                found[ws.workspace.name] = ws.runs.last_sweep()
        except PolysyncError as error:
            _log.warning("the last sweep of workspace %s could not be read: %s", ws.workspace.name, error.detail)
        except Exception:
            _log.exception("the last sweep of workspace %s could not be read", ws.workspace.name)

    pool = ContextPool(max_workers=_PLACES)
    wait([pool.submit(read, ws) for ws in workspaces], timeout=deadline.seconds_left())
    pool.shutdown(wait=False, cancel_futures=True)
    return dict(found)


class _Sweep:
    def __init__(self, workspaces: Sequence[WorkspaceServices], limits: SweepLimits, claiming: Claiming | None) -> None:
        self._workspaces = workspaces
        self._limits = limits
        self._claiming = claiming
        self._left_out: set[str] = set()
        self._clock = workspaces[0].clock
        self._began = self._clock.monotonic()
        self._deadline = Deadline(self._clock, self._began + budgets.SWEEP - budgets.SWEEP_REPORT)
        self._last_turn = Deadline(self._clock, self._began + limits.times.listing - limits.times.least)
        self._reports: dict[str, SweepReport] = {}
        self._troubles: dict[str, str] = {}
        self._swept_at: dict[str, datetime] = {}

    def run(self) -> tuple[SweepReport, ...]:
        last_sweeps = read_last_sweeps(self._workspaces, self._last_turn)
        self._swept_at = {name: NEVER if last is None else last.swept_at for name, last in last_sweeps.items()}
        pools = ContextPool(max_workers=_PLACES), ContextPool(max_workers=_PLACES_FOR_SILENT)
        waiting = sorted(last_sweeps, key=lambda name: sweep_rules.waiting_since(last_sweeps[name]))
        by_name = {ws.workspace.name: ws for ws in self._workspaces}
        work = [
            pools[_is_silent(last_sweeps[name])].submit(self._sweep, by_name[name], last_sweeps[name])
            for name in waiting
        ]
        wait(work, timeout=self._deadline.seconds_left())
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        seconds = self._clock.monotonic() - self._began
        reports = tuple(
            self._reports.get(name)
            or SweepReport(workspace=name, failed=1, seconds=seconds, trouble=self._trouble_of(name))
            for name in by_name
            if name not in self._left_out
        )
        for report in reports:
            outcome, is_real = sweep_rules.outcome_of(report), report.workspace in self._reports
            metrics.note_sweep(report, outcome, self._behind(report), knows_runs=is_real)
        return reports

    def _trouble_of(self, name: str) -> str:
        """Why a workspace has no report."""
        if name not in self._swept_at:
            return "the row of its last sweep could not be read"
        return self._troubles.get(name, "the sweep did not reach it in time")

    def _sweep(self, ws: WorkspaceServices, last: LastSweep | None) -> None:
        if self._last_turn.is_over():
            return
        name = ws.workspace.name
        try:
            with (
                span("sweep", {"polysync.workspace": name}),
                storage_deadline(Deadline(self._clock, self._began + budgets.SWEEP_WORKSPACE)),
            ):
                if self._claiming is None:
                    self._reports[name] = WorkspaceSweep(ws, self._limits, last, self._began).run()
                    return
                claim = self._claim(ws, self._claiming.unless_swept_since)
                if claim is None:
                    self._left_out.add(name)
                    return
                sweep = WorkspaceSweep(ws, self._limits, claim.last, self._began)
                self._reports[name] = sweep.run(stood_in=self._claiming.stands_in)
        except PolysyncError as error:
            self._troubles[name] = error.detail
            _log.warning("workspace %s could not be swept: %s", name, error.detail)
        except Exception:
            self._troubles[name] = "a fault of the app; its log holds the details"
            _log.exception("workspace %s could not be swept", name)

    def _claim(self, ws: WorkspaceServices, unless_swept_since: datetime) -> SweepClaim | None:
        now = self._clock.now()
        until = now + timedelta(seconds=budgets.SWEEP)
        return ws.runs.claim_sweep(now, until=until, unless_swept_since=unless_swept_since)

    def log(self, reports: Sequence[SweepReport]) -> None:
        """Write the line of the whole sweep."""
        counts = {
            name: sum(getattr(report, name) for report in reports)
            for name in ("active", "changed", "finished", "failed", "unreadable", "calls")
        }
        behind_by_name = {report.workspace: self._behind(report) or 0.0 for report in reports}
        slowest = max(behind_by_name, key=behind_by_name.__getitem__, default="-")
        behind = behind_by_name.get(slowest, 0.0)
        seconds = self._clock.monotonic() - self._began
        _log.info(
            "sweep: workspaces=%d active=%d changed=%d finished=%d failed=%d unreadable=%d calls=%d seconds=%.2f "
            "behind=%.0f slowest=%s",
            len(reports),
            *counts.values(),
            seconds,
            behind,
            slowest if behind else "-",
            extra={"action": "sweep", "behind_seconds": behind, **counts},
        )

    def _behind(self, report: SweepReport) -> float | None:
        """For how many seconds the longest unseen run of a workspace, or the whole workspace, has not been seen.

        None where that is not known: the last sweep could not be read, or there was none.
        """
        if report.workspace in self._reports:
            return report.behind_seconds
        swept_at = self._swept_at.get(report.workspace, NEVER)
        return None if swept_at == NEVER else (self._clock.now() - swept_at).total_seconds()


def _is_silent(last: LastSweep | None) -> bool:
    return last is not None and last.blind_since is not None
