"""Join the active update of a pipeline whose run is tracked already, without a start of its own.

Many callers may join at once: none of them has to wait for the pipeline's reservation, and those that wait share one
GET of the update.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, start_rules
from polysync_core.rules.decisions.run_states import is_final, is_known
from polysync_core.values.errors import PolysyncError, TooBusy
from polysync_core.values.run import Reservation, Run, Started, StartRequest, UsedKey

_log = logging.getLogger("polysync.start")


def join_tracked(
    request: StartRequest, reservation: Reservation, used: UsedKey, ws: WorkspaceServices, client: BoundedClient
) -> Started | None:
    """Join the pipeline's tracked active run, if a GET that begins now shows that its update is active.

    `reservation` and `used` are what the start would store. None when there is no such run, its update is of another
    kind, or Databricks does not answer: then the ordinary start decides. Raises TooManyCallbacks, StorageUnavailable.
    """
    active = ws.runs.list_active(request.pipeline_id).rows
    run = max((locked.value for locked in active), key=lambda each: each.accepted_at, default=None)
    if run is None or not _is_joinable(run, reservation, ws, client):
        return None
    joined = replace(used, run_id=run.run_id, attached=True)
    try:
        found = ws.runs.join(run.run_id, request.idempotency_key, joined, reservation.waiter, ws.clock.now())
    except TooBusy as error:
        _log.warning("a run could not be joined: %s", error.code, extra={"run_id": str(run.run_id), "action": "start"})
        return None
    return None if found is None else Started(run=found, attached=True)


def _is_joinable(run: Run, reservation: Reservation, ws: WorkspaceServices, client: BoundedClient) -> bool:
    try:
        seen = ws.fresh_looks.get(
            str(run.current_id), lambda: client.fetch_update(run.current_id), timeout_seconds=budgets.START_ATTACH_LOOK
        )
    except (PolysyncError, TimeoutError):
        return False
    return is_known(seen.state) and not is_final(seen.state) and start_rules.is_joinable(seen, reservation, run)
