"""Stops that a sweep requests: only stored intents count, and a refused stop does not change the run's status."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.endpoints import run_endpoints as endpoints
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.wire.http_contract import Call
from polysync_core.rules.wire.run_document import iso, message_of
from polysync_core.use_cases import checking
from polysync_core.values.callback import CallbackAddress, CallbackKind, Waiter
from polysync_core.values.databricks_errors import PermissionRefused
from polysync_core.values.run import Status

UPDATE = "/pipelines/{id}/updates/{uid}"
STOP = "/pipelines/{id}/updates/{uid}/stop"


def test_a_sweep_that_another_change_overtakes_stops_nothing_and_the_next_one_says_why(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id, {"timeoutMinutes": 1}).run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    rig.sweep()
    clock.pass_time(minutes=2)
    workspace.clear_calls()
    workspace.add_fault("delay", method="GET", route=UPDATE, seconds=3)
    waiter = Waiter(
        callback_id="c", address=CallbackAddress(kind=CallbackKind.WEBHOOK, url="http://x/", base_url="http://y")
    )
    with ThreadPoolExecutor(1) as pool:
        sweep = pool.submit(rig.sweep)
        time.sleep(1.5)
        rig.ws.callbacks.join(run_id, waiter, clock.now())
        sweep.result()
    assert rig.stored(run_id).cancel_requested_at is None
    assert workspace.calls("POST", STOP) == []
    rig.sweep()
    assert len(workspace.calls("POST", STOP)) == 1
    workspace.set_state(pipeline_id, None, "CANCELED")
    rig.sweep()
    run = rig.stored(run_id)
    assert run.error is not None
    assert (status_of_run(run), run.error.code) == (Status.CANCELLED, "RunTimedOut")


def test_a_run_whose_stop_is_refused_is_seen_all_the_same(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    rig.sweep()
    workspace.add_fault("status", method="POST", route=STOP, status=403, error_code="PERMISSION_DENIED", times=None)
    with pytest.raises(PermissionRefused):
        rig.cancel(run_id)
    for _ in range(25):
        clock.pass_time(seconds=15)
        report = rig.sweep()
        assert (report.active, report.failed) == (1, 0)
    assert "refused this app's identity" in caplog.text
    assert rig.read(run_id).stale_since is None
    assert all(check.ok for check in checking.check_all([rig.ws], rig.services.tokens, ()).checks)


def test_the_answer_to_a_cancel_says_since_when_databricks_is_silent(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    rig.sweep()
    swept_at = clock.now()
    workspace.down()
    clock.pass_time(minutes=5)
    call = Call(method="POST", url="http://app.example/api/runs/x/cancel", route={"run_id": str(run_id)})
    reply = endpoints.cancel_run(call, rig.services)
    assert (reply.status, reply.body["staleSince"]) == (202, iso(swept_at))
    assert rig.read(run_id).stale_since == swept_at


def test_a_stop_for_a_time_out_is_mentioned_once(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    run_id = rig.start(workspace.add_pipeline(), {"timeoutMinutes": 1}).run.run_id
    clock.pass_time(minutes=1)
    rig.sweep()
    message = message_of(rig.stored(run_id), clock.now(), None)
    assert message.startswith("Timed out: not finished by 2026-11-22 08:01:00 UTC. ")
    assert message.count("stop was requested") == 1
