"""Every fault on every call of every path, one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from local.workspace.identity import ROUTE as IDENTITY_ROUTE
from tests.chaos.fault_kinds import HANG, aim_of, kinds_of
from tests.chaos.play import play
from tests.chaos.scenarios import SCENARIOS, Scenario
from tests.chaos.stage import RECEIVER, START, Stage
from tests.chaos.verdicts import Verdict

_TOKEN = f"GET {IDENTITY_ROUTE}"

_MOST_TRIES_TO_MEET = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One call of a path: the `number`-th call (from 0) with that label."""

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
    """`fault` and `path` are columns of the table. `name` names the case. `met`: every fault happened to a call."""

    fault: str
    path: str
    name: str
    met: bool
    verdict: Verdict


def record_places(stage: Stage, scenario: Scenario) -> list[Place]:
    """Play the path without a fault, and return its calls. Raises AssertionError when the verdict is not good."""
    seen: Counter[tuple[str, str]] = Counter()
    places = []
    played = play(stage, scenario, ())
    if not played.verdict.is_good:
        raise AssertionError(f"{scenario.path} {scenario.name}, without any fault: {played.verdict.findings}")
    for call in played.calls:
        where = (call.upstream, call.label)
        if call.label == _TOKEN and seen[where]:
            continue  # it is left to chance how many threads ask for the first token at once
        places.append(Place(scenario=scenario, upstream=call.upstream, label=call.label, number=seen[where]))
        seen[where] += 1
    return places


def cases_of(places: Iterable[Place]) -> Iterator[Case]:
    return (
        Case(place=place, fault=fault)
        for place in places
        for fault in kinds_of(place.upstream, place.label)
        if place.upstream != RECEIVER or fault not in place.scenario.believed
    )


def all_cases(stage: Stage) -> list[Case]:
    """Record all paths, and return a case for every fault on every call. One call of each label also hangs.

    The first path is played once before that, because some rows are written only once (the secret of the await
    addresses).
    """
    play(stage, SCENARIOS[0], ())
    places = [place for scenario in SCENARIOS for place in record_places(stage, scenario)]
    first_of_label = {(place.upstream, place.label): place for place in reversed(places)}
    return [*cases_of(places), *(Case(place=place, fault=HANG) for place in first_of_label.values())]


def sample_of(cases: Iterable[Case]) -> list[Case]:
    """Return one case of each fault on each path, at different calls. The result is always the same.

    Cases that wait for a time-out are left out.
    """
    by_kind: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        if case.fault == HANG:
            continue
        by_kind.setdefault((case.place.scenario.path, case.fault), []).append(case)
    return [group[number * 7 % len(group)] for number, group in enumerate(by_kind.values())]


def control_cases(cases: Iterable[Case]) -> list[Case]:
    """Return the cases that break a start without a reservation: its POST is executed, but the response is lost."""
    unheard = {"reset, executed later", "killed after"}
    return [
        case
        for case in cases
        if case.fault in unheard and case.place.scenario.path == "start" and case.place.label == START
    ]


def play_case(stage: Stage, case: Case, *, reserving: bool = True) -> Result:
    """Play the case. If its fault met no call, play it again: which runs share a batch is a matter of timing."""
    place = case.place
    fault = aim_of(case.fault, place.upstream)(place.upstream, place.label, place.number)
    for _ in range(_MOST_TRIES_TO_MEET):
        played = play(stage, place.scenario, (fault,), reserving=reserving)
        if played.met or not played.verdict.is_good:
            break
    return Result(fault=case.fault, path=place.scenario.path, name=str(case), met=played.met, verdict=played.verdict)
