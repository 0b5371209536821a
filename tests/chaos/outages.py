"""Long outages: one side is down, or answers nonsense, for many sweeps.

No run may be given up, ended or lost because of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from local.faults import Fault
from local.workspace import script_ending
from tests.chaos.app import App
from tests.chaos.fault_kinds import error_fault, page_fault
from tests.chaos.play import play
from tests.chaos.requests import Trial, WantedCancel, WantedStart, call_back
from tests.chaos.scenarios import Scenario, begin, new_pipeline
from tests.chaos.single import Result
from tests.chaos.stage import RECEIVER, STORAGE, WORKSPACE, Stage

_MINUTES = 10
_SETTINGS = {"POLYSYNC_LOST_AFTER_MINUTES": "1"}
"""With this short limit, a run that the app wrongly takes for lost is given up within the outage."""


def _all_kinds_of_work(stage: Stage, app: App, trial: Trial) -> None:
    """Prepare a run that continues, one that ends, one to stop, one that owes a callback, and a start to come."""
    begin(stage, app, trial, script=script_ending("RUNNING"), pace_seconds=600.0)
    begin(stage, app, trial, pace_seconds=60.0)
    stopped = begin(stage, app, trial, script=script_ending("RUNNING"), pace_seconds=math.inf, drain_seconds=5.0)
    trial.cancels.append(WantedCancel(start=stopped))
    owing = begin(stage, app, trial)
    stage.workspace.set_state(owing.pipeline_id, None, "FAILED")
    app.sweep()
    coming = WantedStart(pipeline_id=new_pipeline(stage, trial), key="meanwhile", may_be_refused=frozenset({403, 404}))
    trial.starts.append(call_back(stage, coming))


def _go_on(stage: Stage, app: App, trial: Trial) -> None:
    """Sweep once a minute while callers send requests and read. Then end the run that continued."""
    for _ in range(_MINUTES):
        app.sweep()
        app.deliver()
        for request in trial.open_request:
            request.ask(app)
        for start in trial.starts:
            if start.told:
                trial.read(stage, app, start, "run")
        stage.clock.pass_time(minutes=1)
    stage.workspace.set_state(trial.starts[0].pipeline_id, None, "COMPLETED")


_SCENARIO = Scenario(path="any", name="of long trouble", prepare=_all_kinds_of_work, act=_go_on, settings=_SETTINGS)
_API = "* /pipelines*"
"""The identity endpoint is left out, because an app without a token would not see the workspace's responses."""
_KINDS: Mapping[str, Fault] = {
    "storage: 503": error_fault(503, "before", STORAGE, times=None),
    "storage: resets": Fault("reset", upstream=STORAGE, times=None),
    "workspace: 503": error_fault(503, "before", WORKSPACE, _API, times=None),
    "workspace: resets": Fault("reset", upstream=WORKSPACE, label=_API, times=None),
    "workspace and identity: resets": Fault("reset", upstream=WORKSPACE, times=None),
    "workspace: 403": error_fault(403, "before", WORKSPACE, _API, times=None),
    "workspace: 404 pages": page_fault(404, "before", WORKSPACE, _API, times=None),
    "workspace: 200 pages": page_fault(200, "before", WORKSPACE, _API, times=None),
    "receiver: 503": error_fault(503, "before", RECEIVER, times=None),
    "receiver: resets": Fault("reset", upstream=RECEIVER, times=None),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outage:
    name: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.name}, {_MINUTES} minutes"


OUTAGES = tuple(Outage(name=name, fault=fault) for name, fault in _KINDS.items())


def play_outage(stage: Stage, outage: Outage) -> Result:
    played = play(stage, _SCENARIO, (outage.fault,))
    return Result(fault=str(outage), path=_SCENARIO.path, name=str(outage), met=played.met, verdict=played.verdict)
