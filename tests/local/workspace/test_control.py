"""The simulated workspace as a server, its journal, and its control from other processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
import requests

from local.workspace import (
    SimulatedWorkspace,
)
from tests.local.workspace.raw_http import Caller

UPDATES = "/pipelines/{id}/updates"


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_one_connection_serves_many_calls_without_nagle_delays(workspace: SimulatedWorkspace, call: Caller) -> None:
    call("GET", "/pipelines")
    begun = time.monotonic()
    for _ in range(50):
        call("GET", "/pipelines", params={"max_results": 1})
    assert time.monotonic() - begun < 1.5  # with Nagle's algorithm, each call would wait 44 ms for a delayed ACK
    assert len(workspace.calls("GET", "/pipelines")) == 51
    workspace.clear_calls()
    assert workspace.calls() == []


def test_the_journal_has_queries_and_unknown_routes(workspace: SimulatedWorkspace, call: Caller) -> None:
    call("GET", "/pipelines", params={"max_results": "5", "order_by": ["id asc", "name asc"]})
    call("POST", "/clusters", data=b"not JSON")
    listed, unknown = workspace.calls()
    assert listed.query == {"max_results": "5", "order_by": ["id asc", "name asc"]}
    assert listed.status == 400
    assert (unknown.route, unknown.body, unknown.status) == ("(unknown)", "not JSON", 404)
    with pytest.raises(AttributeError):
        listed.status = 200  # type: ignore[misc]


def test_a_closed_workspace_leaves_no_connection_and_no_thread() -> None:
    threads_before = set(threading.enumerate())
    with SimulatedWorkspace() as workspace:
        call = Caller(workspace)
        call("GET", "/pipelines")
        workspace.add_fault("hang", seconds=60)
        with pytest.raises(requests.ReadTimeout):
            call("GET", "/pipelines", timeout=0.05)
        call("GET", "/pipelines")
        begun = time.monotonic()
    assert time.monotonic() - begun < 1
    for thread in set(threading.enumerate()) - threads_before:
        thread.join(2)
        assert not thread.is_alive()
    with pytest.raises(requests.ConnectionError):
        call("GET", "/pipelines")
    call.session.close()


def test_from_a_shell_other_processes_control_it() -> None:
    command = [sys.executable, "-m", "local.workspace", "--port", "0", "--pace", "1000", "--pipelines", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, requests.Session() as session:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(3)]
        environ = dict(line[1].split("=", 1) for line in lines)
        host = environ["DATABRICKS_HOST"]

        def control(command: str, /, **arguments: Any) -> Any:
            answer = session.post(f"{host}/_sim/{command}", data=json.dumps(arguments), timeout=10)
            assert answer.status_code == 200, answer.text
            return answer.json()["result"]

        try:
            assert len(control("pipeline_ids")) == 2
            pipeline_id = control("add_pipeline", name="orders", script=["RUNNING", "COMPLETED"], retries=1)
            control("add_fault", kind="status", status=429, route=UPDATES)
            headers = _bearer(control("issue_token", seconds=600))
            path = f"{host}/api/2.0/pipelines/{pipeline_id}/updates"
            statuses = [session.post(path, json={}, headers=headers, timeout=10).status_code for _ in range(2)]
            assert statuses == [429, 200]
            control("set_state", pipeline_id=pipeline_id, update_id=None, state="FAILED")
            updates = control("updates_of", pipeline_id=pipeline_id)
            assert [update["state"] for update in updates] == ["FAILED", "RUNNING"]
            assert [entry["status"] for entry in control("calls", method="POST")] == [429, 200]
            assert session.post(f"{host}/_sim/set_state", data="{}", timeout=10).status_code == 400
            assert session.post(f"{host}/_sim/nothing", timeout=10).status_code == 404
            assert session.get(f"{host}/_sim/calls", timeout=10).status_code == 404
        finally:
            os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0
