"""After the faults: time passes, the app sweeps, callers ask again, until nothing is open. Then the judging."""

from __future__ import annotations

from typing import Protocol

from tests.chaos.app import Door
from tests.chaos.judging import Verdict, judge
from tests.chaos.stage import SWEEP_SECONDS, Stage
from tests.chaos.wishes import Ground


class SweepingDoor(Door, Protocol):
    """A way in that also lets the timers work."""

    def sweep(self) -> None: ...

    def deliver(self) -> None: ...


MOST_SWEEPS = 80
"""26 minutes, in simulated time."""


def settle_down(stage: Stage, app: SweepingDoor, ground: Ground) -> Verdict:
    """`app` is the process that goes on. What is still open after that time is judged as it stands."""
    for number in range(MOST_SWEEPS):
        app.sweep()
        app.deliver()
        if number % 2:
            for wish in ground.open_wishes:
                wish.ask(app)
        if not ground.open_wishes and stage.books.entries(ground.partition).is_quiet:
            break
        stage.clock.pass_time(seconds=SWEEP_SECONDS)
    return judge(ground, stage.books, stage.bugs)
