"""Cancelling: the intent is stored, the update's own stop is requested, and no other update is stopped."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.wire.http_answers import problem
from polysync_core.use_cases import cancelling
from polysync_core.values.callback import CallbackAddress, CallbackKind, Waiter
from polysync_core.values.caller import KEY_ID
from polysync_core.values.databricks_errors import PermissionRefused
from polysync_core.values.errors import RunNotFound, TooBusy
from polysync_core.values.ids import RunId
from polysync_core.values.run import Status

UPDATE = "/pipelines/{id}/updates/{uid}"
STOP_UPDATE = "/pipelines/{id}/updates/{uid}/stop"
STOP_PIPELINE = "/pipelines/{id}/stop"


def test_a_cancel_asks_for_the_missions_stop_and_the_sweep_sees_it_through(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    cancelled = rig.cancel(run_id)
    assert cancelled.asked
    assert rig.stored(run_id).cancel_requested_at is not None
    assert [call.path for call in workspace.calls("POST", STOP_UPDATE)] == [
        f"/api/2.0/pipelines/{pipeline_id}/updates/{run_id.update_id}/stop"
    ]
    rig.sweep()
    assert (rig.stored(run_id).state, status_of_run(rig.stored(run_id))) == ("STOPPING", Status.RUNNING)
    rig.sweep()
    assert len(workspace.calls("POST", STOP_UPDATE)) == 1, "a run that is stopping is not asked again"
    workspace.advance(pipeline_id)
    rig.sweep()
    assert status_of_run(rig.stored(run_id)) is Status.CANCELLED


def test_a_finished_run_is_returned_unchanged_without_a_call(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "COMPLETED")
    rig.sweep()
    workspace.clear_calls()
    cancelled = rig.cancel(run_id)
    assert not cancelled.asked
    assert workspace.calls() == []
    assert rig.stored(run_id).cancel_requested_at is None


def test_where_the_route_is_unknown_the_pipeline_is_stopped_after_a_look_and_that_is_remembered(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    workspace.configure(update_stop_refusal="endpoint_not_found")
    for number in range(2):
        pipeline_id = workspace.add_pipeline()
        run_id = rig.start(pipeline_id).run.run_id
        workspace.clear_calls()
        rig.cancel(run_id)
        assert workspace.updates_of(pipeline_id)[0].state == "STOPPING"
        methods = [call.method for call in workspace.calls()]
        assert methods == (["POST", "GET", "POST"] if number == 0 else ["GET", "POST"])


def test_the_pipelines_stop_never_hits_an_update_that_is_not_ours(rig: Rig, workspace: SimulatedWorkspace) -> None:
    workspace.configure(has_update_stop=False)
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "COMPLETED")
    workspace.start_elsewhere(pipeline_id)
    rig.cancel(run_id)
    assert workspace.updates_of(pipeline_id)[1].state == "CREATED"
    assert workspace.calls("POST", STOP_PIPELINE) == []


NO_UPDATE_STOP = (
    *("bad_target", "not_found", "gateway_not_found", "method_not_allowed", "not_implemented"),
    *("bad_request_for_route", "bad_request_page", "endpoint_not_found", "feature_disabled"),
)


@pytest.mark.parametrize("answer", NO_UPDATE_STOP)
def test_whatever_the_missing_route_answers_the_pipeline_is_stopped_while_our_update_is_active(
    rig: Rig, workspace: SimulatedWorkspace, answer: str
) -> None:
    workspace.configure(update_stop_refusal=answer)
    ours, ended = (rig.start(workspace.add_pipeline()).run.run_id for _ in range(2))
    workspace.set_state(ended.pipeline_id, None, "COMPLETED")
    workspace.start_elsewhere(ended.pipeline_id)
    workspace.clear_calls()
    rig.cancel(ours)
    assert workspace.updates_of(ours.pipeline_id)[0].state == "STOPPING"
    rig.cancel(ended)
    assert [update.state for update in workspace.updates_of(ended.pipeline_id)] == ["COMPLETED", "CREATED"]
    assert len(workspace.calls("POST", STOP_PIPELINE)) == 1


def test_an_update_in_an_unknown_state_is_the_active_one_only_while_it_is_the_newest(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    workspace.configure(has_update_stop=False)
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "COMPLETED")
    workspace.start_elsewhere(pipeline_id)
    skipped = {"update": {"update_id": run_id.update_id, "pipeline_id": pipeline_id, "state": "SKIPPED"}}
    workspace.add_fault("garbage", method="GET", route=UPDATE, times=None, status=200, body=json.dumps(skipped))
    rig.cancel(run_id)
    assert workspace.calls("POST", STOP_PIPELINE) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_stop_that_could_not_be_asked_for_is_repeated_by_every_sweep(
    rig: Rig, workspace: SimulatedWorkspace, status: int
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.add_fault("status", method="POST", route=STOP_UPDATE, status=status, times=2)
    assert rig.cancel(run_id).asked
    rig.sweep()
    assert workspace.updates_of(pipeline_id)[0].state == "CREATED"
    rig.sweep()
    assert workspace.updates_of(pipeline_id)[0].state == "STOPPING"


def test_a_refused_permission_is_reported_and_the_cancel_kept(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.forbid(pipeline_id)
    with pytest.raises(PermissionRefused, match="each sweep repeats it"):
        rig.cancel(run_id)
    workspace.allow(pipeline_id)
    rig.sweep()
    assert workspace.updates_of(pipeline_id)[0].state == "STOPPING"


def test_a_second_cancel_keeps_the_time_of_the_first(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    first = rig.cancel(run_id).run.cancel_requested_at
    clock.pass_time(minutes=1)
    assert rig.cancel(run_id).run.cancel_requested_at == first


def test_an_unknown_run_is_404(rig: Rig) -> None:
    with pytest.raises(RunNotFound):
        rig.cancel(RunId("p", "u"))


def test_a_pipeline_is_cancelled_by_its_active_run_if_that_is_ours(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    with pytest.raises(RunNotFound, match="no active run"):
        cancelling.cancel_pipeline(pipeline_id, None, rig.ws, KEY_ID)
    workspace.start_elsewhere(pipeline_id)
    with pytest.raises(RunNotFound, match="no active run"):
        cancelling.cancel_pipeline(pipeline_id, None, rig.ws, KEY_ID)
    workspace.set_state(pipeline_id, None, "CANCELED")
    run_id = rig.start(pipeline_id).run.run_id
    assert cancelling.cancel_pipeline(pipeline_id, None, rig.ws, KEY_ID).run.run_id == run_id
    assert workspace.updates_of(pipeline_id)[1].state == "STOPPING"


class BusyClock(ManualClock):
    """Lets another caller join a run each time the clock is read, `changes` times."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0
        self.change: Callable[[str, datetime], object] | None = None

    def now(self) -> datetime:
        now = super().now()
        if self.change is not None and self.changes > 0:
            self.changes -= 1
            self.change(f"c{self.changes}", now)
        return now


def _rig_with_races(azurite: str, workspace: SimulatedWorkspace, run_changes: int) -> tuple[Rig, RunId]:
    """Return a rig and an active run that another caller changes `run_changes` times before a write succeeds."""
    clock = BusyClock()
    rig = Rig(azurite, {f"test-{uuid.uuid4().hex[:12]}": workspace.url}, workspace, clock)
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    address = CallbackAddress(kind=CallbackKind.WEBHOOK, url="https://a.example/x", base_url="https://app.example")
    clock.change = lambda name, now: rig.ws.callbacks.join(run_id, Waiter(callback_id=name, address=address), now)
    clock.changes = run_changes
    return rig, run_id


def test_a_cancel_that_loses_four_races_is_attempted_again(azurite: str, workspace: SimulatedWorkspace) -> None:
    rig, run_id = _rig_with_races(azurite, workspace, 4)
    assert rig.cancel(run_id).asked
    assert len(rig.stored(run_id).callbacks) == 4


def test_a_cancel_that_loses_five_races_is_answered_as_too_busy(azurite: str, workspace: SimulatedWorkspace) -> None:
    rig, run_id = _rig_with_races(azurite, workspace, 5)
    with pytest.raises(TooBusy) as busy:
        rig.cancel(run_id)
    reply = problem(busy.value, "/api/x")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    assert rig.stored(run_id).cancel_requested_at is None
    assert rig.cancel(run_id).asked, "once the others are done"
