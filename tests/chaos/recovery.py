"""After the faults: time passes, the app sweeps, and callers repeat, until nothing is open."""

from __future__ import annotations

from typing import Protocol, get_args

from tests.chaos.app import Door
from tests.chaos.requests import Address, Trial
from tests.chaos.stage import LIST_UPDATES, SWEEP_SECONDS, Stage
from tests.chaos.verdicts import Verdict, judge


class SweepingDoor(Door, Protocol):
    """A Door whose timers can be run too."""

    def sweep(self) -> None: ...

    def deliver(self) -> None: ...


MOST_SWEEPS = 80
"""About 26 minutes of simulated time."""
_HELD_SWEEPS = 3
"""A held call is executed after this many sweeps, even if no sweep looks for it."""


def settle_down(stage: Stage, app: SweepingDoor, trial: Trial) -> Verdict:
    """Let `app`, the process that continues, recover, and return the verdict.

    A held call is executed once a sweep has looked for its effect and not found it. After MOST_SWEEPS sweeps the
    verdict counts what is still open.
    """
    for number in range(MOST_SWEEPS):
        refresh_turns = _looks(stage)
        app.sweep()
        app.deliver()
        if stage.plan.is_holding and (_looks(stage) > refresh_turns or number >= _HELD_SWEEPS):
            stage.release()
        if number % 2:
            for request in trial.open_request:
                request.ask(app)
        entries = stage.ledger.entries(trial.partition)
        is_over = entries.is_quiet and not any(
            request.is_old and request.run_id in entries.runs for request in trial.starts
        )
        if is_over and not trial.open_request and not stage.plan.is_holding:
            break
        stage.clock.pass_time(seconds=SWEEP_SECONDS)
    for request in trial.starts:
        for address in get_args(Address) if request.told and not request.is_old else ():
            trial.read(stage, app, request, address, in_calm=True)
    return judge(trial, stage.ledger, stage.bugs)


def _looks(stage: Stage) -> int:
    """How many look-ups of starts there were. It is 0 while no call is held."""
    return sum(call.label == LIST_UPDATES for call in stage.plan.calls()) if stage.plan.is_holding else 0
