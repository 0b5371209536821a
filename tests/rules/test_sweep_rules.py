"""The order of a sweep: few calls when little has changed, and every run is observed in time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polysync_core.rules.decisions.sweep_rules import (
    MOST_NOT_SEEN,
    behind_seconds,
    in_turn,
    longest_unseen_first,
    name_pipelines,
    next_looks,
    next_turn,
    note_not_seen,
    settled_by,
    waiting_since,
)
from polysync_core.values.databricks import ListedPipeline, SeenUpdate
from polysync_core.values.ids import RunId
from polysync_core.values.run import Attempt, LastSweep, ListingMemory, Run, SweepReport
from polysync_core.values.stored import Locked, UnreadableRow
from tests.rules.examples import BEFORE, NOW, make_run

LAST = LastSweep(swept_at=NOW - timedelta(seconds=15), report=SweepReport(workspace="default"))


def listed(*latest: SeenUpdate | tuple[str, str | None]) -> ListedPipeline:
    updates = tuple(
        entry if isinstance(entry, SeenUpdate) else SeenUpdate(update_id=entry[0], state=entry[1]) for entry in latest
    )
    return ListedPipeline(pipeline_id="p1", name="sales", latest_updates=updates)


def at(name: str, minutes: float) -> SeenUpdate:
    return SeenUpdate(update_id=name, state="RUNNING", created_at=NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("pipeline", "settled", "reason"),
    [
        (listed(("u1", "RUNNING")), True, "its update is the newest and active"),
        (listed(("u1", "QUEUED"), ("u0", "COMPLETED")), True, "with an older one beside it"),
        (listed(("u1", "RESYNCING")), True, "a state newer than this code"),
        (listed(("u1", None)), True, "a missing state is not final"),
        (listed(at("u1", 0), at("u0", -1)), True, "an older one by its time"),
        (listed(("u1", "COMPLETED")), False, "looks finished: confirmed by a GET"),
        (listed(("u1", "FAILED")), False, "looks finished: confirmed by a GET"),
        (listed(("u1", "CANCELED")), False, "looks finished: confirmed by a GET"),
        (listed(), False, "its pipeline shows no updates"),
        (listed(("u2", "COMPLETED")), False, "its update is missing"),
        (listed(("u2", "RUNNING"), ("u1", "FAILED")), False, "a newer update is beside it"),
        (listed(("u2", "RUNNING"), ("u1", "RUNNING")), False, "a newer update is beside it"),
        (listed(at("u1", 0), at("u2", 1)), False, "a newer update beside it, not listed first"),
        (listed(at("u0", -1), at("u1", 0)), False, "not listed first itself"),
    ],
)
def test_what_the_listing_settles(pipeline: ListedPipeline, settled: bool, reason: str) -> None:
    assert settled_by(pipeline, make_run()) == (pipeline.latest_updates[0] if settled else None), reason


def test_a_retried_run_is_looked_for_under_its_last_attempt() -> None:
    run = make_run(attempts=(Attempt(update_id="u1", state="FAILED"), Attempt(update_id="u2", state="RUNNING")))
    assert settled_by(listed(("u2", "RUNNING"), ("u1", "FAILED")), run) is not None
    assert settled_by(listed(("u1", "RUNNING")), run) is None


def test_single_looks_begin_with_those_the_last_sweep_did_not_see_then_the_longest_unseen() -> None:
    ages = {"a": 1, "b": 4, "c": 2, "d": 3}
    runs = [make_run(run_id=RunId(name, "u"), seen_at=NOW - timedelta(minutes=age)) for name, age in ages.items()]
    last = replace(LAST, not_seen={"a:u": BEFORE, "c:u": BEFORE})
    assert _names(longest_unseen_first(map(locked, runs), last)) == "cabd"
    assert _names(longest_unseen_first(map(locked, runs), None)) == "bdca"


def locked(run: Run) -> Locked[Run]:
    return Locked(value=run, etag="e")


def _names(active: Sequence[Locked[Run]]) -> str:
    return "".join(at.value.run_id.pipeline_id for at in active)


def test_a_workspace_is_behind_by_the_age_of_its_longest_unseen_run() -> None:
    ages = {"a": 1, "b": 4, "c": 2}
    runs = [make_run(run_id=RunId(name, "u"), seen_at=NOW - timedelta(minutes=age)) for name, age in ages.items()]
    assert behind_seconds(runs, None, NOW) == 240
    assert behind_seconds([], None, NOW) == 0
    last = replace(LAST, not_seen={"b:u": NOW - timedelta(minutes=3)})
    assert behind_seconds(runs, last, NOW) == 180


@pytest.mark.parametrize(
    ("after", "expected"),
    [("", "abc"), ("a", "bca"), ("b", "cab"), ("bb", "cab"), ("c", "abc"), ("x", "abc")],
)
def test_turns_continue_after_the_last_one_and_reach_everyone(after: str, expected: str) -> None:
    assert in_turn("cab", after) == tuple(expected)


# --- rounds of single GETs


def run_named(number: int) -> Run:
    return make_run(run_id=RunId(f"p{number}", "u1"), seen_at=BEFORE)


def turn_of(runs: Sequence[Run], last: LastSweep | None, number: int) -> tuple[frozenset[str], LastSweep]:
    """The turn of the sweep with that number, 15 s after the one before, and the row of that sweep."""
    now = NOW + number * timedelta(seconds=15)
    memory, turn = next_turn([str(run.run_id) for run in runs], last, now)
    return turn, replace(LAST, swept_at=now, listing=memory)


@settings(max_examples=8, deadline=None)
@given(st.integers(min_value=1, max_value=1300), st.integers(min_value=0, max_value=40))
def test_every_run_is_looked_at_singly_within_any_40_sweeps_and_only_a_fortieth_a_sweep(
    count: int, started_at: int
) -> None:
    runs = [run_named(number) for number in range(count)]
    last: LastSweep | None = None
    turns: list[set[str]] = []
    for number in range(started_at + 40):
        turn, last = turn_of(runs, last, number)
        assert len(turn) <= -(-count // 40)
        turns.append(set(turn))
    assert set().union(*turns[started_at:]) == {str(run.run_id) for run in runs}


def test_a_thousand_unchanged_runs_cost_25_single_looks_a_sweep() -> None:
    runs = [run_named(number) for number in range(1000)]
    last: LastSweep | None = None
    for number in range(80):
        turn, last = turn_of(runs, last, number)
        assert len(turn) == 25


def test_no_new_round_begins_before_ten_minutes() -> None:
    runs = [run_named(number) for number in range(30)]
    refresh_turns = []
    last: LastSweep | None = None
    for number in range(42):
        turn, last = turn_of(runs, last, number)
        refresh_turns.append(len(turn))
    assert refresh_turns == [*[1] * 30, *[0] * 10, 1, 1]


def test_after_a_long_pause_at_most_25_are_caught_up_with_at_once() -> None:
    for count, expected in ((10, 10), (100, 25), (1000, 25), (4000, 100)):
        runs = [run_named(number) for number in range(count)]
        _, last = turn_of(runs, None, 0)
        turn, _ = turn_of(runs, replace(last, listing=replace(last.listing, round_cursor="")), 400)
        assert len(turn) == expected


@settings(max_examples=8, deadline=None)
@given(st.integers(min_value=0), st.integers(min_value=30, max_value=150))
def test_a_run_is_observed_in_every_two_rounds_while_other_runs_come_and_go(seed: int, count: int) -> None:
    chance = random.Random(seed)
    stays = chance.randrange(count)
    last: LastSweep | None = None
    seen_at_sweep = [0]
    for number in range(120):
        here = [run_named(other) for other in range(count) if other == stays or chance.random() < 0.5]
        turn, last = turn_of(here, last, number)
        if f"p{stays}:u1" in turn:
            seen_at_sweep.append(number)
    assert max(after - before for before, after in zip(seen_at_sweep, [*seen_at_sweep[1:], 120], strict=True)) <= 80


def test_at_most_twenty_pipelines_of_unreadable_rows_are_named_and_long_names_are_cut() -> None:
    rows = [UnreadableRow(partition="w", key=f"active|{name}:u", subject=f"{name}:u") for name in range(150)]
    assert name_pipelines([*rows, *rows]) == tuple(map(str, range(20)))
    assert name_pipelines([UnreadableRow(partition="w", key="k", subject="x" * 500)]) == ("x" * 200,)


def test_of_more_runs_than_can_be_named_every_run_has_its_turn() -> None:
    """Seen before: with 6,000 runs and 40 looks a sweep, 99 runs were looked at again and again."""
    active = [locked(run_named(number)) for number in range(MOST_NOT_SEEN + 60)]
    last, memory, looked_at = LAST, ListingMemory(), set[str]()
    for _ in range(-(-len(active) // 40)):
        looks, memory = next_looks(active, last, memory, 40)
        looked_at |= {str(at.value.run_id) for at in looks}
        missed = [str(at.value.run_id) for at in active if at not in looks]
        not_seen, others_seen_at = note_not_seen(missed, last)
        last = replace(LAST, not_seen=not_seen, others_seen_at=others_seen_at, listing=memory)
    assert len(looked_at) == len(active)


def test_a_workspace_whose_runs_were_all_missed_waits_on() -> None:
    missed = {"a:u": BEFORE, "b:u": NOW}
    all_missed = replace(LAST, not_seen=missed, report=SweepReport(workspace="w", active=2, failed=2))
    assert waiting_since(all_missed) == BEFORE
    some_seen = replace(LAST, not_seen=missed, report=SweepReport(workspace="w", active=3, failed=2))
    assert waiting_since(some_seen) == LAST.swept_at
    assert waiting_since(None) < BEFORE
