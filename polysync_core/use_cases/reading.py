"""Read runs. A stale run is observed first, and changes by the same transition as in a sweep."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, sweep_rules
from polysync_core.rules.decisions.run_transitions import TransitionLimits, decide
from polysync_core.use_cases.observing import Observation, observe_run
from polysync_core.use_cases.retrying import retried
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import PolysyncError, RunNotFound
from polysync_core.values.ids import RunId
from polysync_core.values.run import LastSweep, Run, RunFilter
from polysync_core.values.workspace import Workspace

_log = logging.getLogger("polysync.read")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """A run as callers see it. `stale_since` is set if its state was not confirmed lately.

    It is then the time of the last confirmation.
    """

    run: Run
    workspace: Workspace
    stale_since: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunList:
    views: tuple[RunView, ...]
    continuation: str | None


def find_run(run_id: RunId, workspaces: Sequence[WorkspaceServices]) -> tuple[Run, WorkspaceServices]:
    """Find a run in one of `workspaces`. Raises RunNotFound when none has it."""
    for ws in workspaces:
        run = ws.runs.find(run_id)
        if run is not None:
            return run, ws
    raise RunNotFound(f"There is no run {run_id}.")


def read_run(
    run_id: RunId, workspaces: Sequence[WorkspaceServices], *, max_age_seconds: int, limits: TransitionLimits
) -> RunView:
    """The run, not older than `max_age_seconds` if Databricks answers.

    A state that the last sweep or another reader confirmed within that age causes no call.
    """
    for ws in workspaces:
        last = ws.runs.last_sweep()  # read before the run, whose row lacks what a later sweep saw
        run = ws.runs.find(run_id)
        if run is None:
            continue
        if not sweep_rules.is_fresh(run, last, ws.clock.now(), max_age_seconds):
            run = _read_through(run, ws, max_age_seconds, limits)
        return view_after(run, ws, last, max_age_seconds)
    raise RunNotFound(f"There is no run {run_id}.")


def show_stored(run: Run, ws: WorkspaceServices, *, max_age_seconds: int) -> RunView:
    """The run as it is stored. Databricks is not asked."""
    is_fresh = sweep_rules.is_fresh(run, None, ws.clock.now(), max_age_seconds)
    last = None if is_fresh else ws.runs.last_sweep()
    return view_after(run, ws, last, max_age_seconds)


def list_runs(
    ws: WorkspaceServices, wanted: RunFilter, *, limit: int, continuation: str | None, max_age_seconds: int
) -> RunList:
    """Runs of one workspace, newest first, as they are stored. After `budgets.LISTING`, what was found so far."""
    last, deadline = ws.runs.last_sweep(), Deadline.after(ws.clock, budgets.LISTING)
    page = ws.runs.list_recent(wanted, limit=limit, continuation=continuation, deadline=deadline)
    views = tuple(view_after(run, ws, last, max_age_seconds) for run in page.runs)
    return RunList(views=views, continuation=page.continuation)


def view_after(run: Run, ws: WorkspaceServices, last: LastSweep | None, max_age_seconds: int) -> RunView:
    """The run as it is stored. `last` is the workspace's last sweep when the run was read."""
    fresh = sweep_rules.is_fresh(run, last, ws.clock.now(), max_age_seconds)
    return view_of(run, ws, None if fresh else sweep_rules.seen_at(run, last))


def view_of(run: Run, ws: WorkspaceServices, stale_since: datetime | None) -> RunView:
    return RunView(run=run, workspace=ws.workspace, stale_since=stale_since)


def _read_through(run: Run, ws: WorkspaceServices, max_age_seconds: int, limits: TransitionLimits) -> Run:
    """Observe the run now, or wait for the reader that does.

    Returns the stored run when the observation fails, and at once while the workspace is silent or has enough readers.
    """
    run_id = str(run.run_id)
    if ws.refresh_turns.is_taken(run_id, max_age_seconds):
        return _await_other(run, ws)
    if not ws.gate.try_enter():
        return run
    try:
        if not ws.refresh_turns.take_turn(run_id, max_age_seconds):
            return _await_other(run, ws)
        try:
            seen = _observe_and_save(run, ws, limits)
        finally:
            ws.refresh_turns.over(run_id)
        return seen or ws.runs.find(run.run_id) or run
    except PolysyncError as error:
        if isinstance(error, DatabricksUnreachable | DatabricksError):
            ws.gate.note(answered=isinstance(error, DatabricksError))
        _log.warning("a stale run could not be looked at: %s", error.code, extra={"run_id": run_id})
        return run
    finally:
        ws.gate.leave()


def _await_other(run: Run, ws: WorkspaceServices) -> Run:
    """The run after the look of another reader that is under way, if one is."""
    ws.refresh_turns.await_other(str(run.run_id), budgets.READ_WAIT)
    return ws.runs.find(run.run_id) or run


def _observe_and_save(run: Run, ws: WorkspaceServices, limits: TransitionLimits) -> Run | None:
    """The run as it was seen and stored now; None when another change was first.

    An unchanged run is written too, with the time of the observation, so that the next readers find it fresh.
    """
    active = ws.runs.find_active(run.run_id)
    if active is None:
        return None
    client = ws.databricks.client(Deadline.after(ws.clock, budgets.READ))
    observation = _observe_with_retry(active.value, ws, client)
    ws.gate.note(answered=True)
    now = ws.clock.now()
    decision = decide(active.value, observation.seen, now, limits, observation.failure_context)
    saved = ws.runs.save_transition(active, decision.run if decision.write else replace(decision.run, seen_at=now))
    if decision.stop and saved is not None:
        _stop(saved, client)
    return saved


def _stop(run: Run, client: BoundedClient) -> None:
    """Ask for a stop that is stored as requested. Where timers do not fire, no sweep will ask."""
    try:
        client.stop(run.current_id)
    except PolysyncError as error:
        _log.warning("a stop is left to the sweep: %s", error.code, extra={"run_id": str(run.run_id)})


def _observe_with_retry(run: Run, ws: WorkspaceServices, client: BoundedClient) -> Observation:
    """Observe the run. Repeat that once after a temporary error, if there is time.

    Raises what `observe_run` raises.
    """

    def pause_after(error: PolysyncError, tries: int) -> float | None:
        may_pass = isinstance(error, DatabricksUnreachable) or (
            isinstance(error, DatabricksError) and error.is_transient
        )
        has_time = client.deadline.seconds_left() >= budgets.READ_REPEAT
        return budgets.READ_REPEAT_PAUSE if may_pass and has_time and tries == 1 else None

    return retried(lambda: observe_run(run, ws, client), pause_after, ws.clock)
