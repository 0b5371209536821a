"""The sweep: states are decoded, finished runs are no longer active, and a failed look changes nothing."""

from __future__ import annotations

import logging
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from local.loopback import unused_host
from local.rig import ManualClock, Rig
from local.seeding import put_row, track_elsewhere
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import encode_active
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run, Status
from polysync_core.values.workspace import Workspace

UPDATE = "/pipelines/{id}/updates/{uid}"


@pytest.mark.parametrize(
    ("state", "status", "finished"),
    [
        ("RUNNING", Status.RUNNING, False),
        ("STOPPING", Status.RUNNING, False),
        ("COMPLETED", Status.SUCCESS, True),
        ("FAILED", Status.FAILED, True),
        ("CANCELED", Status.CANCELLED, True),
        ("WAITING_FOR_RESOURCES", Status.UNKNOWN, False),
        ("RESYNCING", Status.UNKNOWN, False),
    ],
)
def test_a_sweep_decodes_the_missions_states(
    rig: Rig, workspace: SimulatedWorkspace, state: str, status: Status, finished: bool
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, state)
    report = rig.sweep()
    run = rig.stored(run_id)
    assert (run.state, status_of_run(run), run.is_finished) == (state, status, finished)
    assert (report.changed, report.finished) == ((0, 1) if finished else (1, 0))
    assert rig.active_ids() == (set() if finished else {str(run_id)})
    assert (run.error is not None) == (state == "FAILED")


def test_a_run_is_watched_from_start_to_end(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    seen = []
    for _ in range(6):
        rig.sweep()
        seen.append(rig.stored(run_id).state)
        clock.pass_time(seconds=15)
        if not rig.stored(run_id).is_finished and workspace.updates_of(pipeline_id)[0].state != "COMPLETED":
            workspace.advance(pipeline_id)
    assert seen == [
        "CREATED",
        "WAITING_FOR_RESOURCES",
        "INITIALIZING",
        "SETTING_UP_TABLES",
        "RUNNING",
        "COMPLETED",
    ]
    run = rig.stored(run_id)
    assert run.started_at is not None
    assert run.finished_at is not None
    assert (run.finished_at - run.started_at).total_seconds() == 75


def test_an_unchanged_run_is_not_written(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    rig.sweep()
    before = rig.ws.runs.find_active(run_id)
    clock.pass_time(seconds=15)
    assert rig.sweep().changed == 0
    assert rig.ws.runs.find_active(run_id) == before


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 502, "body": "<html>Bad gateway</html>", "content_type": "text/html"},
        {"kind": "status", "status": 503, "headers": {"Retry-After": "3600"}},
        {"kind": "status", "status": 504},
        {"kind": "status", "status": 404, "body": "<html>Not found</html>", "content_type": "text/html"},
        {"kind": "status", "status": 404, "error_code": "ENDPOINT_NOT_FOUND"},
        {"kind": "status", "status": 404, "body": ""},
        {"kind": "status", "status": 403, "error_code": "PERMISSION_DENIED"},
        {"kind": "status", "status": 401, "error_code": "UNAUTHENTICATED"},
        {"kind": "status", "status": 400, "error_code": "INVALID_STATE"},
        {"kind": "status", "status": 302, "headers": {"Location": "http://127.0.0.1:9/login"}},
        {"kind": "garbage", "status": 200, "body": "not JSON"},
        {"kind": "garbage", "status": 200, "body": "{}"},
        {"kind": "garbage", "status": 200, "body": '{"update": []}'},
        {"kind": "reset"},
        {"kind": "half"},
    ],
    ids=lambda fault: f"{fault['kind']} {fault.get('status', '')} {fault.get('error_code', fault.get('body', ''))}",
)
def test_a_look_that_fails_never_changes_a_run(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, fault: dict[str, Any]
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    rig.sweep()
    before = rig.stored(run_id)
    workspace.set_state(pipeline_id, None, "COMPLETED")
    workspace.add_fault(method="GET", route=UPDATE, times=None, **fault)
    clock.pass_time(hours=3)
    report = rig.sweep()
    assert report.failed == 1
    assert rig.stored(run_id) == before
    workspace.clear_faults()
    rig.sweep()
    assert status_of_run(rig.stored(run_id)) is Status.SUCCESS, "everything resumes by itself"


def test_a_run_that_databricks_does_not_know_for_an_hour_is_given_up(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    rig.sweep()
    workspace.remove_pipeline(pipeline_id)
    rig.sweep()
    missing_since = rig.stored(run_id).missing_since
    clock.pass_time(minutes=59)
    rig.sweep()
    run = rig.stored(run_id)
    assert (status_of_run(run), run.missing_since) == (Status.RUNNING, missing_since)
    clock.pass_time(minutes=1)
    assert rig.sweep().finished == 1
    run = rig.stored(run_id)
    assert run.error is not None
    assert (status_of_run(run), run.error.code, run.is_finished) == (Status.UNKNOWN, "RunLost", True)


def test_a_run_that_shows_again_is_no_longer_missing(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.add_fault("status", method="GET", route=UPDATE, status=404, error_code="RESOURCE_DOES_NOT_EXIST")
    rig.sweep()
    assert rig.stored(run_id).missing_since is not None
    rig.sweep()
    assert rig.stored(run_id).missing_since is None


def test_a_listed_terminal_state_is_confirmed_by_a_look_of_its_own(rig: Rig, workspace: SimulatedWorkspace) -> None:
    runs = [track_elsewhere(rig, workspace, workspace.add_pipeline()) for _ in range(5)]
    workspace.set_state(runs[0].run_id.pipeline_id, None, "COMPLETED")
    workspace.clear_calls()
    rig.sweep()
    refresh_turns = [call.path for call in workspace.calls("GET", UPDATE)]
    assert len(workspace.calls("GET", "/pipelines")) == 1
    assert any(runs[0].run_id.update_id in path for path in refresh_turns)


def test_many_sweeps_and_readers_at_once_finish_a_run_once(
    rig: Rig, azurite: str, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "COMPLETED")
    clock.pass_time(minutes=1)
    instances = [Rig(azurite, {rig.name: workspace.url}, workspace, clock) for _ in range(8)]
    workspace.clear_calls()
    with ThreadPoolExecutor(16) as pool:
        reads = [pool.submit(instance.read, run_id) for instance in instances]
        sweeps = [pool.submit(instance.sweep) for instance in instances]
    assert {view.run.state for view in (read.result() for read in reads)} == {"COMPLETED"}
    assert sum(sweep.result().finished for sweep in sweeps) <= 1
    assert sum(sweep.result().failed for sweep in sweeps) == 0
    assert len(workspace.calls("GET", UPDATE)) > 1, "they did meet"
    assert rig.active_ids() == set()
    assert rig.stored(run_id).is_finished


def test_a_garbage_row_is_set_aside_and_counted(rig: Rig, workspace: SimulatedWorkspace) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    put_row(rig, "active|garbage:row", {"runId": 7, "attempts": "{"})
    report = rig.sweep()
    assert (report.active, report.unreadable) == (1, 1)
    assert rig.stored(run_id).state == "CREATED"
    last = rig.ws.runs.last_sweep()
    assert last is not None
    assert last.unreadable_pipelines == ("garbage",)


def test_a_sweep_logs_one_line_with_its_report(
    rig: Rig, workspace: SimulatedWorkspace, caplog: pytest.LogCaptureFixture
) -> None:
    rig.start(workspace.add_pipeline())
    with caplog.at_level(logging.INFO, "polysync.sweep"):
        rig.sweep()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "polysync.sweep"]
    assert line.startswith("sweep: workspaces=1 active=1 changed=1 finished=0 failed=0 unreadable=0 calls=1 seconds=")


def test_an_unreachable_a_hanging_and_a_unreadable_workspace_do_not_hold_up_the_others(
    azurite: str, workspace: SimulatedWorkspace
) -> None:
    tag = uuid.uuid4().hex[:8]
    with SimulatedWorkspace() as hanging, socket.socket() as unreachable:
        unreachable.bind((unused_host(), 0))
        urls = {
            f"good-{tag}": workspace.url,
            f"dead-{tag}": "http://{}:{}".format(*unreachable.getsockname()),
            f"hung-{tag}": hanging.url,
        }
        rig = Rig(azurite, urls, workspace, Clock())
        run = track_elsewhere(rig, workspace, workspace.add_pipeline())
        for name in urls:
            put_row(rig, f"active|{uuid.uuid4()}:garbage", {}, partition=partition_of(urls[name]))
        for name in (f"dead-{tag}", f"hung-{tag}"):
            for _ in range(40):
                _copy_run(rig, run, partition_of(urls[name]))
        hanging.add_fault("hang", times=None, seconds=60)
        began = time.monotonic()
        good, dead, hung = rig.sweep_all()
        seconds = time.monotonic() - began
    assert (good.changed + good.finished, good.failed, good.unreadable) == (1, 0, 1)
    assert (dead.failed, dead.changed, dead.unreadable) == (40, 0, 1)
    assert (hung.failed, hung.changed, hung.unreadable) == (40, 0, 1)
    assert seconds < 12
    print(f"swept in {seconds:.1f} s with one workspace hanging")


def _copy_run(rig: Rig, run: Run, partition: str) -> None:
    """Write a copy of the run as an active row of another partition, with another id."""
    run_id = RunId(str(uuid.uuid4()), str(uuid.uuid4()))
    copy = replace(run, run_id=run_id)
    put_row(rig, row_keys.active(run_id), encode_active(copy), partition=partition)


def partition_of(url: str) -> str:
    return Workspace(name="w", url=url).partition
