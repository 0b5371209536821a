"""One case. A path is prepared, then played with faults. Then the app recovers, and the result is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from local.faults import Fault, SeenCall
from tests.chaos.recovery import settle_down
from tests.chaos.requests import Trial
from tests.chaos.scenarios import Scenario
from tests.chaos.stage import RECEIVER, START, STORAGE, Stage
from tests.chaos.verdicts import Verdict

_BELIEVED = frozenset({400, 404})
"""Databricks answers so when it did not execute a start. The app passes the refusal on to the caller."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """`met`: every fault happened to a call."""

    verdict: Verdict
    calls: list[SeenCall]
    met: bool


def play(stage: Stage, scenario: Scenario, faults: Sequence[Fault], *, reserving: bool = True) -> Played:
    trial = Trial(partition=stage.new_partition())
    stage.bugs.clear()
    stage.workspace.configure(has_update_stop=scenario.has_update_stop)
    scenario.prepare(stage, stage.new_app(trial.partition, scenario.settings, reserving=reserving), trial)
    _expect(trial, scenario, faults)
    stage.plan.clear_calls()
    for fault in faults:
        stage.plan.add(fault)
    app = stage.new_app(trial.partition, scenario.settings, reserving=reserving)
    scenario.act(stage, app, trial)
    calls, was_killed = stage.plan.calls(), stage.plan.is_down
    stage.calm()
    if was_killed:
        app = stage.new_app(trial.partition, scenario.settings, reserving=reserving)
    verdict = settle_down(stage, app, trial)
    stage.ledger.forget_deliveries()
    for pipeline_id in trial.pipeline_ids:
        stage.workspace.remove_pipeline(pipeline_id)
    happened = {call.fault for call in calls}
    return Played(verdict=verdict, calls=calls, met=all(fault in happened for fault in faults))


def _expect(trial: Trial, scenario: Scenario, faults: Sequence[Fault]) -> None:
    """Record what the faults make legitimate: a start may be refused, or a callback may be sent again."""
    for fault in faults:
        if fault.label == START and not fault.executes and fault.status in _BELIEVED:
            for request in trial.starts:
                request.may_be_refused |= {fault.status}
    if not any(_may_send_again(fault) for fault in faults):
        trial.most_deliveries = scenario.most_deliveries


def _may_send_again(fault: Fault) -> bool:
    """Whether the fault can hide that a callback was received: the response or the write of the delivery is lost."""
    return fault.kind != "delay" and (fault.upstream == STORAGE or (fault.upstream == RECEIVER and fault.executes))
