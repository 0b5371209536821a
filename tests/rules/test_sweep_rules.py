"""The plan of a sweep: few calls when little has changed, and every run is observed in time."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polysync_core.rules.decisions.sweep_rules import (
    LookPlan,
    in_turn,
    known_pages,
    name_pipelines,
    plan_looks,
    should_list,
)
from polysync_core.values.databricks import ListedPipeline, SeenUpdate
from polysync_core.values.ids import RunId
from polysync_core.values.run import Attempt, LastSweep, ListingMemory, Run, SweepReport
from polysync_core.values.stored import UnreadableRow
from tests.rules.examples import BEFORE, NOW, make_run

LAST = LastSweep(swept_at=NOW - timedelta(seconds=15), report=SweepReport(workspace="default"))
ROUND_DONE = replace(LAST, listing=ListingMemory(round_began_at=NOW - timedelta(seconds=15), round_cursor="~"))
"""The round of single GETs has ended and the next one is not due, so no run is observed by a GET of its own."""


@pytest.mark.parametrize(
    ("active", "pages", "expected", "reason"),
    [
        (0, None, False, "nothing to look at"),
        (1, None, False, "one call either way"),
        (2, None, True, "nobody knows how many pages: tried, up to two"),
        (1, 1, False, "one call either way"),
        (2, 1, True, "one page is cheaper than two looks"),
        (10, 10, False, "as many pages as runs"),
        (11, 10, True, "fewer pages than runs"),
        (3, 10, False, "more pages than runs"),
        (1000, 120, True, "12,000 pipelines"),
        (1, 0, True, "an empty workspace lists for nothing"),
    ],
)
def test_listing_is_chosen_where_it_costs_fewer_calls(
    active: int, pages: int | None, expected: bool, reason: str
) -> None:
    assert should_list(active, pages) is expected, reason


@pytest.mark.parametrize(
    ("memory", "expected", "reason"),
    [
        (ListingMemory(), None, "never listed"),
        (ListingMemory(pages=7, pages_counted_at=NOW), 7, "just counted"),
        (ListingMemory(pages=7, pages_counted_at=NOW - timedelta(hours=1)), 7, "an hour ago"),
        (ListingMemory(pages=7, pages_counted_at=NOW - timedelta(hours=1, seconds=1)), None, "too long ago"),
    ],
)
def test_the_number_of_pages_is_known_for_an_hour(memory: ListingMemory, expected: int | None, reason: str) -> None:
    assert known_pages(memory, NOW) == expected, reason


def listed(*latest: SeenUpdate | tuple[str, str | None], pipeline_id: str = "p1") -> dict[str, ListedPipeline]:
    updates = tuple(
        entry if isinstance(entry, SeenUpdate) else SeenUpdate(update_id=entry[0], state=entry[1]) for entry in latest
    )
    return {pipeline_id: ListedPipeline(pipeline_id=pipeline_id, name="sales", latest_updates=updates)}


def at(name: str, minutes: float) -> SeenUpdate:
    return SeenUpdate(update_id=name, state="RUNNING", created_at=NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("listing", "settled", "reason"),
    [
        (listed(("u1", "RUNNING")), True, "its update is the newest and active"),
        (listed(("u1", "QUEUED"), ("u0", "COMPLETED")), True, "with an older one beside it"),
        (listed(("u1", "RESYNCING")), True, "a state newer than this code"),
        (listed(("u1", None)), True, "a missing state is not final"),
        (listed(at("u1", 0), at("u0", -1)), True, "an older one by its time"),
        (listed(("u1", "COMPLETED")), False, "looks finished: confirmed by a GET"),
        (listed(("u1", "FAILED")), False, "looks finished: confirmed by a GET"),
        (listed(("u1", "CANCELED")), False, "looks finished: confirmed by a GET"),
        ({}, False, "its pipeline is missing"),
        (listed(("u1", "RUNNING"), pipeline_id="p2"), False, "another pipeline"),
        (listed(), False, "its pipeline shows no updates"),
        (listed(("u2", "COMPLETED")), False, "its update is missing"),
        (listed(("u2", "RUNNING"), ("u1", "FAILED")), False, "a newer update is beside it"),
        (listed(("u2", "RUNNING"), ("u1", "RUNNING")), False, "a newer update is beside it"),
        (listed(at("u1", 0), at("u2", 1)), False, "a newer update beside it, not listed first"),
        (listed(at("u0", -1), at("u1", 0)), False, "not listed first itself"),
        (None, False, "no listing at all"),
    ],
)
def test_what_the_listing_settles(listing: dict[str, ListedPipeline] | None, settled: bool, reason: str) -> None:
    plan = plan_looks([make_run()], listing, ROUND_DONE, NOW)
    assert (list(plan.listed), plan.single) == ((["p1:u1"], ()) if settled else ([], ("p1:u1",))), reason


def test_the_listing_includes_the_pipeline_s_name() -> None:
    plan = plan_looks([make_run()], listed(("u1", "RUNNING")), ROUND_DONE, NOW)
    assert plan.listed["p1:u1"] == SeenUpdate(update_id="u1", state="RUNNING", pipeline_name="sales")


def test_a_retried_run_is_looked_for_under_its_last_attempt() -> None:
    run = make_run(attempts=(Attempt(update_id="u1", state="FAILED"), Attempt(update_id="u2", state="RUNNING")))
    assert "p1:u1" in plan_looks([run], listed(("u2", "RUNNING"), ("u1", "FAILED")), ROUND_DONE, NOW).listed
    assert plan_looks([run], listed(("u1", "RUNNING")), ROUND_DONE, NOW).single == ("p1:u1",)


def test_single_looks_begin_with_those_the_last_sweep_did_not_see_then_the_longest_unseen() -> None:
    ages = {"a": 1, "b": 4, "c": 2, "d": 3}
    runs = [make_run(run_id=RunId(name, "u"), seen_at=NOW - timedelta(minutes=age)) for name, age in ages.items()]
    last = replace(LAST, not_seen={"a:u": BEFORE, "c:u": BEFORE})
    assert plan_looks(runs, None, last, NOW).single == ("c:u", "a:u", "b:u", "d:u")
    assert plan_looks(runs, None, None, NOW).single == ("b:u", "d:u", "c:u", "a:u")


@pytest.mark.parametrize(
    ("after", "expected"),
    [("", "abc"), ("a", "bca"), ("b", "cab"), ("bb", "cab"), ("c", "abc"), ("x", "abc")],
)
def test_turns_continue_after_the_last_one_and_reach_everyone(after: str, expected: str) -> None:
    assert in_turn("cab", after) == tuple(expected)


# --- rounds of single GETs


def run_named(number: int) -> Run:
    return make_run(run_id=RunId(f"p{number}", "u1"), seen_at=BEFORE)


def all_running(runs: Sequence[Run]) -> dict[str, ListedPipeline]:
    found: dict[str, ListedPipeline] = {}
    for run in runs:
        found |= listed(("u1", "RUNNING"), pipeline_id=run.run_id.pipeline_id)
    return found


def sweep(
    runs: Sequence[Run], listing: Mapping[str, ListedPipeline], last: LastSweep | None, number: int
) -> tuple[LookPlan, LastSweep]:
    """Plan the sweep with that number. Each sweep is 15 s after the one before. Return the plan and the sweep's row."""
    now = NOW + number * timedelta(seconds=15)
    plan = plan_looks(runs, listing, last, now)
    return plan, replace(LAST, swept_at=now, listing=plan.memory)


@settings(max_examples=8, deadline=None)
@given(st.integers(min_value=1, max_value=1300), st.integers(min_value=0, max_value=40))
def test_every_run_is_looked_at_singly_within_any_40_sweeps_and_only_a_fortieth_a_sweep(
    count: int, started_at: int
) -> None:
    runs = [run_named(number) for number in range(count)]
    listing = all_running(runs)
    last: LastSweep | None = None
    turns: list[set[str]] = []
    for number in range(started_at + 40):
        plan, last = sweep(runs, listing, last, number)
        assert len(plan.single) <= -(-count // 40)
        assert len(plan.single) + len(plan.listed) == count
        turns.append(set(plan.single))
    assert set().union(*turns[started_at:]) == {str(run.run_id) for run in runs}


def test_a_thousand_unchanged_runs_cost_25_single_looks_a_sweep() -> None:
    runs = [run_named(number) for number in range(1000)]
    listing = all_running(runs)
    last: LastSweep | None = None
    for number in range(80):
        plan, last = sweep(runs, listing, last, number)
        assert len(plan.single) == 25


def test_no_new_round_begins_before_ten_minutes() -> None:
    runs = [run_named(number) for number in range(30)]
    listing = all_running(runs)
    refresh_turns = []
    last: LastSweep | None = None
    for number in range(42):
        plan, last = sweep(runs, listing, last, number)
        refresh_turns.append(len(plan.single))
    assert refresh_turns == [*[1] * 30, *[0] * 10, 1, 1]


def test_after_a_long_pause_at_most_25_are_caught_up_with_at_once() -> None:
    for count, expected in ((10, 10), (100, 25), (1000, 25), (4000, 100)):
        runs = [run_named(number) for number in range(count)]
        _, last = sweep(runs, all_running(runs), None, 0)
        plan, _ = sweep(runs, all_running(runs), replace(last, listing=replace(last.listing, round_cursor="")), 400)
        assert len(plan.single) == expected


@settings(max_examples=8, deadline=None)
@given(st.integers(min_value=0), st.integers(min_value=30, max_value=150))
def test_a_run_is_observed_in_every_two_rounds_while_other_runs_come_and_go(seed: int, count: int) -> None:
    chance = random.Random(seed)
    stays = chance.randrange(count)
    listing = all_running([run_named(number) for number in range(count)])
    last: LastSweep | None = None
    seen_at_sweep = [0]
    for number in range(120):
        here = [run_named(other) for other in range(count) if other == stays or chance.random() < 0.5]
        plan, last = sweep(here, listing, last, number)
        if f"p{stays}:u1" in plan.single:
            seen_at_sweep.append(number)
    assert max(after - before for before, after in zip(seen_at_sweep, [*seen_at_sweep[1:], 120], strict=True)) <= 80


def test_a_look_that_is_due_anyway_does_not_take_a_turn_of_the_round() -> None:
    runs = [run_named(number) for number in range(100)]
    plan = plan_looks(runs, all_running(runs[:60]), None, NOW)
    assert len(plan.single) == 40 + 3
    assert len(set(plan.single)) == 43
    assert len(plan.listed) == 57


def test_at_most_twenty_pipelines_of_unreadable_rows_are_named_and_long_names_are_cut() -> None:
    rows = [UnreadableRow(partition="w", key=f"active|{name}:u", subject=f"{name}:u") for name in range(150)]
    assert name_pipelines([*rows, *rows]) == tuple(map(str, range(20)))
    assert name_pipelines([UnreadableRow(partition="w", key="k", subject="x" * 500)]) == ("x" * 200,)
