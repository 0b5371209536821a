"""Days of simulated time with a sweep a minute and a fault in every hundredth call.

Every run must end right, and memory must not grow. Tokens last an hour of simulated time, so they are refused and
renewed many times.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, get_args

from local.workspace import script_ending
from tests.chaos.app import Answer
from tests.chaos.fault_kinds import random_faults
from tests.chaos.host_process import ROOT, bare_environment
from tests.chaos.recovery import settle_down
from tests.chaos.requests import Address, Trial, WantedCancel, WantedStart, call_back
from tests.chaos.stage import Stage
from tests.chaos.verdicts import Verdict

MOST_GROWTH = 0.1
"""The share by which memory may grow after the first hour."""
_READS_A_MINUTE = 3
_SHARE_STOPPED = 0.1
_LONGEST_MINUTES = 90.0
_AS_RECOMMENDED = {"MALLOC_ARENA_MAX": "2"}
"""From the section "In Azure" of the README."""
_REFUSED_BY_A_FAULT = frozenset({403, 404})
"""The statuses with which a random fault may refuse a start. The app believes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Soak:
    """`rate` is the share of calls that get a fault. Starts are spread over all but the last 24th of the time."""

    hours: float = 48.0
    runs: int = 500
    rate: float = 0.01
    seed: int = 1

    @property
    def minutes(self) -> int:
        return int(self.hours * 60)

    @property
    def longest_minutes(self) -> float:
        """The maximum duration of an update. It is short, so that the load in the first hour is as in later hours."""
        return min(_LONGEST_MINUTES, self.minutes * 0.15)


@dataclass(frozen=True, kw_only=True, slots=True)
class SoakResult:
    """The result of a soak.

    calls: the app's calls to all upstreams.
    calls_before: the calls until the first measurement of memory.
    tokens: how many tokens were issued.
    first_bytes: resident memory of the app's process after the first hour. In a short soak: after the first half.
    last_bytes: the same at the end.
    """

    verdict: Verdict
    calls: int
    calls_before: int
    faults: int
    tokens: int
    first_bytes: int
    last_bytes: int

    @property
    def growth(self) -> float:
        return self.last_bytes / self.first_bytes - 1

    @property
    def bytes_a_call(self) -> float:
        """By how many bytes memory grew for each call. In a short soak this is more exact than `growth`."""
        return (self.last_bytes - self.first_bytes) / (self.calls - self.calls_before)


class SoakApp:
    """Sends requests to the app's process. Its clock follows the stage's clock."""

    def __init__(self, stage: Stage, partition: str) -> None:
        self._stage = stage
        self._environ = {**bare_environment(), **stage.environ(partition), **_AS_RECOMMENDED}
        self._bugs = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.soak_app"],
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def start(self, pipeline_id: str, body: Mapping[str, Any], key: str | None) -> Answer:
        return self._ask("start", pipeline_id=pipeline_id, body=body, key=key)

    def cancel(self, run_id: str) -> Answer:
        return self._ask("cancel", run_id=run_id)

    def cancel_by_key(self, pipeline_id: str, key: str | None) -> Answer:
        return self._ask("cancel_by_key", pipeline_id=pipeline_id, key=key)

    def read(self, run_id: str) -> Answer:
        return self._ask("read", run_id=run_id)

    def await_result(self, run_id: str, token: str) -> Answer:
        return self._ask("await_result", run_id=run_id, token=token)

    def list_runs(self, pipeline_id: str) -> Answer:
        return self._ask("list_runs", pipeline_id=pipeline_id)

    def sweep(self) -> None:
        self._call("sweep", {})

    def deliver(self) -> None:
        self._call("deliver", {})

    def resident_bytes(self) -> int:
        return int(self._call("memory", {})["bytes"])

    def _ask(self, name: str, **given: object) -> Answer:
        answer = self._call(name, given)
        return Answer(status=answer["status"], body=answer["body"])

    def _call(self, name: str, given: Mapping[str, object]) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the app's process has no pipes")
        clock = self._stage.clock
        self._process.stdin.write(json.dumps({"do": name, "given": given, "passed": clock.monotonic()}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        clock.sleep(max(0.0, answer["passed"] - clock.monotonic()))
        self._stage.bugs += answer["bugs"][self._bugs :]
        self._bugs = len(answer["bugs"])
        return answer


def run_soak(soak: Soak, tell: Callable[[str], None] = print) -> SoakResult:
    chance = random.Random(soak.seed)
    with Stage() as stage:
        trial = Trial(partition=stage.new_partition())
        due = sorted(chance.randrange(soak.minutes * 23 // 24) for _ in range(soak.runs))
        first_bytes = calls_before = 0
        with SoakApp(stage, trial.partition) as app:
            stage.plan.at_random(soak.rate, random_faults(), soak.seed)
            for minute in range(soak.minutes):
                stage.clock.pass_time(seconds=max(0.0, minute * 60 - stage.clock.monotonic()))
                while due and due[0] <= minute:
                    due.pop(0)
                    _want(stage, trial, chance, soak)
                _let_callers_act(stage, app, trial, chance)
                app.sweep()
                app.deliver()
                if minute == min(60, soak.minutes // 2):
                    first_bytes, calls_before = app.resident_bytes(), stage.plan.counts["calls"]
                if minute % 240 == 239:
                    tell(f"{(minute + 1) // 60} h, {len(trial.starts)} starts, {dict(stage.plan.counts)}")
            stage.calm()
            verdict = settle_down(stage, app, trial)
            return SoakResult(
                verdict=verdict,
                calls=stage.plan.counts["calls"],
                calls_before=calls_before,
                faults=stage.plan.counts["faults"],
                tokens=sum(stage.workspace.tokens_issued().values()),
                first_bytes=first_bytes,
                last_bytes=app.resident_bytes(),
            )


def _want(stage: Stage, trial: Trial, chance: random.Random, soak: Soak) -> None:
    """Add a start. Its update takes up to `soak.longest_minutes`, and completes, fails or is cancelled."""
    is_stopped = chance.random() < _SHARE_STOPPED
    script = script_ending("RUNNING" if is_stopped else chance.choice(["COMPLETED", "COMPLETED", "FAILED"]))
    seconds = chance.uniform(0.02, 1) * soak.longest_minutes * 60
    pipeline_id = stage.workspace.add_pipeline(
        script=script, pace_seconds=seconds / len(script), drain_seconds=chance.uniform(1, 300)
    )
    trial.pipeline_ids.append(pipeline_id)
    key = None if not is_stopped and chance.random() < 0.2 else f"key-{len(trial.starts)}"
    request = WantedStart(pipeline_id=pipeline_id, key=key, body={"full_refresh": chance.random() < 0.5})
    call_back(stage, request).may_be_refused = _REFUSED_BY_A_FAULT
    trial.starts.append(request)
    if is_stopped:
        trial.cancels.append(WantedCancel(start=request, by_key=chance.random() < 0.5))


def _let_callers_act(stage: Stage, app: SoakApp, trial: Trial, chance: random.Random) -> None:
    """Send every open start. Send an open cancel with a probability of 0.1. Read a few runs."""
    for start in [request for request in trial.starts if request.is_open]:
        start.ask(app)
    for cancel in [request for request in trial.cancels if request.is_open and chance.random() < 0.1]:
        cancel.ask(app)
    told = [request for request in trial.starts[-50:] if request.told]
    for request in chance.sample(told, min(_READS_A_MINUTE, len(told))):
        trial.read(stage, app, request, chance.choice(get_args(Address)))
