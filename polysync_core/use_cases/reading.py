"""Read runs. A single read observes a stale run first, and saves the same transition as the sweep would."""

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
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import DatabricksError, DatabricksUnreachable, PolysyncError, RunNotFound
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
    """The run and its workspace. Searches all of `workspaces`. Raises RunNotFound when none has the run."""
    for ws in workspaces:
        run = ws.runs.find(run_id)
        if run is not None:
            return run, ws
    raise RunNotFound(f"There is no run {run_id}.")


def read_run(
    run_id: RunId, workspaces: Sequence[WorkspaceServices], *, max_age_seconds: int, limits: TransitionLimits
) -> RunView:
    """The run, with a state not older than `max_age_seconds` if Databricks can be observed.

    No call is made if the last sweep or another reader confirmed the state within that time. If the observation fails,
    the stored run is returned. Raises RunNotFound.
    """
    for ws in workspaces:
        last = ws.runs.last_sweep()  # before the run: its row may be older than what a later sweep saw
        run = ws.runs.find(run_id)
        if run is None:
            continue
        if not sweep_rules.is_fresh(run, last, ws.clock.now(), max_age_seconds):
            run = _read_through(run, ws, max_age_seconds, limits)
        return _shown(run, ws, last, max_age_seconds)
    raise RunNotFound(f"There is no run {run_id}.")


def show_stored(run: Run, ws: WorkspaceServices, *, max_age_seconds: int) -> RunView:
    """The run as it is stored, without an observation."""
    last = None if run.is_finished else ws.runs.last_sweep()
    return _shown(run, ws, last, max_age_seconds)


def list_runs(
    ws: WorkspaceServices, wanted: RunFilter, *, limit: int, continuation: str | None, max_age_seconds: int
) -> RunList:
    """A page of one workspace's runs as they are stored, newest first.

    Raises InvalidRequest when the continuation is not from an earlier page.
    """
    last = ws.runs.last_sweep()
    page = ws.runs.list_recent(wanted, limit=limit, continuation=continuation)
    views = tuple(_shown(run, ws, last, max_age_seconds) for run in page.runs)
    return RunList(views=views, continuation=page.continuation)


def _shown(run: Run, ws: WorkspaceServices, last: LastSweep | None, max_age_seconds: int) -> RunView:
    fresh = sweep_rules.is_fresh(run, last, ws.clock.now(), max_age_seconds)
    return view_of(run, ws, None if fresh else sweep_rules.seen_at(run, last))


def view_of(run: Run, ws: WorkspaceServices, stale_since: datetime | None) -> RunView:
    return RunView(run=run, workspace=ws.workspace, stale_since=stale_since)


def _read_through(run: Run, ws: WorkspaceServices, max_age_seconds: int, limits: TransitionLimits) -> Run:
    """Observe the run now, or wait for the reader that does. Returns the stored run when the observation fails."""
    run_id = str(run.run_id)
    is_own_turn = ws.refresh_turns.take_turn(run_id, max_age_seconds)
    try:
        if is_own_turn:
            seen = _observe_and_save(run, ws, limits)
        else:
            seen = None
            ws.refresh_turns.await_other(run_id, budgets.READ_WAIT)
        return seen or ws.runs.find(run.run_id) or run
    except PolysyncError as error:
        _log.warning("a stale run could not be looked at: %s", error.code, extra={"run_id": run_id})
        return run
    finally:
        if is_own_turn:
            ws.refresh_turns.over(run_id)


def _observe_and_save(run: Run, ws: WorkspaceServices, limits: TransitionLimits) -> Run | None:
    """Observe the run and save it. Returns the saved run, or None when it is not active or another change was first.

    An unchanged run is saved too, with the time of the observation, because the next readers need that time.
    """
    active = ws.runs.find_active(run.run_id)
    if active is None:
        return None
    client = ws.databricks.client(Deadline.after(ws.clock, budgets.READ))
    observation = _observe_with_retry(active.value, ws, client)
    now = ws.clock.now()
    decision = decide(active.value, observation.seen, now, limits, observation.failure_context)
    saved = ws.runs.save_transition(active, decision.run if decision.write else replace(decision.run, seen_at=now))
    if decision.stop and saved is not None:
        _stop(saved, client)
    return saved


def _stop(run: Run, client: BoundedClient) -> None:
    """Ask for the stop that the stored run requires. A failure leaves it to the sweep.

    Where timers do not fire, no sweep may come soon.
    """
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
