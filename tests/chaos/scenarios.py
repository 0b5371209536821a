"""The paths. Each is prepared without faults, and then played while one of its calls gets a fault."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import get_args

from local.faults import Fault
from local.workspace import script_ending
from tests.chaos.app import App
from tests.chaos.requests import Address, Trial, WantedCancel, WantedStart, call_back
from tests.chaos.stage import START, Stage

ATTACH = {"onConflict": "attach"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """`prepare` prepares with a calm app; `act` is what meets the faults: its calls are recorded.

    `believed`: the faults of the receiver that are taken for its last word. `has_update_stop`: whether the workspace
    has a stop of one update; else it answers "Bad Target", and the pipeline's stop is used.
    """

    path: str
    name: str
    prepare: Callable[[Stage, App, Trial], None]
    act: Callable[[Stage, App, Trial], None]
    settings: Mapping[str, str] = field(default_factory=dict)
    most_deliveries: int = 1
    believed: frozenset[str] = frozenset()
    has_update_stop: bool = True


def new_pipeline(stage: Stage, trial: Trial, **details: object) -> str:
    pipeline_id = stage.workspace.add_pipeline(stage.new_pipeline_id(), **details)  # type: ignore[arg-type]
    trial.pipeline_ids.append(pipeline_id)
    return pipeline_id


def _ask(stage: Stage, app: App, trial: Trial) -> None:
    """Let every caller send its request once. The caller of a process that died gets no response."""
    for request in trial.open_request:
        request.ask(app, lambda: stage.plan.is_down)


def _sweep(stage: Stage, app: App, trial: Trial) -> None:
    app.sweep()


def begin(
    stage: Stage, app: App, trial: Trial, body: Mapping[str, object] | None = None, **details: object
) -> WantedStart:
    """Start an update without faults. It is in the state RUNNING, and its caller waits for a callback."""
    request = WantedStart(pipeline_id=new_pipeline(stage, trial, **details), key="first", body=body or {})
    call_back(stage, request).ask(app)
    stage.workspace.set_state(request.pipeline_id, None, "RUNNING")
    trial.starts.append(request)
    return request


def _pipeline_of_others_too(stage: Stage, trial: Trial, *, full_refresh: bool = False) -> str:
    """Add a pipeline that somebody else started over the API 3 minutes ago. The app must not track that update."""
    pipeline_id = new_pipeline(stage, trial)
    stage.workspace.start_elsewhere(pipeline_id, cause="API_CALL", full_refresh=full_refresh)
    stage.clock.pass_time(minutes=3)
    return pipeline_id


def _starts_with_key(stage: Stage, app: App, trial: Trial) -> None:
    pipeline_id = _pipeline_of_others_too(stage, trial, full_refresh=True)
    request = WantedStart(pipeline_id=pipeline_id, key="key", body={"full_refresh": "true"})
    trial.starts.append(call_back(stage, request))


def _starts_before_there_is_a_table(stage: Stage, app: App, trial: Trial) -> None:
    _starts_with_key(stage, app, trial)
    stage.ledger.delete_table()


def _starts_without_key(stage: Stage, app: App, trial: Trial) -> None:
    trial.starts.append(WantedStart(pipeline_id=_pipeline_of_others_too(stage, trial)))


def _starts_beside_ours(stage: Stage, app: App, trial: Trial) -> None:
    first = begin(stage, app, trial)
    trial.starts.append(WantedStart(pipeline_id=first.pipeline_id, key="second", may_be_refused=frozenset({409})))


def _joins_ours(stage: Stage, app: App, trial: Trial) -> None:
    first = begin(stage, app, trial)
    trial.starts.append(call_back(stage, WantedStart(pipeline_id=first.pipeline_id, key="second", body=ATTACH)))


def _joins_anothers(stage: Stage, app: App, trial: Trial) -> None:
    pipeline_id = new_pipeline(stage, trial)
    stage.workspace.start_elsewhere(pipeline_id)
    trial.starts.append(call_back(stage, WantedStart(pipeline_id=pipeline_id, key="key", body=ATTACH)))


def _is_refused(stage: Stage, app: App, trial: Trial) -> None:
    pipeline_id = new_pipeline(stage, trial)
    stage.workspace.forbid(pipeline_id)
    trial.starts.append(WantedStart(pipeline_id=pipeline_id, key="key", may_be_refused=frozenset({403})))


def _ask_and_allow(stage: Stage, app: App, trial: Trial) -> None:
    _ask(stage, app, trial)
    for pipeline_id in trial.pipeline_ids:
        stage.workspace.allow(pipeline_id)


def _sweeps_few(stage: Stage, app: App, trial: Trial) -> None:
    """Prepare too few runs for a listing: one continues, one has ended."""
    begin(stage, app, trial)
    ended = begin(stage, app, trial, script=script_ending("FAILED"))
    app.sweep()
    stage.workspace.set_state(ended.pipeline_id, None, "FAILED")


def _sweeps_many(stage: Stage, app: App, trial: Trial) -> None:
    """Prepare enough runs for a listing, with every kind of work: states to write, an end, and a stop to repeat."""
    going = [begin(stage, app, trial, pace_seconds=60.0) for _ in range(4)]
    app.sweep()
    stage.workspace.set_state(going[0].pipeline_id, None, "COMPLETED")
    stopped = begin(stage, app, trial, script=script_ending("RUNNING"), pace_seconds=math.inf, drain_seconds=5.0)
    stage.plan.add(Fault("status", status=503, label="*/stop", times=None))
    cancel = WantedCancel(start=stopped)
    cancel.ask(app)
    trial.cancels.append(cancel)
    stage.plan.clear()


def _sweeps_a_retried_run(stage: Stage, app: App, trial: Trial) -> None:
    """Prepare a run whose update failed and was retried by Databricks."""
    request = begin(stage, app, trial, {"followRetries": True}, retries=1, retry_script=script_ending("COMPLETED"))
    app.sweep()
    stage.workspace.set_state(request.pipeline_id, None, "FAILED")
    stage.clock.pass_time(seconds=5)


def _sweeps_a_run_retried_again(stage: Stage, app: App, trial: Trial) -> None:
    """Prepare a run that follows a retry. That retry has failed too, and Databricks has retried again."""
    request = begin(stage, app, trial, {"followRetries": True}, retries=2, retry_script=script_ending("FAILED"))
    app.sweep()
    for _ in range(2):
        app.sweep()
        stage.workspace.set_state(request.pipeline_id, None, "FAILED")
        stage.clock.pass_time(seconds=1)


def _sweeps_what_is_old(stage: Stage, app: App, trial: Trial) -> None:
    """Prepare three runs, a day later: one called back, one still owes a callback, one continues."""
    done = begin(stage, app, trial)
    stage.workspace.set_state(done.pipeline_id, None, "COMPLETED")
    app.sweep()
    app.deliver()
    owing = begin(stage, app, trial)
    stage.workspace.set_state(owing.pipeline_id, None, "FAILED")
    app.sweep()
    done.is_old = owing.is_old = True
    begin(stage, app, trial, script=script_ending("RUNNING"))
    stage.clock.pass_time(hours=25)


def _sweep_and_end(stage: Stage, app: App, trial: Trial) -> None:
    """Sweep twice, so that the cleaner runs. Then end the run that continued."""
    for _ in range(2):
        app.sweep()
        stage.clock.pass_time(minutes=1)
    stage.workspace.set_state(trial.starts[-1].pipeline_id, None, "COMPLETED")


def _sweeps_left_starts(stage: Stage, app: App, trial: Trial) -> None:
    """Two starts whose process died a minute ago: one before Databricks got its POST, one after."""
    for kind in ("before", "after"):
        request = call_back(stage, WantedStart(pipeline_id=new_pipeline(stage, trial), key="key"))
        trial.starts.append(request)
        stage.plan.add(Fault("reset", when=kind, label=START, then_down=True))
        request.ask(stage.new_app(trial.partition), lambda: stage.plan.is_down)
        stage.plan.clear()
    stage.clock.pass_time(minutes=1)


def _sweeps_starts_that_never_show(stage: Stage, app: App, trial: Trial) -> None:
    """A start whose process died before its POST, so long ago that its reservation may be cleared."""
    request = WantedStart(pipeline_id=new_pipeline(stage, trial), key="key")
    trial.starts.append(request)
    stage.plan.add(Fault("reset", label=START, then_down=True))
    request.ask(stage.new_app(trial.partition), lambda: stage.plan.is_down)
    stage.plan.clear()
    stage.clock.pass_time(minutes=10)


def _cancels(stage: Stage, app: App, trial: Trial) -> None:
    request = begin(stage, app, trial, script=script_ending("RUNNING"), pace_seconds=math.inf, drain_seconds=5.0)
    trial.cancels.append(WantedCancel(start=request))


def _cancels_by_key(stage: Stage, app: App, trial: Trial) -> None:
    request = begin(stage, app, trial, script=script_ending("RUNNING"), pace_seconds=math.inf, drain_seconds=5.0)
    trial.cancels.append(WantedCancel(start=request, by_key=True))


def _reads_a_stale_run(stage: Stage, app: App, trial: Trial) -> None:
    request = begin(stage, app, trial)
    stage.workspace.set_state(request.pipeline_id, None, "COMPLETED")
    stage.clock.pass_time(minutes=2)


def _read(stage: Stage, app: App, trial: Trial) -> None:
    for request in trial.starts:
        for address in get_args(Address):
            trial.read(stage, app, request, address)


def _reads_a_run_that_goes_on(stage: Stage, app: App, trial: Trial) -> None:
    begin(stage, app, trial, pace_seconds=300.0)
    stage.clock.pass_time(minutes=2)


def _owes_data_factory(stage: Stage, app: App, trial: Trial) -> None:
    request = WantedStart(pipeline_id=new_pipeline(stage, trial), key="first")
    call_back(stage, request, "callBackUri").ask(app)
    trial.starts.append(request)
    stage.workspace.set_state(request.pipeline_id, None, "FAILED")
    app.sweep()


def _owes(stage: Stage, app: App, trial: Trial) -> None:
    request = begin(stage, app, trial)
    stage.workspace.set_state(request.pipeline_id, None, "COMPLETED")
    app.sweep()


def _has_delivered(stage: Stage, app: App, trial: Trial) -> None:
    _owes(stage, app, trial)
    app.deliver()


def _deliver(stage: Stage, app: App, trial: Trial) -> None:
    app.deliver()


def _redeliver(stage: Stage, app: App, trial: Trial) -> None:
    app.redeliver(trial.starts[0].run_id)
    app.deliver()


SCENARIOS = (
    Scenario(path="start", name="with a key", prepare=_starts_with_key, act=_ask),
    Scenario(path="start", name="before there is a table", prepare=_starts_before_there_is_a_table, act=_ask),
    Scenario(path="start", name="without a key", prepare=_starts_without_key, act=_ask),
    Scenario(path="start", name="during our own update", prepare=_starts_beside_ours, act=_ask),
    Scenario(path="start", name="that Databricks refuses", prepare=_is_refused, act=_ask_and_allow),
    Scenario(path="start", name="that joins our update", prepare=_joins_ours, act=_ask),
    Scenario(path="start", name="that joins another's update", prepare=_joins_anothers, act=_ask),
    Scenario(path="sweep", name="of few runs", prepare=_sweeps_few, act=_sweep),
    Scenario(path="sweep", name="of many runs, one to stop", prepare=_sweeps_many, act=_sweep),
    Scenario(
        path="sweep", name="that stops without the route", prepare=_sweeps_many, act=_sweep, has_update_stop=False
    ),
    Scenario(path="sweep", name="of starts that died", prepare=_sweeps_left_starts, act=_sweep),
    Scenario(path="sweep", name="that clears a start", prepare=_sweeps_starts_that_never_show, act=_sweep),
    Scenario(path="sweep", name="of a retried run", prepare=_sweeps_a_retried_run, act=_sweep),
    Scenario(path="sweep", name="of a run retried again", prepare=_sweeps_a_run_retried_again, act=_sweep),
    Scenario(
        path="sweep",
        name="that cleans",
        prepare=_sweeps_what_is_old,
        act=_sweep_and_end,
        settings={"POLYSYNC_RETENTION_DAYS": "1"},
    ),
    Scenario(path="cancel", name="of a run", prepare=_cancels, act=_ask),
    Scenario(path="cancel", name="by its start's key", prepare=_cancels_by_key, act=_ask),
    Scenario(path="cancel", name="without the route", prepare=_cancels, act=_ask, has_update_stop=False),
    Scenario(path="cancel", name="by key, without the route", prepare=_cancels_by_key, act=_ask, has_update_stop=False),
    Scenario(path="read", name="of a stale run", prepare=_reads_a_stale_run, act=_read),
    Scenario(path="read", name="of a run that goes on", prepare=_reads_a_run_that_goes_on, act=_read),
    Scenario(path="callback", name="that is due", prepare=_owes, act=_deliver),
    Scenario(
        path="callback",
        name="to Data Factory",
        prepare=_owes_data_factory,
        act=_deliver,
        believed=frozenset({"403 before"}),
    ),
    Scenario(path="callback", name="owed again", prepare=_has_delivered, act=_redeliver, most_deliveries=2),
)
