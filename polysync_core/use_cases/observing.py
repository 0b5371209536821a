"""One look at one run: what Databricks says of its update now, and, at an unhappy end, why and whether it goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from polysync_core.adapters.databricks.client import Conversation
from polysync_core.adapters.workspace_services import WorkspaceAccess
from polysync_core.rules.decisions import failure_reasons, retry_rules
from polysync_core.rules.decisions.run_transitions import (
    NO_AFTERMATH,
    Aftermath,
    Missing,
    knows_reason,
    wants_aftermath,
)
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.errors import DatabricksError, PolysyncError
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run, RunError

_log = logging.getLogger("polysync.look")
_REASON_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was seen, in the form that run_transitions.decide takes."""

    seen: SeenUpdate | Missing
    aftermath: Aftermath


def look_at(run: Run, access: WorkspaceAccess, talk: Conversation) -> Look:
    """The run's update; Missing when Databricks says in so many words that it does not exist.

    Everything else that is no answer is raised: a look that fails never changes a run. The aftermath of an unhappy end
    is read as far as it can be; what cannot be read of it delays nothing.
    """
    seen: SeenUpdate | Missing
    try:
        seen = talk.fetch_update(run.current_id)
    except DatabricksError as error:
        if not error.does_not_exist:
            raise
        seen = Missing.MISSING
    aftermath = _fetch_aftermath(run, seen, access, talk) if wants_aftermath(run, seen) else NO_AFTERMATH
    return Look(seen=seen, aftermath=aftermath)


def _fetch_aftermath(run: Run, seen: SeenUpdate | Missing, access: WorkspaceAccess, talk: Conversation) -> Aftermath:
    failed = isinstance(seen, SeenUpdate) and seen.state == "FAILED"
    reason = _fetch_reason(run, talk) if failed and not knows_reason(run) else None
    try:
        page = talk.fetch_updates_page(run.run_id.pipeline_id)
    except PolysyncError as error:
        _log.warning("the updates after run %s could not be listed: %s", run.run_id, error.code)
        return Aftermath(reason=reason)
    if page.next_page_token is not None and not retry_rules.reaches_back_to(run.attempts[-1], page.updates):
        return Aftermath(reason=reason)
    following = retry_rules.next_update(run.attempts[-1], page.updates)
    taken = frozenset[str]()
    if following is not None:
        holder = access.store.find_holder(run.workspace, RunId(run.run_id.pipeline_id, following.update_id))
        if holder is not None and holder != run.run_id:
            taken = frozenset({following.update_id})
    return Aftermath(reason=reason, updates=page.updates, taken=taken)


def _fetch_reason(run: Run, talk: Conversation) -> RunError | None:
    try:
        events = talk.fetch_error_events(run.run_id.pipeline_id, timeout_seconds=_REASON_SECONDS)
    except PolysyncError as error:
        _log.warning("the reason of run %s could not be read: %s", run.run_id, error.code)
        return None
    return failure_reasons.find_reason(events, run.current_id.update_id)
