"""Every fault on every call of every path, one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from local.faults import SeenCall
from tests.chaos.aftermath import settle_down
from tests.chaos.judging import Verdict
from tests.chaos.kinds import kinds_of
from tests.chaos.scenarios import SCENARIOS, START, Scenario
from tests.chaos.stage import Stage
from tests.chaos.wishes import Ground


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One call of a path: the `number`-th (from 0) with that label."""

    scenario: Scenario
    upstream: str
    label: str
    number: int

    def __str__(self) -> str:
        again = f" (#{self.number + 1})" if self.number else ""
        return f"{self.scenario.path} {self.scenario.name} | {self.upstream} {self.label}{again}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    place: Place
    fault: str

    def __str__(self) -> str:
        return f"{self.fault} | {self.place}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """`met`: the call came, and the fault happened to it."""

    case: Case
    met: bool
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class _Played:
    verdict: Verdict
    calls: list[SeenCall]


def record_places(stage: Stage, scenario: Scenario) -> list[Place]:
    """Play the path without a fault, and give the calls it made. AssertionError when it does not end well by itself."""
    seen: Counter[tuple[str, str]] = Counter()
    places = []
    played = _play(stage, scenario, None)
    if not played.verdict.is_good:
        raise AssertionError(f"{scenario.path} {scenario.name}, without any fault: {played.verdict.findings}")
    for call in played.calls:
        where = (call.upstream, call.label)
        places.append(Place(scenario=scenario, upstream=call.upstream, label=call.label, number=seen[where]))
        seen[where] += 1
    return places


def cases_of(places: Iterable[Place]) -> Iterator[Case]:
    return (Case(place=place, fault=fault) for place in places for fault in kinds_of(place.upstream))


def all_cases(stage: Stage) -> list[Case]:
    """Recorded, not typed. The first path is played once before, for what is made only once (await's secret)."""
    _play(stage, SCENARIOS[0], None)
    return [case for scenario in SCENARIOS for case in cases_of(record_places(stage, scenario))]


def sample_of(cases: Iterable[Case]) -> list[Case]:
    """One case of each fault on each path, at another call each time; the same ones every time."""
    by_kind: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        by_kind.setdefault((case.place.scenario.path, case.fault), []).append(case)
    return [group[number * 7 % len(group)] for number, group in enumerate(by_kind.values())]


def control_cases(cases: Iterable[Case]) -> list[Case]:
    """The cases that a start without a reservation does not stand: its POST works, and nobody hears of it."""
    unheard = {"reset, executed later", "killed after"}
    return [
        case
        for case in cases
        if case.fault in unheard and case.place.scenario.path == "start" and case.place.label == START
    ]


def play_case(stage: Stage, case: Case, *, reserving: bool = True) -> Result:
    played = _play(stage, case.place.scenario, case, reserving=reserving)
    return Result(case=case, met=any(call.fault is not None for call in played.calls), verdict=played.verdict)


def _play(stage: Stage, scenario: Scenario, case: Case | None, *, reserving: bool = True) -> _Played:
    ground = Ground(partition=stage.new_partition())
    stage.bugs.clear()
    scenario.prepare(stage, stage.new_app(ground.partition, reserving=reserving), ground)
    stage.plan.clear_calls()
    if case is not None:
        aim = kinds_of(case.place.upstream)[case.fault]
        stage.plan.add(aim(case.place.upstream, case.place.label, case.place.number))
    app = stage.new_app(ground.partition, reserving=reserving)
    scenario.act(stage, app, ground)
    calls, was_killed = stage.plan.calls(), stage.plan.is_down
    stage.calm()
    goes_on = stage.new_app(ground.partition, reserving=reserving) if was_killed else app
    verdict = settle_down(stage, goes_on, ground)
    stage.workspace.configure(has_update_stop=True)
    stage.books.forget_deliveries()
    for pipeline_id in ground.pipeline_ids:
        stage.workspace.remove_pipeline(pipeline_id)
    return _Played(verdict=verdict, calls=calls)
