"""Cancel a run: store the request, then ask Databricks. Each sweep asks again until the update stops."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from polysync_core.adapters.storage.races import retry_lost_races
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets
from polysync_core.values.databricks_errors import (
    DatabricksError,
    DatabricksUnreachable,
    PermissionRefused,
    TokenUnavailable,
)
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import KeyInFlight, RunNotFound, TooBusy
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run

_log = logging.getLogger("polysync.cancel")
_MOST_RACES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancelled:
    """`asked` is False if the run was finished, or if the caller only joined it and so may not stop it."""

    run: Run
    asked: bool


def cancel_run(run_id: RunId, ws: WorkspaceServices) -> Cancelled:
    """Ask for the stop of a run. A finished run is returned as it is, without a call to Databricks.

    When Databricks cannot be asked now, the request stays stored and the sweep asks. Raises RunNotFound and TooBusy.
    Raises PermissionRefused too; then the request stays stored all the same.
    """
    cancelled = retry_lost_races(lambda: _save_intent(run_id, ws), _MOST_RACES)
    if cancelled.asked and cancelled.run.state != "STOPPING":
        _ask(cancelled.run, ws)
    return cancelled


def cancel_pipeline(pipeline_id: str, idempotency_key: str | None, ws: WorkspaceServices) -> Cancelled:
    """Cancel the run that was started with the key. Without a key, cancel the pipeline's active run, if it is tracked.

    RunNotFound when the key is not known or nothing of ours is active, KeyInFlight while its start has no outcome.
    """
    if idempotency_key is not None:
        return _cancel_by_key(pipeline_id, idempotency_key, ws)
    active = ws.runs.list_active(pipeline_id).rows
    if not active:
        raise RunNotFound(f"Pipeline {pipeline_id} has no active run that this app tracks.")
    newest = max(active, key=lambda one: one.value.accepted_at)
    return cancel_run(newest.value.run_id, ws)


def _cancel_by_key(pipeline_id: str, idempotency_key: str, ws: WorkspaceServices) -> Cancelled:
    used = ws.runs.find_used_key(pipeline_id, idempotency_key)
    if used is None:
        raise RunNotFound(f"No start of pipeline {pipeline_id} came with this Idempotency-Key.")
    if used.run_id is None:
        raise KeyInFlight("The start with this Idempotency-Key is still being handled.", retry_after_seconds=15)
    if not used.attached:
        return cancel_run(used.run_id, ws)
    if used.callback_id is not None:
        run = ws.callbacks.leave(used.run_id, used.callback_id)
    else:
        run = ws.runs.find(used.run_id)
    if run is None:
        raise RunNotFound(f"The run {used.run_id} is no longer kept.")
    return Cancelled(run=run, asked=False)


def _save_intent(run_id: RunId, ws: WorkspaceServices) -> Cancelled:
    """Store `cancelRequestedAt` in an active run; a finished run is returned as it is. Raises RunNotFound, TooBusy."""
    active = ws.runs.find_active(run_id)
    if active is None:
        run = ws.runs.find(run_id)
        if run is None:
            raise RunNotFound(f"There is no run {run_id}.")
        if run.is_finished:
            return Cancelled(run=run, asked=False)
    elif active.value.cancel_requested_at is not None:
        return Cancelled(run=active.value, asked=True)
    else:
        now = ws.clock.now()
        wanted = replace(active.value, cancel_requested_at=now, updated_at=now)
        saved = ws.runs.save_transition(active, wanted)
        if saved is not None:
            return Cancelled(run=saved, asked=True)
    raise TooBusy(f"Run {run_id} changes all the time, so it was not cancelled; repeat the request.")


def _ask(run: Run, ws: WorkspaceServices) -> None:
    """Ask for the stop once. Anything but a refused permission is left to the sweep."""
    try:
        ws.databricks.client(Deadline.after(ws.clock, budgets.CANCEL)).stop(run.current_id)
    except PermissionRefused as refused:
        raise refused.with_hint("The wish to cancel is kept, and each sweep repeats it.") from refused
    except (DatabricksError, DatabricksUnreachable, TokenUnavailable) as error:
        _log.warning(
            "a stop is left to the sweep: %s", error.code, extra={"run_id": str(run.run_id), "action": "cancel"}
        )
