"""Decide what a start may do, and find the update that it started. Pure: the times are arguments.

A start's POST is never repeated while its outcome is unknown. Databricks has no idempotency token, so a repeat could
start the pipeline twice. The app looks for the update instead.
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
from polysync_core.values.run import Reservation, Run
from polysync_core.values.start_options import SELECTIONS, VALIDATE_ONLY, normal_name

CLOCK_SKEW = timedelta(seconds=60)
_LAST_POST_ENDS = timedelta(seconds=budgets.START_LAST_POST_ENDS)
LOOK_UP_PAUSES_SECONDS = (0.0, 1.0, 3.0)
"""Pauses before each look-up of a start whose outcome is unknown."""
_MAY_BE_LEFT_OUT = frozenset({"reset_checkpoint_selection"})
"""UpdateInfo of the official SDK lacks this field, so a GET of an update may not show it."""


class NextStep(Enum):
    """The next step after a POST that returned no update id."""

    REFUSE = auto()  # nothing was started: release the reservation and the key, and answer the caller
    REPEAT = auto()  # Databricks did not accept it: repeat the POST (after a 503, look for the update first)
    CONFLICT = auto()  # the pipeline has an active update
    LOOK_UP = auto()  # the outcome is unknown: look for the update


def decide_after_failed_post(error: PolysyncError) -> NextStep:
    """Return the next step after a failed POST.

    It was refused, not accepted (429, 503) or in conflict (409), or its outcome is unknown.
    """
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
    """Whether Databricks may have executed the POST despite the error.

    Databricks answers 503 when it did not accept a call. A gateway may answer 503 to a call that Databricks executed.
    """
    return isinstance(error, DatabricksError) and error.databricks_status == 503


def post_pause_seconds(retry_after_seconds: int | None, repeats: int) -> float:
    """Return the seconds to wait before the POST is repeated.

    It is Databricks' Retry-After, at least 1 s. Without one it is 1 s, and doubles with each repeat.
    """
    return float(max(1, retry_after_seconds)) if retry_after_seconds is not None else float(2**repeats)


def is_joinable(seen: SeenUpdate, wanted: Reservation, run: Run | None) -> bool:
    """Whether an active update, as its GET shows it, does what the start `wanted` asks for.

    `run` is the run that tracks it, or None. A run knows the options of its update, also those that the GET leaves out
    or spells in another way. With an option of a later version, it is never the same. Without a run, the GET has to
    show exactly the wanted options.
    """
    if run is not None:
        same_options = run.options.are_all_known and run.options.normal() == wanted.options.normal()
        return same_options and may_be_of(seen, wanted)
    return (
        bool(seen.full_refresh) == wanted.full_refresh
        and set(seen.partial_by) == wanted.options.given().keys()
        and seen.options.normal() == wanted.options.normal()
    )


def may_be_of(seen: SeenUpdate, reservation: Reservation, *, is_listed: bool = False) -> bool:
    """Whether nothing that the update shows contradicts what the start asked for.

    `is_listed`: it is the entry of a listing, which may leave out every option. A table may come back with its catalog
    and schema.
    """
    shown, asked = set(seen.partial_by), reservation.options.given().keys()
    return (
        bool(seen.full_refresh) == reservation.full_refresh
        and shown <= asked
        and (is_listed or asked - shown <= _MAY_BE_LEFT_OUT)
        and all(
            _may_be_same_names(seen.options.names_in(name), reservation.options.names_in(name))
            for name in SELECTIONS
            if name in shown
        )
    )


def _may_be_same_names(shown: Iterable[str], asked: Iterable[str]) -> bool:
    """Whether each name of one selection may mean the same table as a name of the other."""
    ones, others = ([f".{normal_name(name)}" for name in names] for names in (shown, asked))

    def may_mean(name: str, names: Iterable[str]) -> bool:
        return any(name.endswith(other) or other.endswith(name) for other in names)

    return all(may_mean(one, others) for one in ones) and all(may_mean(other, ones) for other in others)


def kind_of(seen: SeenUpdate, wanted: Reservation, run: Run | None) -> str:
    """What an active update is that cannot be joined, in words that end "but it is …"."""
    if run is not None and not run.options.are_all_known:
        return "an update with options that only a later version of Polysync knows"
    names = [*seen.partial_by, *(() if run is None else run.options.given().keys() - set(seen.partial_by))]
    if VALIDATE_ONLY in names:
        return "a validation that refreshes nothing (validate_only)"
    if names and set(names) == wanted.options.given().keys():
        return f"an update with other names in {', '.join(names)}"
    if names:
        return f"an update of a part of the pipeline ({', '.join(names)})"
    if wanted.options:
        return "an update of the whole pipeline"
    return "a full refresh" if seen.full_refresh else "not a full refresh"


def started_by(updates: Iterable[SeenUpdate], reservation: Reservation) -> tuple[SeenUpdate, ...]:
    """Return the updates that `reservation` may have started, the likeliest first.

    Their cause is API_CALL, and nothing in their listing contradicts the start. They were created at most a minute
    before the reservation, and at most a minute after the last possible end of its POST. The minute allows for clock
    skew.

    Updates after the reservation come first, the oldest first. Updates before it follow, the newest first. An equal
    start by another client at that time would look the same.
    """
    alike = [
        (seen.created_at - reservation.reserved_at, seen)
        for seen in updates
        if seen.cause == "API_CALL"
        and may_be_of(seen, reservation, is_listed=True)
        and seen.created_at is not None
        and -CLOCK_SKEW <= seen.created_at - reservation.reserved_at <= CLOCK_SKEW + _LAST_POST_ENDS
    ]
    return tuple(seen for _, seen in sorted(alike, key=lambda found: (found[0] < timedelta(0), abs(found[0]))))


def find_active(updates: Iterable[SeenUpdate]) -> SeenUpdate | None:
    """Return the pipeline's active update, or None. Databricks allows only one at a time."""
    return next((seen for seen in updates if not is_final(seen.state)), None)


def may_look_up(reservation: Reservation, now: datetime) -> bool:
    """Whether a sweep may settle the reservation. The call that made it must have ended by then."""
    return now >= reservation.reserved_at + timedelta(seconds=budgets.START)


def may_clear(reservation: Reservation, now: datetime, settle_seconds: int) -> bool:
    """Whether the reservation may be cleared: any update of this start would be visible by now.

    That is `settle_seconds` after the last possible end of its POST.
    """
    return now >= reservation.reserved_at + timedelta(
        seconds=max(budgets.START, budgets.START_LAST_POST_ENDS + settle_seconds)
    )
