"""Databricks' automatic retries: a failed (or cancelled) update may be followed by another under a new id. Pure.

No field names the parent. A successor is the next update of the pipeline, created after ours, that Databricks itself
started. Its causes for that are many, and new ones may appear: RETRY_ON_FAILURE, SCHEMA_CHANGE, SERVICE_UPGRADE,
INFRASTRUCTURE_MAINTENANCE, SETTINGS_CHANGE. So the few causes of people and APIs are listed, and all others continue
what ran (UpdateInfoCause of the official SDK).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from polysync_core.rules.decisions.run_states import is_final
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.run import Attempt, Run

STARTED_BY_SOMEBODY = frozenset({"API_CALL", "USER_ACTION", "JOB_TASK", "ORCHESTRATION"})


def is_continuation(cause: str | None) -> bool:
    """Whether Databricks itself started an update with this cause. A missing cause proves nothing."""
    return bool(cause) and cause not in STARTED_BY_SOMEBODY


def may_have_successor(run: Run, state: str | None) -> bool:
    """Whether Databricks may go on by itself after `state`: not after a success.

    Nor after a stop that we asked for, unless retries are followed: then one that began before the stop could take is
    ours to stop too.
    """
    return is_final(state) and state != "COMPLETED" and (run.cancel_requested_at is None or run.follow_retries)


def next_update(attempt: Attempt, updates: Sequence[SeenUpdate]) -> SeenUpdate | None:
    """The update that came right after `attempt` in `updates` (a pipeline's, newest first), None when there is none."""
    ids = [seen.update_id for seen in updates]
    if attempt.update_id in ids:
        position = ids.index(attempt.update_id)
        return updates[position - 1] if position else None
    later = [seen for seen in updates if _is_after(seen, attempt.created_at)]
    return later[-1] if later else None


def reaches_back_to(attempt: Attempt, updates: Sequence[SeenUpdate]) -> bool:
    """Whether `updates`, a pipeline's newest, go back far enough to hold the one that came right after `attempt`."""
    return any(
        seen.update_id == attempt.update_id
        or (seen.created_at is not None and attempt.created_at is not None and seen.created_at <= attempt.created_at)
        for seen in updates
    )


def _is_after(seen: SeenUpdate, created_at: datetime | None) -> bool:
    return created_at is not None and seen.created_at is not None and seen.created_at > created_at
