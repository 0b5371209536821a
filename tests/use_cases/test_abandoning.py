"""Runs that nothing else can end: what stays active, what health says of them, and how an operator ends one."""

from __future__ import annotations

from typing import Any

import pytest

from local.receiver import Receiver
from local.rig import ManualClock, Rig
from local.seeding import delete_row, put_row
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions.run_states import outcome_code, status_of_run
from polysync_core.use_cases import checking
from polysync_core.use_cases.abandoning import abandon_run
from polysync_core.values.callback import CallbackState
from polysync_core.values.caller import KEY_ID
from polysync_core.values.errors import RowUnreadable, RunFinished, RunGivenUp, RunNotFound, StartUnknown
from polysync_core.values.ids import RunId
from polysync_core.values.run import Check, Run, Status
from tests.conftest import RigOf
from tests.use_cases.callbacks import deliver

START, UPDATE = "/pipelines/{id}/updates", "/pipelines/{id}/updates/{uid}"
STOP, PIPELINE_STOP = "/pipelines/{id}/updates/{uid}/stop", "/pipelines/{id}/stop"
FORBIDDEN: dict[str, Any] = {
    "status": 403,
    "error_code": "PERMISSION_DENIED",
    "message": "No View permission.",
    "times": None,
}
ATTACH = {"onConflict": "attach"}


def _is_abandoned(run: Run) -> bool:
    code = None if run.error is None else run.error.code
    return (run.is_finished, status_of_run(run), outcome_code(run), code) == (
        True,
        Status.UNKNOWN,
        410,
        "RunAbandoned",
    )


def test_an_abandoned_run_is_finished_without_a_call_and_its_callback_is_delivered(
    rig_of: RigOf, workspace: SimulatedWorkspace, receiver: Receiver
) -> None:
    rig = rig_of(receiver)
    run_id = rig.start(workspace.add_pipeline(), {"callbackUrl": receiver.url()}).run.run_id
    workspace.clear_calls()
    run = abandon_run(run_id, rig.ws, KEY_ID)
    assert workspace.calls() == []
    assert _is_abandoned(run)
    assert [callback.state for callback in run.callbacks] == [CallbackState.DUE]
    assert run.error is not None
    assert run.error.message == (
        "Abandoned at an operator's request; no state was ever seen. "
        "Databricks was asked for nothing, so the update may go on."
    )
    deliver(rig)
    assert [delivery.json["error"]["code"] for delivery in receiver.deliveries] == ["RunAbandoned"]


def test_the_late_end_of_an_abandoned_run_changes_nothing(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    run = abandon_run(run_id, rig.ws, KEY_ID)
    workspace.set_state(pipeline_id, None, "COMPLETED")
    clock.pass_time(minutes=5)
    rig.sweep()
    assert rig.stored(run_id) == run
    assert rig.read(run_id).run == run


def test_a_finished_or_unknown_run_cannot_be_abandoned(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "COMPLETED")
    rig.sweep()
    with pytest.raises(RunFinished, match="finished already") as refused:
        abandon_run(run_id, rig.ws, KEY_ID)
    assert refused.value.http_status == 409
    with pytest.raises(RunNotFound):
        abandon_run(RunId(pipeline_id, "another"), rig.ws, KEY_ID)


@pytest.mark.parametrize("row", ["unreadable", "missing"])
def test_a_run_without_a_usable_active_row_can_be_abandoned(
    rig_of: RigOf, workspace: SimulatedWorkspace, receiver: Receiver, row: str
) -> None:
    rig = rig_of(receiver)
    run_id = rig.start(workspace.add_pipeline(), {"callbackUrl": receiver.url()}).run.run_id
    if row == "missing":
        delete_row(rig, f"active|{run_id}")
    else:
        put_row(rig, f"active|{run_id}", {"run0": 7})
    assert _is_abandoned(abandon_run(run_id, rig.ws, KEY_ID))
    assert _is_abandoned(rig.stored(run_id))
    deliver(rig)
    assert len(receiver.deliveries) == 1
    assert rig.sweep().unreadable == 0
    with pytest.raises(RunFinished):
        abandon_run(run_id, rig.ws, KEY_ID)


def test_a_run_of_which_no_row_can_be_read_cannot_be_abandoned(rig: Rig, workspace: SimulatedWorkspace) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    for kind in ("active", "run"):
        put_row(rig, f"{kind}|{run_id}", {"runId": 7, "run0": 7})
    with pytest.raises(RowUnreadable):
        abandon_run(run_id, rig.ws, KEY_ID)


def test_the_update_of_an_abandoned_run_cannot_be_joined(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    abandon_run(run_id, rig.ws, KEY_ID)
    with pytest.raises(RunGivenUp, match=str(run_id)) as refused:
        rig.start(pipeline_id, ATTACH, key="k")
    assert (refused.value.code, refused.value.http_status) == ("RunAbandoned", 409)
    assert refused.value.active is not None
    assert refused.value.active["updateId"] == run_id.update_id
    assert refused.value.active["runId"] == str(run_id)
    workspace.set_state(pipeline_id, None, "COMPLETED")
    assert not rig.start(pipeline_id, ATTACH, key="k").attached, "the key was released"


def test_a_look_up_never_adopts_the_update_of_an_abandoned_run(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    abandon_run(run_id, rig.ws, KEY_ID)
    workspace.add_fault("status", method="POST", route=START, status=500, when="before")
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id)
    clock.pass_time(minutes=10)
    rig.sweep()
    assert rig.active_ids() == set()
    assert _is_abandoned(rig.stored(run_id))


def test_a_run_that_databricks_refuses_to_show_stays_active_and_health_names_it_after_an_hour(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    rig.sweep()
    workspace.add_fault("status", **FORBIDDEN)
    for minutes, named in [(50, False), (11, True), (60 * 24 * 3, True)]:
        clock.pass_time(minutes=minutes)
        rig.sweep()
        health = _check_of_the_sweep(rig)
        assert (str(run_id) in health.message) is named, health.message
    assert "/abandon" in health.message
    assert not rig.stored(run_id).is_finished
    abandon_run(run_id, rig.ws, KEY_ID)
    rig.sweep()
    assert _check_of_the_sweep(rig).ok


def test_a_time_out_asks_for_the_stop_of_the_one_update_that_is_not_shown(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    workspace.configure(has_update_stop=True)
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id, {"timeoutMinutes": 5}).run.run_id
    workspace.add_fault("status", method="GET", **FORBIDDEN)
    clock.pass_time(minutes=6)
    rig.sweep()
    assert len(workspace.calls("POST", STOP)) == 1
    assert workspace.updates_of(pipeline_id)[0].state == "STOPPING"
    run = rig.stored(run_id)
    assert (run.cancel_requested_at, run.is_finished) == (clock.now(), False)
    clock.pass_time(seconds=15)
    rig.sweep()
    assert len(workspace.calls("POST", STOP)) == 2, "asked for until it is seen to stop"
    workspace.clear_faults()
    workspace.set_state(pipeline_id, None, "CANCELED")
    rig.sweep()
    ended = rig.stored(run_id)
    assert ended.error is not None
    assert (ended.is_finished, ended.error.code) == (True, "RunTimedOut")


def test_the_pipelines_stop_is_never_sent_without_a_look_that_shows_ours_active(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    workspace.configure(has_update_stop=False)
    rig.start(workspace.add_pipeline(), {"timeoutMinutes": 5})
    workspace.add_fault("status", method="GET", **FORBIDDEN)
    for _ in range(3):
        clock.pass_time(minutes=6)
        rig.sweep()
    assert workspace.calls("POST", PIPELINE_STOP) == []


def _check_of_the_sweep(rig: Rig) -> Check:
    (check,) = [
        check for check in checking.check_all([rig.ws], rig.services.tokens, ()).checks if "sweep" in check.name
    ]
    return check
