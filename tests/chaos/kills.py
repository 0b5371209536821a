"""kill -9 of a real local host at random moments, while callers start, repeat, cancel and read.

The host runs in real time. In the last third of its lives, it sweeps groups of workspaces through the queue. After the
last kill no process is at work, so the clock may jump: a sweep looks for the update of a start from 45 s after its
reservation.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from local.faults import Fault
from local.rig import ManualClock
from local.workspace import script_ending
from tests.chaos.host_process import HostProcess, HttpDoor
from tests.chaos.recovery import settle_down
from tests.chaos.requests import Address, Trial, WantedCancel, WantedStart, call_back
from tests.chaos.stage import Stage
from tests.chaos.verdicts import Verdict

CALLERS = 6
PACE_SECONDS = 0.3
LIFE_SECONDS = (0.05, 2.0)
_PAUSE_SECONDS = 0.1
_SETTINGS = {
    "POLYSYNC_SWEEP_SCHEDULE": "* * * * * *",
    "POLYSYNC_CALLBACK_SCHEDULE": "* * * * * *",
    "POLYSYNC_START_SETTLE_SECONDS": "5",
    "POLYSYNC_STATUS_MAX_AGE_SECONDS": "1",
}
_SLOW = [
    Fault("delay", "before", seconds=0.02),
    Fault("delay", "after", seconds=0.02),
    Fault("delay", "before", seconds=0.1),
    Fault("delay", "after", seconds=0.1),
]
"""A third of the calls is delayed a little, so that kills often hit a call in flight."""


class JumpingClock(ManualClock):
    """Real time. A sleep moves the clock forward and returns at once."""

    def now(self) -> datetime:
        return datetime.now(UTC) + self._passed

    def monotonic(self) -> float:
        return time.monotonic() + self._passed.total_seconds()


@dataclass(frozen=True, kw_only=True, slots=True)
class KillRun:
    """`seed` decides what each caller does and how long each host lives. Which call a kill hits is left to chance."""

    kills: int
    seed: int
    reserving: bool = True


def run_kills(run: KillRun, log_file: Path, tell: Callable[[str], None] = print) -> Verdict:
    """Kill the host `run.kills` times. Then let the app recover, and return the verdict."""
    tell(f"{run.kills} kills, seed {run.seed}")
    with Stage(JumpingClock(), PACE_SECONDS, queue=True) as stage:
        trial = Trial(partition=stage.new_partition())
        module = "local.host" if run.reserving else "tests.chaos.forgetful_host"
        host = HostProcess({**stage.environ(trial.partition), **_SETTINGS}, log_file, module)
        callers = _Callers(stage, trial, host, run.seed)
        stage.plan.at_random(1 / 3, _SLOW, run.seed)
        lives = random.Random(run.seed)
        try:
            host.start()
            with callers:
                for number in range(1, run.kills + 1):
                    # In every second life the workspace has no stop of one update, the normal case.
                    stage.workspace.configure(has_update_stop=number % 2 == 0)
                    time.sleep(lives.uniform(*LIFE_SECONDS))
                    host.kill()
                    if run.reserving and number >= run.kills * 2 / 3:
                        host.set_environ({**stage.environ_with_queue(trial.partition), **_SETTINGS})
                    host.start()
                    if number % 50 == 0:
                        tell(f"{number} kills, {len(trial.starts)} starts")
        finally:
            host.kill()
        stage.calm()
        stage.bugs += _bugs_in(log_file)
        return settle_down(stage, stage.new_app(trial.partition, reserving=run.reserving), trial)


def _bugs_in(log_file: Path) -> list[str]:
    """Return what the hosts logged with a traceback, except for errors that the app raises on purpose.

    The host logs those of a timer with their traceback.
    """
    lines = log_file.read_text(errors="replace").splitlines()
    found = []
    for number, line in enumerate(lines):
        if line.startswith("Traceback"):
            error = next((after for after in lines[number + 1 :] if not after.startswith(" ")), "")
            if not error.startswith("polysync_core.values."):
                found.append(f"{lines[number - 1]}: {error}")
    return found


class _Callers:
    """Threads that send requests as long as the hosts live. Each start has a pipeline of its own."""

    def __init__(self, stage: Stage, trial: Trial, host: HostProcess, seed: int) -> None:
        self._stage, self._trial, self._host = stage, trial, host
        self._door = HttpDoor(host.url)
        self._keys = itertools.count(1)
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{seed}-{number}"),)) for number in range(CALLERS)
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _work(self, chance: random.Random) -> None:
        while not self._is_over.wait(chance.uniform(0, _PAUSE_SECONDS)):
            act = chance.choices((self._start, self._repeat, self._cancel, self._read), (50, 20, 10, 20))[0]
            if self._host.is_up:
                act(chance)

    def _start(self, chance: random.Random) -> None:
        """Send a new start. Two of three have a key, and some of these are sent by two callers at once.

        A start has a key if its update ends only by a cancel, so that its caller will learn the run.
        """
        key = f"key-{next(self._keys)}" if chance.random() < 2 / 3 else None
        script = chance.choice(["COMPLETED", "FAILED"] if key is None else ["COMPLETED", "FAILED", "RUNNING"])
        pipeline_id = self._stage.workspace.add_pipeline(script=script_ending(script), drain_seconds=0.2)
        request = WantedStart(pipeline_id=pipeline_id, key=key, body={"full_refresh": chance.random() < 0.5})
        if chance.random() < 0.5:
            call_back(self._stage, request)
        with self._lock:
            self._trial.pipeline_ids.append(pipeline_id)
            self._trial.starts.append(request)
            if script == "RUNNING":
                self._trial.cancels.append(WantedCancel(start=request, by_key=chance.random() < 0.5))
        if key is not None and chance.random() < 0.3:
            threading.Thread(target=request.ask, args=(self._door,), daemon=True).start()
        request.ask(self._door)

    def _pick(self, chance: random.Random, wanted: Callable[[WantedStart], bool]) -> WantedStart | None:
        with self._lock:
            known = [request for request in self._trial.starts[-200:] if wanted(request)]
        return chance.choice(known) if known else None

    def _repeat(self, chance: random.Random) -> None:
        """Repeat a start with its key. It has no response so far, or a response that must stay the same."""
        request = self._pick(chance, lambda request: request.key is not None and request.refusal is None)
        if request is not None:
            request.ask(self._door)

    def _cancel(self, chance: random.Random) -> None:
        with self._lock:
            requests = [request for request in self._trial.cancels[-50:] if request.is_open]
        if requests:
            chance.choice(requests).ask(self._door)

    def _read(self, chance: random.Random) -> None:
        request = self._pick(chance, lambda request: bool(request.told))
        if request is not None:
            self._trial.read(self._stage, self._door, request, chance.choice(get_args(Address)))
