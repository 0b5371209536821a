"""What a start does after each answer, and how its update is recognised. Pure: times are arguments.

A start's POST is never repeated while its outcome is unknown: Databricks has no idempotency token, so a repeat could
start the pipeline twice. It is looked up instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import Enum, auto

from polysync_core.rules.decisions import budgets
from polysync_core.rules.decisions.run_states import is_final
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable
from polysync_core.values.errors import PolysyncError
from polysync_core.values.run import Reservation

CLOCK_SKEW = timedelta(seconds=60)
_LAST_POST_ENDS = timedelta(seconds=budgets.START_LAST_POST_ENDS)
LOOK_UP_PAUSES_SECONDS = (0.0, 1.0, 3.0)
"""Pauses before each look-up of a start whose outcome is unknown."""


class NextStep(Enum):
    """What follows a POST that brought no update id."""

    REFUSE = auto()  # definitely not started: release everything, answer the caller
    REPEAT = auto()  # Databricks says that it did not accept it (a 503 is looked up before)
    CONFLICT = auto()  # the pipeline has an active update
    LOOK_UP = auto()  # nobody knows


def decide_after_failed_post(error: PolysyncError) -> NextStep:
    """Read a failed POST: was it refused, not accepted (429, 503), in conflict (409), or is its outcome unknown?"""
    if isinstance(error, DatabricksUnreachable):
        return NextStep.LOOK_UP if error.was_sent else NextStep.REFUSE
    if not isinstance(error, DatabricksError):
        return NextStep.REFUSE
    status = error.databricks_status
    if status == 409:
        return NextStep.CONFLICT
    if error.is_busy:
        return NextStep.REPEAT
    if status < 300 or status == 408 or status >= 500:
        return NextStep.LOOK_UP
    return NextStep.REFUSE


def may_be_executed(error: PolysyncError) -> bool:
    """Databricks says 503 when it did not accept a call; a gateway before it may say so of one that got through."""
    return isinstance(error, DatabricksError) and error.databricks_status == 503


def post_pause_seconds(retry_after_seconds: int | None, repeats: int) -> float:
    """Databricks' own wish, at least 1 s; without one 1 s, doubling."""
    return float(max(1, retry_after_seconds)) if retry_after_seconds is not None else float(2**repeats)


def is_same_kind(seen: SeenUpdate, full_refresh: bool) -> bool:
    """Whether the update does what a start with `full_refresh` asks for: a refresh of the whole pipeline."""
    return not seen.partial_by and bool(seen.full_refresh) == full_refresh


def kind_of(seen: SeenUpdate) -> str:
    """What the update is, in words that end "but it is …"."""
    if "validate_only" in seen.partial_by:
        return "a validation that refreshes nothing (validate_only)"
    if seen.partial_by:
        return f"an update of a part of the pipeline ({', '.join(seen.partial_by)})"
    return "a full refresh" if seen.full_refresh else "not a full refresh"


def started_by(updates: Iterable[SeenUpdate], reservation: Reservation) -> tuple[SeenUpdate, ...]:
    """The updates that `reservation` may have started, the likeliest first.

    They were started over the API and are of the same kind. They were created at the earliest a minute before the
    reservation, and at the latest a minute after its POST's last possible end, since clocks differ. Those after the
    reservation come first, the oldest leading; then those before it, the newest leading. A stranger's equal start in
    that minute would look the same.
    """
    alike = [
        (seen.created_at - reservation.reserved_at, seen)
        for seen in updates
        if seen.cause == "API_CALL"
        and is_same_kind(seen, reservation.full_refresh)
        and seen.created_at is not None
        and -CLOCK_SKEW <= seen.created_at - reservation.reserved_at <= CLOCK_SKEW + _LAST_POST_ENDS
    ]
    return tuple(seen for _, seen in sorted(alike, key=lambda found: (found[0] < timedelta(0), abs(found[0]))))


def find_active(updates: Iterable[SeenUpdate]) -> SeenUpdate | None:
    """The pipeline's active update: Databricks allows one at a time."""
    return next((seen for seen in updates if not is_final(seen.state)), None)


def may_look_up(reservation: Reservation, now: datetime) -> bool:
    """Whether the call that made the reservation must be over, so that a sweep may settle it."""
    return now >= reservation.reserved_at + timedelta(seconds=budgets.START)


def may_clear(reservation: Reservation, now: datetime, settle_seconds: int) -> bool:
    """Whether an update of this start would have shown by now: `settle_seconds` after its POST's last possible end."""
    return now >= reservation.reserved_at + timedelta(
        seconds=max(budgets.START, budgets.START_LAST_POST_ENDS + settle_seconds)
    )
