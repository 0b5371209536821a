"""Everybody at one run at once, round after round.

Two instances sweep and deliver. Callers join, repeat, cancel, read and ask for their callbacks again. Meanwhile the
update ends by itself, by a cancel, or by whichever comes first.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from local.workspace import SimulatedWorkspace
from tests.chaos.app import App
from tests.chaos.recovery import settle_down
from tests.chaos.requests import Address, Trial, WantedCancel, WantedStart, call_back
from tests.chaos.stage import Stage
from tests.chaos.verdicts import NOTHING, Verdict

End = Literal["by itself", "cancelled", "either"]
_JOINERS = 3
_REDELIVERIES = 3
_STALE_SECONDS = 40.0
"""So old that a read does not trust the stored state, and readers call Databricks too."""
_ROUND_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Races:
    """`seed` decides the order of actions within a thread. Which thread is first is left to chance."""

    rounds: int
    seed: int


def run_races(races: Races, tell: Callable[[str], None] = print) -> Verdict:
    """Play several rounds, each on a run of its own, and return the sum of their verdicts."""
    tell(f"{races.rounds} races, seed {races.seed}")
    total = NOTHING
    with Stage(pace_seconds=60.0) as stage:
        for number in range(races.rounds):
            ends = get_args(End)
            chance = random.Random(f"{races.seed}-{number}")
            total += _Race(stage, ends[number % len(ends)], chance).run()
            if (number + 1) % 50 == 0:
                tell(f"{number + 1} races")
    return total


class _Race:
    def __init__(self, stage: Stage, end: End, chance: random.Random) -> None:
        self._stage, self._end, self._chance = stage, end, chance
        self._trial = Trial(partition=stage.new_partition())
        self._apps = [stage.new_app(self._trial.partition) for _ in range(2)]
        self._redelivered = 0

    def run(self) -> Verdict:
        stage, trial = self._stage, self._trial
        stage.bugs.clear()
        pipeline_id = stage.workspace.add_pipeline(stage.new_pipeline_id(), drain_seconds=0.0)
        trial.pipeline_ids.append(pipeline_id)
        first = call_back(stage, WantedStart(pipeline_id=pipeline_id, key="first"))
        trial.starts.append(first)
        first.ask(self._apps[0])
        stage.workspace.set_state(pipeline_id, None, "RUNNING")
        stage.clock.pass_time(seconds=_STALE_SECONDS)
        self._act(first)
        trial.most_deliveries = 1 + self._redelivered
        verdict = settle_down(stage, self._apps[0], trial)
        stage.ledger.forget_deliveries()
        stage.workspace.remove_pipeline(pipeline_id)
        return verdict

    def _act(self, first: WantedStart) -> None:
        """Let all act at once. An exception counts as a bug."""
        one, other = self._apps
        acts: list[Callable[[], object]] = []
        for app in self._apps:
            acts += [self._sweep_and_deliver(app), self._sweep_and_deliver(app), self._read(app, first)]
        for number in range(_JOINERS):
            request = WantedStart(pipeline_id=first.pipeline_id, key=f"joiner-{number}", body={"onConflict": "attach"})
            request.may_be_refused = frozenset({409})  # its waiting for another start is over at once in simulated time
            self._trial.starts.append(call_back(self._stage, request))
            acts.append(_asking(request, self._apps[number % 2]))
        acts += [_asking(replace(first), other), self._redeliver(one, first.run_id)]
        if self._end != "by itself":
            cancels = [WantedCancel(start=first, by_key=by_key) for by_key in (True, False)]
            if self._end == "cancelled":
                self._trial.cancels += cancels
            acts += [_asking(cancels[0], one), _asking(cancels[1], other)]
        if self._end != "cancelled":
            acts.append(lambda: _complete(self._stage.workspace, first))
        self._chance.shuffle(acts)
        _all_at_once(acts, self._stage.bugs)

    def _sweep_and_deliver(self, app: App) -> Callable[[], None]:
        turns = [app.sweep, app.deliver] if self._chance.random() < 0.5 else [app.sweep, app.sweep, app.deliver]

        def act() -> None:
            for turn in turns:
                turn()

        return act

    def _read(self, app: App, first: WantedStart) -> Callable[[], None]:
        def act() -> None:
            for address in get_args(Address):
                self._trial.read(self._stage, app, first, address, in_calm=True)

        return act

    def _redeliver(self, app: App, run_id: str) -> Callable[[], None]:
        """Return an act that redelivers several times. A request is refused until the run has finished."""

        def act() -> None:
            for _ in range(_REDELIVERIES):
                self._redelivered += app.redeliver(run_id).status == 202

        return act


def _asking(request: WantedStart | WantedCancel, app: App) -> Callable[[], None]:
    return lambda: request.ask(app)


def _complete(workspace: SimulatedWorkspace, first: WantedStart) -> None:
    """Let the update end by itself, unless it was stopped first."""
    update_id = min(first.told)
    if workspace.updates_of(first.pipeline_id)[0].state == "RUNNING":
        workspace.set_state(first.pipeline_id, update_id, "COMPLETED")


def _all_at_once(acts: Sequence[Callable[[], object]], bugs: list[str]) -> None:
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        barrier.wait()
        try:
            act()
        except Exception as bug:
            bugs.append(f"in a race: {bug!r}")

    threads = [threading.Thread(target=run, args=(act,), daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_ROUND_SECONDS)
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError("a race does not end")
