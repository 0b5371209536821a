"""Which run goes on with an automatic retry of Databricks, also before a sweep has seen that it does."""

from __future__ import annotations

import logging
from datetime import timedelta

from polysync_core.adapters.databricks.client import Conversation
from polysync_core.adapters.workspace_services import WorkspaceAccess
from polysync_core.rules.decisions.run_transitions import TransitionLimits, decide
from polysync_core.use_cases.observing import look_at
from polysync_core.values.errors import PolysyncError, UpdateConflict
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run, TrackedRun

_log = logging.getLogger("polysync.follow")
_LOOKS = 5
"""At a run that may go on with the retry: one for each earlier retry that no sweep has seen yet, and for lost races."""
_NO_LIMITS = TransitionLimits(lost_after=timedelta.max, retry_grace=timedelta.max)
"""A start gives no run up, however long it has waited: that is for the sweep."""


def find_follower(retry: RunId, access: WorkspaceAccess, talk: Conversation) -> Run | None:
    """The run that has `retry` as its update or goes on with it now; None when nobody follows it.

    UpdateConflict while that cannot be told: a run that was tracked for the retry then would take it from its own.
    """
    workspace = access.workspace.name
    try:
        for _ in range(_LOOKS):
            active = access.store.active_runs(workspace, retry.pipeline_id).runs
            followers = [at for at in active if at.run.follow_retries and at.run.missing_since is None]
            tracked = access.store.find_run(workspace, retry)
            if tracked is not None or not followers:
                return tracked
            for follower in followers:
                _look_again(follower, access, talk)
    except PolysyncError as error:
        _log.warning("look for the run of a retry failed: %s", error.code, extra={"action": "start"})
    raise UpdateConflict(
        f"Update {retry.update_id} of pipeline {retry.pipeline_id} is an automatic retry, and whether a run goes "
        "on with it is not known yet; repeat the request.",
        retry_after_seconds=15,
    )


def _look_again(tracked: TrackedRun, access: WorkspaceAccess, talk: Conversation) -> None:
    """As the sweep does; a stop that is to be asked for is left to it."""
    look = look_at(tracked.run, access, talk)
    decision = decide(tracked.run, look.seen, access.clock.now(), _NO_LIMITS, look.aftermath)
    if decision.write:
        access.store.save_transition(tracked, decision.run)
