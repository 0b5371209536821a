"""After the faults: time passes, the app sweeps, callers ask again, until nothing is open. Then the judging."""

from __future__ import annotations

from typing import Protocol, get_args

from tests.chaos.app import Door
from tests.chaos.judging import Verdict, judge
from tests.chaos.stage import LIST_UPDATES, SWEEP_SECONDS, Stage
from tests.chaos.wishes import Address, Ground


class SweepingDoor(Door, Protocol):
    """A way in that also lets the timers work."""

    def sweep(self) -> None: ...

    def deliver(self) -> None: ...


MOST_SWEEPS = 80
"""26 minutes, in simulated time."""
_HELD_SWEEPS = 3
"""A held call that no sweep looks for is executed after so many."""


def settle_down(stage: Stage, app: SweepingDoor, ground: Ground) -> Verdict:
    """`app` is the process that goes on. What is still open after that time is judged as it stands.

    A call that is held is executed once a sweep has looked for what it did, in vain.
    """
    for number in range(MOST_SWEEPS):
        refresh_turns = _looks(stage)
        app.sweep()
        app.deliver()
        if stage.plan.is_holding and (_looks(stage) > refresh_turns or number >= _HELD_SWEEPS):
            stage.release()
        if number % 2:
            for wish in ground.open_wishes:
                wish.ask(app)
        entries = stage.books.entries(ground.partition)
        is_over = entries.is_quiet and not any(wish.is_old and wish.run_id in entries.runs for wish in ground.starts)
        if is_over and not ground.open_wishes and not stage.plan.is_holding:
            break
        stage.clock.pass_time(seconds=SWEEP_SECONDS)
    for wish in ground.starts:
        for address in get_args(Address) if wish.told and not wish.is_old else ():
            ground.read(stage, app, wish, address, in_calm=True)
    return judge(ground, stage.books, stage.bugs)


def _looks(stage: Stage) -> int:
    """How many look-ups of starts there were."""
    return sum(call.label == LIST_UPDATES for call in stage.plan.calls()) if stage.plan.is_holding else 0
