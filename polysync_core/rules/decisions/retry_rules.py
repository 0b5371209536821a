"""Find Databricks' automatic retries. A failed or cancelled update may be followed by another with a new id. Pure.

No field names the parent update. The successor is the pipeline's next update after ours, if Databricks itself started
it. Databricks has many causes for that, such as RETRY_ON_FAILURE, SCHEMA_CHANGE, SERVICE_UPGRADE,
INFRASTRUCTURE_MAINTENANCE and SETTINGS_CHANGE. New ones may appear. So this module lists the few causes of people and
APIs instead. Every other cause is a continuation (UpdateInfoCause of the official SDK).
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
    """Whether Databricks may start a successor after `state`, and the run has to look for it.

    After a success there is none. After a stop request the run looks for one only if it follows retries. A retry may
    have begun before the stop took effect, and the app must then stop it too.
    """
    return is_final(state) and state != "COMPLETED" and (run.cancel_requested_at is None or run.follow_retries)


def next_update(attempt: Attempt, updates: Sequence[SeenUpdate]) -> SeenUpdate | None:
    """Return the update right after `attempt`, or None. `updates` are the pipeline's updates, newest first."""
    ids = [seen.update_id for seen in updates]
    if attempt.update_id in ids:
        position = ids.index(attempt.update_id)
        return updates[position - 1] if position else None
    later = [seen for seen in updates if _is_after(seen, attempt.created_at)]
    return later[-1] if later else None


def reaches_back_to(attempt: Attempt, updates: Sequence[SeenUpdate]) -> bool:
    """Whether `updates`, the pipeline's newest, go back far enough to contain the update right after `attempt`."""
    return any(
        seen.update_id == attempt.update_id
        or (seen.created_at is not None and attempt.created_at is not None and seen.created_at <= attempt.created_at)
        for seen in updates
    )


def _is_after(seen: SeenUpdate, created_at: datetime | None) -> bool:
    return created_at is not None and seen.created_at is not None and seen.created_at > created_at
