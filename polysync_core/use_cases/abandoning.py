"""Abandon a run: finish it as Unknown at an operator's request, where nothing else can end it."""

from __future__ import annotations

import logging

from polysync_core.adapters.storage.races import retry_lost_races
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import run_transitions
from polysync_core.values.caller import CallerId
from polysync_core.values.errors import RunFinished, RunNotFound, TooBusy
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run

_log = logging.getLogger("polysync.abandon")
_MOST_RACES = 5


def abandon_run(run_id: RunId, ws: WorkspaceServices, caller: CallerId) -> Run:
    """Finish an active run for `caller` with the error RunAbandoned, and owe its callbacks. Databricks is not asked.

    A run whose `active` row cannot be read is finished from its `run` row. Raises RunNotFound, RunFinished, TooBusy,
    StorageUnavailable, and RowUnreadable when neither row can be read.
    """
    run = retry_lost_races(lambda: _abandon(run_id, ws), _MOST_RACES)
    _log.warning(
        "run %s was abandoned by %s", run.run_id, caller, extra={"run_id": str(run.run_id), "action": "abandon"}
    )
    return run


def _abandon(run_id: RunId, ws: WorkspaceServices) -> Run:
    now = ws.clock.now()
    abandoned = ws.runs.abandon(run_id, lambda run: run_transitions.abandon(run, now))
    if abandoned is not None:
        return abandoned
    run = ws.runs.find(run_id)
    if run is None:
        raise RunNotFound(f"There is no run {run_id}.")
    if run.is_finished:
        raise RunFinished(f"Run {run_id} is finished already, so it cannot be abandoned.")
    raise TooBusy(f"Run {run_id} changes all the time, so it was not abandoned; repeat the request.")
