"""Observe one run: fetch its update. If the update failed, fetch the reason and the updates that follow it too."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, failure_reasons, retry_rules
from polysync_core.rules.decisions.run_transitions import (
    NO_FAILURE_CONTEXT,
    FailureContext,
    TransitionLimits,
    decide,
    knows_reason,
    wants_failure_context,
)
from polysync_core.values.databricks import Absent, Gone, SeenUpdate
from polysync_core.values.databricks_errors import DatabricksError
from polysync_core.values.errors import PolysyncError, UpdateConflict
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run, RunError
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.look")


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What was seen, in the form that run_transitions.decide takes."""

    seen: SeenUpdate | Gone
    failure_context: FailureContext


def observe_run(run: Run, ws: WorkspaceServices, client: BoundedClient) -> Observation:
    """Fetch the run's update. Absent.GONE when Databricks answers explicitly that it does not exist.

    Raises every other error: an observation that fails never changes a run. If Databricks does not return a part of the
    failure context, that is logged and the part is left out.
    """
    seen: SeenUpdate | Gone
    try:
        seen = client.fetch_update(run.current_id)
    except DatabricksError as error:
        if not error.does_not_exist:
            raise
        seen = Absent.GONE
    failure_context = (
        _fetch_failure_context(run, seen, ws, client) if wants_failure_context(run, seen) else NO_FAILURE_CONTEXT
    )
    return Observation(seen=seen, failure_context=failure_context)


def _fetch_failure_context(
    run: Run, seen: SeenUpdate | Gone, ws: WorkspaceServices, client: BoundedClient
) -> FailureContext:
    failed = isinstance(seen, SeenUpdate) and seen.state == "FAILED"
    reason = _fetch_reason(run, client) if failed and not knows_reason(run) else None
    try:
        page = client.fetch_updates_page(run.run_id.pipeline_id)
    except PolysyncError as error:
        _log.warning("the updates after run %s could not be listed: %s", run.run_id, error.code)
        return FailureContext(reason=reason)
    if page.next_page_token is not None and not retry_rules.reaches_back_to(run.attempts[-1], page.updates):
        return FailureContext(reason=reason)
    following = retry_rules.next_update(run.attempts[-1], page.updates)
    taken = frozenset[str]()
    if following is not None:
        holder = ws.runs.find_holder(RunId(run.run_id.pipeline_id, following.update_id))
        if holder is not None and holder != run.run_id:
            taken = frozenset({following.update_id})
    return FailureContext(reason=reason, updates=page.updates, taken=taken)


def _fetch_reason(run: Run, client: BoundedClient) -> RunError | None:
    try:
        events = client.fetch_error_events(run.run_id.pipeline_id, timeout_seconds=budgets.FAILURE_REASON)
    except PolysyncError as error:
        _log.warning("the reason of run %s could not be read: %s", run.run_id, error.code)
        return None
    return failure_reasons.find_reason(events, run.current_id.update_id)


# --- a run that continues with an automatic retry

_LOOKS = 5
"""How often followers are observed: for each earlier retry that no sweep has seen yet, and for lost races."""
_NO_LIMITS = TransitionLimits(lost_after=timedelta.max, retry_grace=timedelta.max)
"""A start never gives up a run, however long the run has waited. The sweep does that."""


def find_run_continued_by(retry: RunId, ws: WorkspaceServices, client: BoundedClient) -> Run | None:
    """The run that tracks the automatic retry `retry`. None when no run follows the retry.

    Active runs that may continue with the retry are observed first. Raises UpdateConflict while the answer is unknown:
    a new run for the retry would take the retry from its own run.
    """
    try:
        for _ in range(_LOOKS):
            active = ws.runs.list_active(retry.pipeline_id).rows
            followers = [at for at in active if at.value.follow_retries and at.value.missing_since is None]
            tracked = ws.runs.find(retry)
            if tracked is not None or not followers:
                return tracked
            for follower in followers:
                _observe_again(follower, ws, client)
    except PolysyncError as error:
        _log.warning("look for the run of a retry failed: %s", error.code, extra={"action": "start"})
    raise UpdateConflict(
        f"Update {retry.update_id} of pipeline {retry.pipeline_id} is an automatic retry, and whether a run goes "
        "on with it is not known yet; repeat the request.",
        retry_after_seconds=15,
    )


def _observe_again(follower: Locked[Run], ws: WorkspaceServices, client: BoundedClient) -> None:
    """Observe the run and save its transition, as a sweep does. A stop that is due is left to the sweep."""
    observation = observe_run(follower.value, ws, client)
    decision = decide(follower.value, observation.seen, ws.clock.now(), _NO_LIMITS, observation.failure_context)
    if decision.write:
        ws.runs.save_transition(follower, decision.run)
