"""Cancel a run: store the intent, then ask Databricks. The sweep repeats the stop until it takes effect."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from polysync_core.adapters.storage.races import retry_lost_races
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets
from polysync_core.values.caller import CallerId
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
    """The run after a cancel. `asked` is False if the run is not to be stopped.

    Then it was finished, or the caller's start only joined it.
    """

    run: Run
    asked: bool


def cancel_run(run_id: RunId, ws: WorkspaceServices, caller: CallerId) -> Cancelled:
    """Ask Databricks to stop a run for `caller`. A finished run is returned unchanged, without a call to Databricks.

    If that call fails, the intent stays stored and the sweep asks again. Raises RunNotFound, TooBusy and
    PermissionRefused. After PermissionRefused, the intent stays stored too.
    """
    cancelled = retry_lost_races(lambda: _save_intent(run_id, ws, caller), _MOST_RACES)
    _log_cancel(cancelled, caller)
    if cancelled.asked and cancelled.run.state != "STOPPING":
        _ask(cancelled.run, ws)
    return cancelled


def cancel_pipeline(
    pipeline_id: str, idempotency_key: str | None, ws: WorkspaceServices, caller: CallerId
) -> Cancelled:
    """Cancel the run that the start with this key made. Without a key, cancel the pipeline's newest active run.

    If the start with this key only joined a run, that run is not stopped. Only the callback of that start is removed.
    Raises RunNotFound when the key is unknown, when its run is no longer kept, or when this app tracks no active run.
    Raises KeyInFlight while the start has no outcome, and what `cancel_run` raises.
    """
    if idempotency_key is not None:
        return _cancel_by_key(pipeline_id, idempotency_key, ws, caller)
    active = ws.runs.list_active(pipeline_id).rows
    if not active:
        raise RunNotFound(f"Pipeline {pipeline_id} has no active run that this app tracks.")
    newest = max(active, key=lambda one: one.value.accepted_at)
    return cancel_run(newest.value.run_id, ws, caller)


def _cancel_by_key(pipeline_id: str, idempotency_key: str, ws: WorkspaceServices, caller: CallerId) -> Cancelled:
    used = ws.runs.find_used_key(pipeline_id, idempotency_key)
    if used is None:
        raise RunNotFound(f"No start of pipeline {pipeline_id} came with this Idempotency-Key.")
    if used.run_id is None:
        raise KeyInFlight("The start with this Idempotency-Key is still being handled.", retry_after_seconds=15)
    if not used.attached:
        return cancel_run(used.run_id, ws, caller)
    if used.callback_id is not None:
        run = ws.callbacks.leave(used.run_id, used.callback_id)
    else:
        run = ws.runs.find(used.run_id)
    if run is None:
        raise RunNotFound(f"The run {used.run_id} is no longer kept.")
    cancelled = Cancelled(run=run, asked=False)
    _log_cancel(cancelled, caller)
    return cancelled


def _log_cancel(cancelled: Cancelled, caller: CallerId) -> None:
    _log.info(
        "cancel of run %s by %s%s",
        cancelled.run.run_id,
        caller,
        "" if cancelled.asked else ": nothing is to be stopped",
        extra={"run_id": str(cancelled.run.run_id), "action": "cancel"},
    )


def _save_intent(run_id: RunId, ws: WorkspaceServices, caller: CallerId) -> Cancelled:
    """Store `cancelRequestedAt` in an active run. A finished run is returned unchanged.

    Raises RunNotFound, and TooBusy when another change was first.
    """
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
        wanted = replace(active.value, cancel_requested_at=now, cancelled_by=caller, updated_at=now)
        saved = ws.runs.save_transition(active, wanted)
        if saved is not None:
            return Cancelled(run=saved, asked=True)
    raise TooBusy(f"Run {run_id} changes all the time, so it was not cancelled; repeat the request.")


def _ask(run: Run, ws: WorkspaceServices) -> None:
    """Ask for the stop once. Raises PermissionRefused. After any other failure, the sweep asks again."""
    try:
        ws.databricks.client(Deadline.after(ws.clock, budgets.CANCEL)).stop(run.current_id)
    except PermissionRefused as refused:
        raise refused.with_hint("The wish to cancel is kept, and each sweep repeats it.") from refused
    except (DatabricksError, DatabricksUnreachable, TokenUnavailable) as error:
        _log.warning(
            "a stop is left to the sweep: %s", error.code, extra={"run_id": str(run.run_id), "action": "cancel"}
        )
