"""Cancel a run: write the intent down, then ask Databricks. The sweep repeats the stop until it takes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.rows import row_keys
from polysync_core.values.errors import (
    DatabricksError,
    DatabricksUnreachable,
    KeyInFlight,
    PermissionRefused,
    RunNotFound,
    StorageUnavailable,
    TokenUnavailable,
)
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run, TrackedRun

_log = logging.getLogger("polysync.cancel")
_ASK_SECONDS = 20.0
_RACES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancelled:
    """`asked` False: the run was finished (or, by the key of an attached start, is not this caller's to stop)."""

    run: Run
    asked: bool


def cancel_run(run_id: RunId, ws: WorkspaceServices) -> Cancelled:
    """Ask for the stop of a run. RunNotFound when it is not known here; a finished run is given as it is, uncalled.

    When Databricks cannot be asked now, the intent stands and the sweep asks. PermissionRefused is told to the caller;
    the intent stands all the same.
    """
    tracked = _save_intent(run_id, ws)
    if isinstance(tracked, Run):
        return Cancelled(run=tracked, asked=False)
    if tracked.run.state != "STOPPING":
        _ask(tracked.run, ws)
    return Cancelled(run=tracked.run, asked=True)


def cancel_pipeline(pipeline_id: str, idempotency_key: str | None, ws: WorkspaceServices) -> Cancelled:
    """Cancel the run that the key's start made; without a key, the pipeline's active run if it is ours.

    RunNotFound when the key is not known or nothing of ours is active, KeyInFlight while its start has no outcome.
    """
    if idempotency_key is not None:
        return _cancel_by_key(pipeline_id, idempotency_key, ws)
    active = ws.store.active_runs(ws.workspace.name, pipeline_id).runs
    if not active:
        raise RunNotFound(f"Pipeline {pipeline_id} has no active run that this app tracks.")
    newest = max(active, key=lambda tracked: tracked.run.accepted_at)
    return cancel_run(newest.run.run_id, ws)


def _cancel_by_key(pipeline_id: str, idempotency_key: str, ws: WorkspaceServices) -> Cancelled:
    used = ws.store.find_used_key(ws.workspace.name, row_keys.start(pipeline_id, idempotency_key))
    if used is None:
        raise RunNotFound(f"No start of pipeline {pipeline_id} came with this Idempotency-Key.")
    if used.run_id is None:
        raise KeyInFlight("The start with this Idempotency-Key is still being handled.", retry_after_seconds=15)
    if not used.attached:
        return cancel_run(used.run_id, ws)
    workspace = ws.workspace.name
    if used.callback_id is not None:
        run = ws.store.callbacks.leave(workspace, used.run_id, used.callback_id)
    else:
        run = ws.store.find_run(workspace, used.run_id)
    if run is None:
        raise RunNotFound(f"The run {used.run_id} is no longer kept.")
    return Cancelled(run=run, asked=False)


def _save_intent(run_id: RunId, ws: WorkspaceServices) -> TrackedRun | Run:
    """The active run with `cancelRequestedAt` stored; or the run itself when it is finished."""
    for _ in range(_RACES):
        tracked = ws.store.find_active(ws.workspace.name, run_id)
        if tracked is None:
            run = ws.store.find_run(ws.workspace.name, run_id)
            if run is None:
                raise RunNotFound(f"There is no run {run_id}.")
            if run.is_finished:
                return run
            continue
        if tracked.run.cancel_requested_at is not None:
            return tracked
        now = ws.clock.now()
        wanted = replace(tracked.run, cancel_requested_at=now, updated_at=now)
        if ws.store.save_transition(tracked, wanted):
            return TrackedRun(run=wanted, etag="")
    raise StorageUnavailable("The run changed again and again while it was to be cancelled; repeat the request.")


def _ask(run: Run, ws: WorkspaceServices) -> None:
    """Ask for the stop once. Anything but a refused permission is left to the sweep."""
    try:
        ws.databricks.client(_ASK_SECONDS).stop(run.current_id)
    except PermissionRefused as refused:
        refused.detail = f"{refused.detail} The wish to cancel is kept, and each sweep repeats it."
        raise
    except (DatabricksError, DatabricksUnreachable, TokenUnavailable) as error:
        _log.warning(
            "a stop is left to the sweep: %s", error.code, extra={"run_id": str(run.run_id), "action": "cancel"}
        )
