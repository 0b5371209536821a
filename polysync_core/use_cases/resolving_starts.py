"""Find the outcome of a start that left a reservation behind: its process died, or it got no clear answer."""

from __future__ import annotations

import logging

from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, start_rules
from polysync_core.rules.decisions.callback_rules import put_waiter
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.databricks_errors import DatabricksError
from polysync_core.values.ids import RunId
from polysync_core.values.run import Attempt, Reservation, Run
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.settle")


def settle(held: Locked[Reservation], ws: WorkspaceServices, client: BoundedClient, settle_seconds: int) -> None:
    """Track the update of a start without an answer, or clear its reservation once no update can appear any more.

    Nothing is done while the start's own call may still be running. Raises the errors of Databricks and storage.
    Nothing was cleared then, and the next sweep tries again.
    """
    reservation, now = held.value, ws.clock.now()
    if not start_rules.may_look_up(reservation, now):
        return
    found = find_started(reservation, ws, client)
    if found is not None:
        run = ws.runs.track(new_run(reservation, found, ws), held)
        _log.warning(
            "a start by %s without an answer is tracked now: run %s",
            reservation.started_by,
            run.run_id,
            extra={"run_id": str(run.run_id), "action": "settle"},
        )
    elif start_rules.may_clear(reservation, now, settle_seconds):
        ws.runs.release(held)
        _log.warning(
            "a start without an answer never showed; its pipeline %s is free again",
            reservation.pipeline_id,
            extra={"pipeline_id": reservation.pipeline_id, "action": "settle"},
        )


def find_started(reservation: Reservation, ws: WorkspaceServices, client: BoundedClient) -> SeenUpdate | None:
    """Search the pipeline's updates for the one that `reservation` started and that has no run yet.

    Also returns None when the pipeline does not exist, because no update of it can appear any more. Raises what
    Databricks raises, and DatabricksError when the listing does not end.
    """
    seen: list[SeenUpdate] = []
    try:
        for number, page in enumerate(client.iter_updates_pages(reservation.pipeline_id)):
            if number == budgets.MOST_UPDATES_PAGES:
                raise DatabricksError("Databricks' listing of the updates does not end.", databricks_status=200)
            seen += page.updates
            # A page may be empty, or its updates may have no time. The update may then be on the next page.
            oldest = next((update.created_at for update in reversed(page.updates) if update.created_at), None)
            if oldest is not None and oldest < reservation.reserved_at - start_rules.CLOCK_SKEW:
                break
    except DatabricksError as error:
        if error.does_not_exist:
            return None
        raise
    for listed in start_rules.started_by(seen, reservation):
        run_id = RunId(reservation.pipeline_id, listed.update_id)
        if ws.runs.find_holder(run_id) is not None:
            continue
        try:
            update = client.fetch_update(run_id)  # a listing may leave out that it is a validation or a partial update
        except DatabricksError as error:
            if not error.does_not_exist:
                raise
            return listed  # the listing has it, so the GET may only be behind
        if start_rules.may_be_of(update, reservation):
            return update
    return None


def new_run(reservation: Reservation, seen: SeenUpdate, ws: WorkspaceServices, *, attached: bool = False) -> Run:
    """Create the run of an update that gets tracked. A time-out never stops an update that was only joined."""
    now = ws.clock.now()
    attempt = Attempt(update_id=seen.update_id, state=seen.state, cause=seen.cause, created_at=seen.created_at)
    run = Run(
        run_id=RunId(reservation.pipeline_id, seen.update_id),
        full_refresh=reservation.full_refresh,
        options=reservation.options,
        ignored_parameters=reservation.ignored_parameters,
        accepted_at=now,
        seen_at=now,
        updated_at=now,
        attempts=(attempt,),
        pipeline_name=reservation.pipeline_name,
        started_at=seen.created_at,
        state_since=now,
        timeout_at=None if attached else reservation.timeout_at,
        follow_retries=reservation.follow_retries,
        attached=attached,
        started_by=None if attached else reservation.started_by,
    )
    return run if reservation.waiter is None else put_waiter(run, reservation.waiter, now)
