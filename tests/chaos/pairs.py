"""Two faults in one start: the response to its POST is lost, and the look-ups that would find the update fail too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from local.faults import Fault
from tests.chaos.fault_kinds import error_fault
from tests.chaos.play import play
from tests.chaos.scenarios import SCENARIOS, Scenario
from tests.chaos.single import Result
from tests.chaos.stage import LIST_UPDATES, START, WORKSPACE, Stage

POSTS: Mapping[str, Fault] = {
    "500": error_fault(500, "after", WORKSPACE, START),
    "502": error_fault(502, "after", WORKSPACE, START),
    "503": error_fault(503, "after", WORKSPACE, START),
    "503, Retry-After": error_fault(503, "after", WORKSPACE, START, retry_after=30),
    "504": error_fault(504, "after", WORKSPACE, START),
    "reset": Fault("reset", "after", upstream=WORKSPACE, label=START),
    "executed later": Fault("late", upstream=WORKSPACE, label=START, seconds=0.15),
    "executed after a sweep": Fault("held", upstream=WORKSPACE, label=START),
}
_LOOK_UPS: Mapping[str, Fault] = {
    "429": error_fault(429, "before", WORKSPACE, LIST_UPDATES),
    "500": error_fault(500, "before", WORKSPACE, LIST_UPDATES),
    "reset": Fault("reset", upstream=WORKSPACE, label=LIST_UPDATES),
}
_TIMES = (1, 9)
_PATHS = ("with a key", "without a key")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    scenario: Scenario
    post: str
    look_up: str
    times: int

    def __str__(self) -> str:
        return f"POST {self.post}, look-up {self.look_up} {self.times} times | start {self.scenario.name}"


def all_pairs() -> Iterator[Pair]:
    scenarios = [scenario for scenario in SCENARIOS if scenario.path == "start" and scenario.name in _PATHS]
    for scenario, post, look_up, times in product(scenarios, POSTS, _LOOK_UPS, _TIMES):
        yield Pair(scenario=scenario, post=post, look_up=look_up, times=times)


def play_pair(stage: Stage, pair: Pair) -> Result:
    look_up = _LOOK_UPS[pair.look_up]
    played = play(stage, pair.scenario, (POSTS[pair.post], replace(look_up, times=pair.times)))
    return Result(
        fault=f"POST {pair.post}, look-ups fail", path="start", name=str(pair), met=played.met, verdict=played.verdict
    )
