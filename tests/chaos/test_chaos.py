"""The short form of `make chaos`: one call for each fault on each path, one control, and a few of all other parts.

It leaves out all other calls (about nineteen of twenty cases) and all calls that hang. It also leaves out 82 of 96
pairs, 8 of 10 outages, 96 of 100 races, 494 of 500 kills, the kills' control, and 46 of 48 hours of soak.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.chaos.kills import KillRun, run_kills
from tests.chaos.outages import OUTAGES, Outage, play_outage
from tests.chaos.pairs import Pair, all_pairs, play_pair
from tests.chaos.races import Races, run_races
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.single import Case, Result, all_cases, control_cases, play_case, sample_of
from tests.chaos.soak import Soak, run_soak
from tests.chaos.stage import Stage
from tests.chaos.verdicts import NOTHING

SHORT_OUTAGES = {"storage: resets", "workspace: 404 pages"}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]  # long, for machines that are busy


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as running:
        yield running


@pytest.fixture(scope="module")
def cases(stage: Stage) -> list[Case]:
    return all_cases(stage)


def _found(results: Iterable[Result]) -> dict[str, object]:
    """Return the findings by case. Cases whose faults met no call are included."""
    return {
        result.name: result.verdict.findings or f"met: {result.met}"
        for result in results
        if not (result.met and result.verdict.is_good)
    }


@pytest.mark.parametrize("path", sorted({scenario.path for scenario in SCENARIOS}))
def test_no_fault_on_a_call_loses_doubles_or_falsifies_anything(stage: Stage, cases: list[Case], path: str) -> None:
    sample = [case for case in sample_of(cases) if case.place.scenario.path == path]
    results = [play_case(stage, case) for case in sample]
    assert _found(results) == {}
    total = sum((result.verdict for result in results), NOTHING)
    assert total.delivered == total.owed
    print(f"{path}: {len(sample)} of {sum(case.place.scenario.path == path for case in cases)} cases")


def test_without_reservations_the_same_faults_lose_or_double_updates(stage: Stage, cases: list[Case]) -> None:
    control = control_cases(cases)[:4]
    total = sum((play_case(stage, case, reserving=False).verdict for case in control), NOTHING)
    assert total.lost + total.doubled > 0


@pytest.mark.parametrize("pair", list(all_pairs())[::7], ids=str)
def test_a_start_whose_look_ups_fail_too_is_neither_lost_nor_doubled(stage: Stage, pair: Pair) -> None:
    assert _found([play_pair(stage, pair)]) == {}


@pytest.mark.parametrize("outage", [outage for outage in OUTAGES if outage.name in SHORT_OUTAGES], ids=str)
def test_ten_minutes_of_trouble_give_up_end_and_lose_nothing(stage: Stage, outage: Outage) -> None:
    assert _found([play_outage(stage, outage)]) == {}


def test_everybody_at_one_run_at_once_ends_it_once_and_owes_each_waiter_once() -> None:
    verdict = run_races(Races(rounds=4, seed=20261125))
    assert verdict.findings == ()
    assert verdict.delivered == verdict.owed > 4


def test_a_host_that_is_killed_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    verdict = run_kills(KillRun(kills=6, seed=20261122), tmp_path / "host.log")
    assert verdict.findings == ()
    assert verdict.updates > 0
    assert verdict.delivered == verdict.owed > 0


def test_hours_of_simulated_time_with_random_faults_end_all_runs_right() -> None:
    result = run_soak(Soak(hours=2, runs=25, rate=0.03, seed=20261122))
    assert result.verdict.findings == ()
    assert result.verdict.delivered == result.verdict.owed > 0
    assert result.faults > 0
    assert result.tokens > 1
    assert result.bytes_a_call < 10_000
