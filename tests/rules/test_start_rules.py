"""A start is never repeated while its outcome is unknown, and strict rules recognise its update."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.decisions import budgets, start_rules
from polysync_core.rules.decisions.start_rules import NextStep
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.databricks_errors import (
    DatabricksError,
    DatabricksUnreachable,
    PermissionRefused,
    TokenUnavailable,
)
from polysync_core.values.errors import PolysyncError, StorageUnavailable
from polysync_core.values.run import Reservation
from tests.rules.examples import NOW

RESERVATION = Reservation(pipeline_id="p", owner="o", reserved_at=NOW, full_refresh=False)


def answered(status: int) -> DatabricksError:
    return DatabricksError("x", databricks_status=status)


@pytest.mark.parametrize(
    ("error", "expected", "reason"),
    [
        (answered(400), NextStep.REFUSE, "refused"),
        (answered(404), NextStep.REFUSE, "no such pipeline"),
        (answered(413), NextStep.REFUSE, "refused"),
        (answered(422), NextStep.REFUSE, "refused"),
        (answered(301), NextStep.REFUSE, "a redirect, not followed"),
        (PermissionRefused("x", databricks_status=401, error_code=None), NextStep.REFUSE, "401 is definite"),
        (PermissionRefused("x", databricks_status=403, error_code=None), NextStep.REFUSE, "403 is definite"),
        (answered(409), NextStep.CONFLICT, "an update is active"),
        (answered(429), NextStep.REPEAT, "not accepted"),
        (answered(503), NextStep.REPEAT, "not accepted"),
        (answered(500), NextStep.LOOK_UP, "it may have been started"),
        (answered(502), NextStep.LOOK_UP, "a gateway does not know"),
        (answered(504), NextStep.LOOK_UP, "a gateway does not know"),
        (answered(599), NextStep.LOOK_UP, "it may have been started"),
        (answered(408), NextStep.LOOK_UP, "a time-out"),
        (answered(200), NextStep.LOOK_UP, "a success without an update id"),
        (DatabricksUnreachable("x", was_sent=True), NextStep.LOOK_UP, "sent, and nothing came back"),
        (DatabricksUnreachable("x", was_sent=False), NextStep.REFUSE, "never left"),
        (TokenUnavailable("x"), NextStep.REFUSE, "without a token nothing was sent"),
        (StorageUnavailable("x"), NextStep.REFUSE, "not Databricks' word"),
    ],
)
def test_what_follows_a_failed_post(error: PolysyncError, expected: NextStep, reason: str) -> None:
    assert start_rules.decide_after_failed_post(error) is expected, reason


@given(st.integers(min_value=200, max_value=599))
def test_only_429_and_503_are_ever_repeated_and_no_5xx_is_ever_refused(status: int) -> None:
    step = start_rules.decide_after_failed_post(answered(status))
    assert (step is NextStep.REPEAT) == (status in {429, 503})
    assert not (step is NextStep.REFUSE and status >= 500)


@pytest.mark.parametrize(
    ("retry_after", "repeats", "expected"),
    [(None, 0, 1.0), (None, 1, 2.0), (None, 2, 4.0), (7, 0, 7.0), (7, 3, 7.0), (0, 2, 1.0)],
)
def test_the_pause_is_databricks_wish_and_at_least_1_s_else_1_s_doubling(
    retry_after: int | None, repeats: int, expected: float
) -> None:
    assert start_rules.post_pause_seconds(retry_after, repeats) == expected


def update(name: str, seconds: float | None = 1, **fields: Any) -> SeenUpdate:
    """An update created `seconds` after the reservation."""
    created_at = None if seconds is None else NOW + timedelta(seconds=seconds)
    known: dict[str, Any] = {"state": "RUNNING", "cause": "API_CALL", "full_refresh": False, "created_at": created_at}
    return SeenUpdate(update_id=name, **(known | fields))


def started(*updates: SeenUpdate, full_refresh: bool = False) -> list[str]:
    reservation = Reservation(pipeline_id="p", owner="o", reserved_at=NOW, full_refresh=full_refresh)
    return [seen.update_id for seen in start_rules.started_by(updates, reservation)]


@pytest.mark.parametrize(
    ("seen", "taken", "reason"),
    [
        (update("u"), True, "ours"),
        (update("u", 0), True, "the same instant"),
        (update("u", 98), True, "the last possible end of the POST, and the clock skew"),
        (update("u", 98.001), False, "no POST of ours was under way any more"),
        (update("u", -1), True, "a clock that is a second behind"),
        (update("u", -60), True, "a minute of clock skew"),
        (update("u", -60.001), False, "older than the clock skew"),
        (update("u", None), False, "nobody knows when"),
        (update("u", cause="USER_ACTION"), False, "started by hand"),
        (update("u", cause="RETRY_ON_FAILURE"), False, "Databricks' own retry"),
        (update("u", cause=None), False, "an unknown cause"),
        (update("u", full_refresh=True), False, "another kind"),
        (update("u", full_refresh=None), True, "None counts as false"),
        (update("u", state="FAILED"), True, "it may be over already"),
        (update("u", state=None), True, "its state may be missing"),
    ],
)
def test_which_update_a_reservation_may_have_started(seen: SeenUpdate, taken: bool, reason: str) -> None:
    assert started(seen) == (["u"] if taken else []), reason


@pytest.mark.parametrize(("full_refresh", "taken"), [(True, True), (False, False), (None, False)])
def test_a_full_refresh_is_only_recognised_in_a_full_refresh(full_refresh: bool | None, taken: bool) -> None:
    assert bool(started(update("u", full_refresh=full_refresh), full_refresh=True)) is taken


def test_the_first_after_the_reservation_is_the_likeliest_then_the_nearest_before_it() -> None:
    updates = (update("+9", 9), update("+2", 2), update("0", 0), update("-1", -1), update("-50", -50), update("x", -61))
    for order in (updates, updates[::-1]):
        assert started(*order) == ["0", "+2", "+9", "-1", "-50"]


@given(st.lists(st.integers(min_value=-120, max_value=600), unique=True, max_size=8))
def test_whatever_the_order_no_update_before_the_skew_is_taken(seconds: list[int]) -> None:
    taken = start_rules.started_by([update(str(second), second) for second in seconds], RESERVATION)
    created = [seen.created_at for seen in taken if seen.created_at is not None]
    assert len(created) == sum(-60 <= second <= 98 for second in seconds)
    after = [instant for instant in created if instant >= NOW]
    assert created == sorted(after) + sorted(set(created) - set(after), reverse=True)


@pytest.mark.parametrize(
    ("states", "expected", "reason"),
    [
        (["RUNNING"], 0, "active"),
        (["COMPLETED", "STOPPING"], 1, "still active"),
        (["FAILED", "QUEUED"], 1, "not begun is active"),
        (["FAILED", "RESYNCING"], 1, "a new state is active"),
        ([None], 0, "a missing state is active"),
        (["COMPLETED", "FAILED", "CANCELED"], None, "none active"),
        ([], None, "no update at all"),
    ],
)
def test_the_active_update(states: list[str | None], expected: int | None, reason: str) -> None:
    updates = [update(str(number), state=state) for number, state in enumerate(states)]
    assert start_rules.find_active(updates) == (None if expected is None else updates[expected]), reason


@pytest.mark.parametrize(("seconds", "expected"), [(0, False), (44.999, False), (45, True), (9999, True)])
def test_a_sweep_may_settle_a_start_only_when_its_call_must_be_over(seconds: float, expected: bool) -> None:
    assert start_rules.may_look_up(RESERVATION, NOW + timedelta(seconds=seconds)) is expected


@pytest.mark.parametrize(
    ("settle_seconds", "seconds", "expected", "reason"),
    [
        (120, 157.999, False, "the POST may end 38 s after the reservation: 38 + 120"),
        (120, 158, True, "38 + 120"),
        (0, 35, False, "never before the call must be over"),
        (0, 44.999, False, "never before the call must be over"),
        (0, 45, True, "the call must be over"),
        (7, 45, True, "38 + 7"),
        (8, 45, False, "38 + 8"),
        (8, 46, True, "38 + 8"),
    ],
)
def test_a_reservation_is_cleared_only_when_its_update_would_have_shown(
    settle_seconds: int, seconds: float, expected: bool, reason: str
) -> None:
    now = NOW + timedelta(seconds=seconds)
    assert start_rules.may_clear(RESERVATION, now, settle_seconds) is expected, reason


def test_the_times_are_the_designs() -> None:
    assert budgets.START == 45
    assert budgets.START_LAST_POST == 15
    assert budgets.START_KEY_WAIT == 20
    assert timedelta(seconds=60) == start_rules.CLOCK_SKEW
    assert budgets.START_LAST_POST_ENDS + sum(start_rules.LOOK_UP_PAUSES_SECONDS) < 45, "time to look it up"
