"""What follows from one response of Databricks: what is written, if a stop is repeated, when a run is given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polysync_core.rules.decisions import run_transitions
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.decisions.run_transitions import (
    MOST_ATTEMPTS,
    Decision,
    FailureContext,
    TransitionLimits,
    decide,
)
from polysync_core.rules.decisions.sweep_rules import MOST_NOT_SEEN, is_fresh, note_not_seen, seen_at
from polysync_core.rules.rows.run_entity import RUN
from polysync_core.values.databricks import Absent, Gone, SeenUpdate
from polysync_core.values.ids import RunId
from polysync_core.values.run import NEVER, Attempt, LastSweep, Run, RunError, Status, SweepReport
from tests.rules.examples import BEFORE, NOW, make_run, runs

LOST_AFTER = timedelta(minutes=60)
LIMITS = TransitionLimits(lost_after=LOST_AFTER, retry_grace=timedelta(seconds=60))
STATES = [
    *("QUEUED", "CREATED", "WAITING_FOR_RESOURCES", "INITIALIZING", "RESETTING", "SETTING_UP_TABLES"),
    *("RUNNING", "STOPPING", "COMPLETED", "FAILED", "CANCELED", "RESYNCING", None),
]
FINAL = {"COMPLETED", "FAILED", "CANCELED"}


def saw(state: str | None, **fields: Any) -> SeenUpdate:
    return SeenUpdate(update_id="u1", state=state, **fields)


def decided(run: Run, seen: SeenUpdate | Gone, now: datetime = NOW) -> Decision:
    return decide(run, seen, now, LIMITS)


@pytest.mark.parametrize("before", [state for state in STATES if state not in FINAL])
@pytest.mark.parametrize("after", STATES)
def test_a_change_is_written_and_a_final_state_finishes(before: str | None, after: str | None) -> None:
    run = make_run(state=before)
    decision = decided(run, saw(after))
    if before == after:
        assert decision == Decision(run=run, write=False, stop=False), "unchanged: no write"
        return
    assert decision.write
    assert decision.run.is_finished is (after in FINAL)
    assert decision.run.state == after
    assert (decision.run.seen_at, decision.run.updated_at) == (NOW, NOW)
    assert decision.run.finished_at == (NOW if after in FINAL else None)
    assert (decision.run.error is not None) is (after == "FAILED")


def test_only_what_was_seen_changes() -> None:
    run = make_run(full_refresh=True, pipeline_name="sales", ignored_parameters=("a",), attached=True)
    after = decided(run, saw("STOPPING")).run
    expected = replace(run, attempts=(replace(run.attempts[0], state="STOPPING"),), seen_at=NOW, updated_at=NOW)
    assert replace(after, state_since=None) == expected


def test_a_failed_run_says_so() -> None:
    error = decided(make_run(), saw("FAILED")).run.error
    assert error is not None
    assert error.code == "UpdateFailed"


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (saw("RUNNING"), "nothing but the state"),
        (saw("RUNNING", cause="API_CALL", created_at=BEFORE, full_refresh=False), "all as it was"),
        (saw("RUNNING", cause="USER_ACTION"), "a cause alone is not worth a write"),
        (saw("RUNNING", pipeline_name="sales"), "a name alone is not worth a write"),
        (saw("RUNNING", full_refresh=True), "what was asked for is known already"),
    ],
)
def test_unchanged_is_not_written(seen: SeenUpdate, reason: str) -> None:
    run = make_run()
    decision = decided(run, seen)
    assert not decision.write, reason
    assert decision.run is run


def test_what_a_first_answer_adds_is_written() -> None:
    run = make_run(attempts=(Attempt(update_id="u1", state=None),), started_at=None, full_refresh=None)
    seen = saw("CREATED", cause="API_CALL", created_at=BEFORE, full_refresh=True, pipeline_name="sales")
    after = decided(run, seen).run
    assert after.attempts == (Attempt(update_id="u1", state="CREATED", cause="API_CALL", created_at=BEFORE),)
    assert (after.started_at, after.full_refresh, after.pipeline_name) == (BEFORE, True, "sales")


def test_a_creation_time_that_comes_later_is_written_though_the_state_stays() -> None:
    run = make_run(attempts=(Attempt(update_id="u1", state="RUNNING"),), started_at=None)
    decision = decided(run, saw("RUNNING", created_at=BEFORE))
    assert decision.write
    assert decision.run.started_at == BEFORE


def test_what_an_answer_leaves_out_is_kept() -> None:
    run = make_run(pipeline_name="sales")
    after = decided(run, saw("STOPPING")).run
    assert after.attempts[0].cause == "API_CALL"
    assert after.attempts[0].created_at == after.started_at == BEFORE
    assert after.pipeline_name == "sales"


def test_only_the_last_attempt_moves_on_and_the_start_stays_the_firsts() -> None:
    first = Attempt(update_id="u0", state="FAILED", created_at=BEFORE)
    run = make_run(attempts=(first, Attempt(update_id="u1", state="QUEUED", created_at=NOW)))
    after = decided(run, saw("RUNNING")).run
    assert after.attempts == (first, Attempt(update_id="u1", state="RUNNING", created_at=NOW))
    assert after.started_at == BEFORE


# --- a requested stop


@pytest.mark.parametrize("state", STATES)
def test_a_stop_is_repeated_until_the_run_is_stopping_or_final(state: str | None) -> None:
    run = make_run(state="RUNNING", cancel_requested_at=BEFORE)
    assert decided(run, saw(state)).stop is (state not in {"STOPPING", *FINAL})


@pytest.mark.parametrize("state", STATES)
def test_without_a_cancel_nothing_is_stopped(state: str | None) -> None:
    assert not decided(make_run(), saw(state)).stop


def test_a_missing_update_is_not_stopped() -> None:
    assert not decided(make_run(cancel_requested_at=BEFORE), Absent.GONE).stop


# --- an update that does not exist


def test_the_first_such_answer_is_written_down() -> None:
    run = make_run()
    decision = decided(run, Absent.GONE)
    assert decision == Decision(
        run=replace(run, missing_since=NOW, seen_at=NOW, updated_at=NOW), write=True, stop=False
    )
    assert not decision.run.is_finished


@pytest.mark.parametrize("minutes", [0, 1, 30, 59.99])
def test_until_it_is_given_up_the_first_time_is_kept_and_nothing_written(minutes: float) -> None:
    run = make_run(missing_since=NOW)
    decision = decided(run, Absent.GONE, NOW + timedelta(minutes=minutes))
    assert decision == Decision(run=run, write=False, stop=False)


@pytest.mark.parametrize("minutes", [60, 61, 100_000])
@pytest.mark.parametrize("state", ["RUNNING", None])
def test_after_lost_after_it_is_given_up_as_unknown(minutes: float, state: str | None) -> None:
    now = NOW + timedelta(minutes=minutes)
    decision = decided(make_run(state=state, missing_since=NOW, cancel_requested_at=NOW), Absent.GONE, now)
    assert (decision.run.is_finished, decision.stop) == (True, False)
    run = decision.run
    assert (run.is_finished, run.finished_at, run.missing_since) == (True, now, NOW)
    assert status_of_run(run) is Status.UNKNOWN
    assert run.error is not None
    assert run.error.code == "RunLost"
    assert "2026-11-22 12:00 UTC" in run.error.message, "since when"
    assert ("RUNNING" if state else "no state") in run.error.message, "its last word"


@given(st.lists(st.floats(min_value=0.1, max_value=20), min_size=1, max_size=30))
def test_it_is_given_up_exactly_when_lost_after_has_passed_since_the_first_such_answer(gaps: list[float]) -> None:
    run, now = make_run(), NOW
    for gap in gaps:
        run = decided(run, Absent.GONE, now).run
        assert run.is_finished is (now - NOW >= LOST_AFTER)
        if run.is_finished:
            return
        now += timedelta(minutes=gap)


@pytest.mark.parametrize("state", STATES)
def test_seen_again_it_is_missing_no_more(state: str | None) -> None:
    decision = decided(make_run(missing_since=BEFORE), saw(state))
    assert decision.write, "also when its state is as before"
    assert decision.run.missing_since is None
    assert decision.run.seen_at == NOW


# --- an end after which Databricks may retry

RETRY = SeenUpdate(update_id="u2", state="RUNNING", cause="RETRY_ON_FAILURE", created_at=NOW)
RETRIED = FailureContext(updates=(RETRY, saw("FAILED", created_at=BEFORE)))
NOT_RETRIED = FailureContext(updates=(saw("FAILED", created_at=BEFORE),))


@pytest.mark.parametrize("timed_out", [False, True])
@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_a_retry_that_began_before_the_stop_took_is_followed_and_stopped(state: str, timed_out: bool) -> None:
    error = RunError(code="RunTimedOut", message="x") if timed_out else None
    run = make_run(follow_retries=True, cancel_requested_at=BEFORE, error=error)
    decision = decide(run, saw(state), NOW, LIMITS, RETRIED)
    assert (decision.write, decision.stop) == (True, True)
    assert decision.run.current_id.update_id == "u2"
    assert (decision.run.is_finished, decision.run.cancel_requested_at) == (False, BEFORE)
    assert decision.run.error == error, "why it is stopped stays said"


WAITING: dict[str, Any] = {"state": "FAILED", "follow_retries": True, "retry_awaited_since": NOW}


@pytest.mark.parametrize("fields", [{}, {"retry_awaited_since": NOW - timedelta(seconds=1)}], ids=str)
def test_after_a_stop_that_took_no_retry_is_waited_for(fields: dict[str, Any]) -> None:
    run = make_run(follow_retries=True, cancel_requested_at=BEFORE, **fields)
    decision = decide(run, saw("CANCELED"), NOW, LIMITS, NOT_RETRIED)
    assert (decision.run.is_finished, decision.stop) == (True, False)


@pytest.mark.parametrize(("seconds", "ends"), [(0, False), (59.9, False), (60, True)])
def test_a_failed_attempt_may_be_retried_in_spite_of_a_stop(seconds: float, ends: bool) -> None:
    run = make_run(cancel_requested_at=NOW, **WAITING)
    decision = decide(run, saw("FAILED"), NOW + timedelta(seconds=seconds), LIMITS, NOT_RETRIED)
    assert (decision.run.is_finished, decision.stop) == (ends, False)


@pytest.mark.parametrize(("minutes", "ends"), [(1, False), (59.9, False), (60, True)])
def test_a_listing_that_stays_refused_ends_the_wait_after_lost_after(minutes: float, ends: bool) -> None:
    decision = decide(make_run(**WAITING), saw("FAILED"), NOW + timedelta(minutes=minutes), LIMITS, FailureContext())
    assert (decision.run.is_finished, decision.run.state) == (ends, "FAILED")
    assert decide(
        make_run(**WAITING), saw("FAILED"), NOW, replace(LIMITS, lost_after=timedelta(0)), FailureContext()
    ).run == (make_run(**WAITING)), "never before the grace time"


@pytest.mark.parametrize(("state", "code"), [("FAILED", "SomeException"), ("CANCELED", None)])
def test_an_end_that_was_seen_stays_when_the_update_is_gone_while_a_retry_is_waited_for(
    state: str, code: str | None
) -> None:
    error = None if code is None else RunError(code=code, message="x")
    run = make_run(**WAITING | {"state": state}, error=error)
    assert decided(run, Absent.GONE, NOW + timedelta(seconds=59)) == Decision(run=run, write=False)
    after = decided(run, Absent.GONE, NOW + timedelta(seconds=60)).run
    assert (after.is_finished, after.state, after.error, after.missing_since) == (True, state, error, None)


def test_a_retry_is_followed_and_not_stopped_without_a_cancel() -> None:
    decision = decide(make_run(follow_retries=True), saw("FAILED"), NOW, LIMITS, RETRIED)
    assert (decision.run.current_id.update_id, decision.stop) == ("u2", False)


def test_the_retries_of_a_run_that_is_not_followed_are_not_stopped() -> None:
    decision = decide(make_run(cancel_requested_at=BEFORE), saw("FAILED"), NOW, LIMITS, RETRIED)
    assert (decision.run.is_finished, decision.stop) == (True, False)


def test_of_many_attempts_the_first_and_the_latest_are_kept() -> None:
    run = make_run(follow_retries=True)
    for number in range(230):
        last, cause = run.attempts[-1].update_id, "RETRY_ON_FAILURE"
        failed = SeenUpdate(update_id=last, state="FAILED", cause=cause, created_at=NOW)
        retry = SeenUpdate(update_id=f"{number:036d}", state="RUNNING", cause=cause, created_at=NOW)
        run = decide(run, failed, NOW, LIMITS, FailureContext(updates=(retry, failed))).run
    latest = [f"{number:036d}" for number in range(230 - MOST_ATTEMPTS + 1, 230)]
    assert [attempt.update_id for attempt in run.attempts] == ["u1", *latest]
    assert len(str(RUN.encode(run)["attempts"])) < 32 * 1024, "a column of Table Storage"


# --- the age of a run's state

SWEPT = LastSweep(swept_at=NOW, report=SweepReport(workspace="default"))
BETWEEN = BEFORE + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("fields", "last", "expected", "reason"),
    [
        ({}, None, BEFORE, "never swept: its own look"),
        ({}, SWEPT, NOW, "the last sweep saw it unchanged"),
        ({}, replace(SWEPT, not_seen={"p1:u1": NEVER}), BEFORE, "no sweep is known to have seen it"),
        ({}, replace(SWEPT, not_seen={"p1:u1": BETWEEN}), BETWEEN, "a sweep before the last saw it"),
        ({"seen_at": NOW}, replace(SWEPT, not_seen={"p1:u1": BETWEEN}), NOW, "its own look came after that sweep"),
        ({}, replace(SWEPT, not_seen={"p1:u2": BETWEEN}), NOW, "it did not see another one"),
        ({"seen_at": NOW + timedelta(seconds=5)}, SWEPT, NOW + timedelta(seconds=5), "its own look is later"),
        ({"state": "COMPLETED", "finished_at": BEFORE}, SWEPT, BEFORE, "finished: no sweep looks at it"),
    ],
)
def test_seen_at_is_the_later_of_its_own_look_and_the_last_sweep_that_saw_it(
    fields: dict[str, Any], last: LastSweep | None, expected: datetime, reason: str
) -> None:
    assert seen_at(make_run(**fields), last) == expected, reason


def test_a_run_that_sweeps_miss_is_as_fresh_as_the_last_one_that_saw_it() -> None:
    missed_once = replace(SWEPT, swept_at=NOW + timedelta(seconds=15), not_seen=note_not_seen(["p1:u1"], SWEPT)[0])
    missed_twice = replace(
        SWEPT, swept_at=NOW + timedelta(seconds=30), not_seen=note_not_seen(["p1:u1"], missed_once)[0]
    )
    assert [seen_at(make_run(), last) for last in (SWEPT, missed_once, missed_twice)] == [NOW, NOW, NOW]
    new = make_run(seen_at=NOW + timedelta(seconds=5))
    assert seen_at(new, missed_once) == new.seen_at, "it came after the last sweep that could have seen it"
    assert seen_at(make_run(), replace(SWEPT, not_seen=note_not_seen(["p1:u1"], None)[0])) == BEFORE


def test_of_very_many_runs_that_are_not_seen_the_longest_unseen_are_named_and_no_other_looks_fresher() -> None:
    earlier = {f"p{number}:u": BEFORE for number in range(100)}
    last = replace(SWEPT, not_seen=earlier)
    ids = [*(f"q{number}:u" for number in range(2 * MOST_NOT_SEEN)), *earlier]
    named, others_seen_at = note_not_seen(ids, last)
    assert len(named) == MOST_NOT_SEEN
    assert earlier.items() <= named.items()
    assert others_seen_at == NOW
    later = replace(SWEPT, swept_at=NOW + timedelta(seconds=15), not_seen=named, others_seen_at=others_seen_at)
    assert {seen_at(make_run(run_id=RunId.parse(one), seen_at=BEFORE), later) for one in ids} == {BEFORE, NOW}


@pytest.mark.parametrize(("seconds", "fresh"), [(0, True), (30, True), (30.001, False), (3600, False)])
def test_a_run_is_fresh_for_its_maximum_age(seconds: float, fresh: bool) -> None:
    now = NOW + timedelta(seconds=seconds)
    assert is_fresh(make_run(), SWEPT, now, 30) is fresh
    assert is_fresh(make_run(seen_at=NOW), None, now, 30) is fresh


def test_a_finished_run_is_always_fresh() -> None:
    run = make_run(state=None, finished_at=BEFORE, error=RunError(code="RunLost", message="x"))
    assert is_fresh(run, None, NOW + timedelta(days=900), 30)


@settings(max_examples=300, deadline=None)
@given(runs, st.data())
def test_a_look_that_shows_nothing_new_needs_no_new_run(run: Run, data: st.DataObject) -> None:
    """The quick answer for an unchanged run is the one that the whole decision gives."""
    current = run.attempts[-1]
    seen = SeenUpdate(
        update_id=current.update_id,
        state=data.draw(st.sampled_from([current.state, "RUNNING", "ODD"])),
        cause=data.draw(st.sampled_from([None, current.cause, "API_CALL"])),
        created_at=data.draw(st.sampled_from([None, current.created_at, NOW])),
        full_refresh=data.draw(st.sampled_from([None, True, False])),
        pipeline_name=data.draw(st.sampled_from([None, run.pipeline_name, "sales"])),
    )
    quick = decide(run, seen, NOW, LIMITS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_transitions, "_shows_nothing_new", lambda *_: False)
        assert decide(run, seen, NOW, LIMITS) == quick
