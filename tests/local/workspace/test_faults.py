"""The simulated workspace plays each fault at exactly the calls that the fault names."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from local.workspace import (
    DATABRICKS_RESOURCE,
    SimulatedWorkspace,
)
from tests.local.workspace.raw_http import Caller

UPDATES = "/pipelines/{id}/updates"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["status", "reset", "garbage", "hang"])
def test_a_fault_comes_before_or_after_the_call_took_effect(
    workspace: SimulatedWorkspace, call: Caller, kind: Any, when: str
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault(kind, when=when, method="POST", route=UPDATES)
    path = f"/pipelines/{pipeline_id}/updates"
    if kind in ("reset", "hang"):
        with pytest.raises(requests.ConnectionError):
            call("POST", path, json={})
    else:
        assert call("POST", path, json={}).status_code == 500
    assert len(workspace.updates_of(pipeline_id)) == (1 if when == "after" else 0)
    [entry] = workspace.calls("POST")
    assert entry.executed == (when == "after")
    assert entry.status == (None if kind in ("reset", "hang") else 500)
    assert call("POST", path, json={}).status_code == (409 if when == "after" else 200)


def test_a_hanging_call_outlasts_its_caller(workspace: SimulatedWorkspace, call: Caller) -> None:
    workspace.add_fault("hang", seconds=30)
    with pytest.raises(requests.ReadTimeout):
        call("GET", "/pipelines", timeout=0.1)
    assert [entry.status for entry in workspace.calls()] == [None]


def test_a_delayed_start_takes_effect_after_its_caller_has_gone(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("delay", seconds=0.3, method="POST")
    with pytest.raises(requests.ReadTimeout):
        call("POST", f"/pipelines/{pipeline_id}/updates", json={}, timeout=0.1)
    assert workspace.updates_of(pipeline_id) == []
    deadline = time.monotonic() + 5
    while not workspace.updates_of(pipeline_id) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(workspace.updates_of(pipeline_id)) == 1


@pytest.mark.parametrize(
    ("fault", "content_type", "text"),
    [
        (
            {"status": 429, "headers": {"Retry-After": "7"}, "error_code": 1234},
            "application/json",
            '"error_code": 1234',
        ),
        ({"status": 503, "body": ""}, "application/json", ""),
        ({"status": 502, "body": "Bad gateway", "content_type": "text/plain"}, "text/plain", "Bad gateway"),
        ({"status": 403, "body": "<html>", "content_type": "text/html"}, "text/html", "<html>"),
        ({"status": 200, "kind": "garbage", "body": "[1]"}, "application/json", "[1]"),
        ({"status": 200, "kind": "garbage", "body": "not JSON"}, "application/json", "not JSON"),
    ],
)
def test_an_error_comes_in_any_look(
    workspace: SimulatedWorkspace, call: Caller, fault: dict[str, Any], content_type: str, text: str
) -> None:
    workspace.add_fault(**{"kind": "status", **fault})
    answer = call("GET", "/pipelines")
    assert (answer.status_code, answer.headers["Content-Type"]) == (fault["status"], content_type)
    assert text in answer.text
    assert bool(text) == bool(answer.text)
    assert answer.headers.get("Retry-After") == fault.get("headers", {}).get("Retry-After")


def test_a_fault_passes_some_calls_meets_some_and_leaves_the_rest(workspace: SimulatedWorkspace, call: Caller) -> None:
    workspace.add_fault("status", status=503, method="GET", route="/pipelines", after=1, times=2)
    pipeline_id = workspace.add_pipeline()
    assert call("GET", f"/pipelines/{pipeline_id}").status_code == 200
    assert [call("GET", "/pipelines").status_code for _ in range(4)] == [200, 503, 503, 200]
    workspace.add_fault("status", status=500, times=None)
    assert [call("GET", "/pipelines").status_code for _ in range(3)] == [500] * 3
    workspace.clear_faults()
    assert call("GET", "/pipelines").status_code == 200


def test_half_an_answer_breaks_off(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("half")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        call("GET", f"/pipelines/{pipeline_id}")
    assert call("GET", f"/pipelines/{pipeline_id}").status_code == 200


def test_a_trickling_answer_is_true_and_late(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("trickle", seconds=0.3)
    begun = time.monotonic()
    answer = call("GET", f"/pipelines/{pipeline_id}", timeout=0.2)  # no single read lasts that long
    assert answer.json()["pipeline_id"] == pipeline_id
    assert time.monotonic() - begun >= 0.3


def test_the_identity_endpoint_has_faults_of_its_own(workspace: SimulatedWorkspace, call: Caller) -> None:
    workspace.add_fault("status", status=503)
    url = f"{workspace.identity_endpoint}?resource={DATABRICKS_RESOURCE}&api-version=2019-08-01"
    headers = {"X-IDENTITY-HEADER": workspace.identity_header}
    assert call.session.get(url, headers=headers, timeout=10).status_code == 200
    workspace.add_fault("status", status=500, route="/msi/token")
    assert call("GET", "/pipelines").status_code == 503
    assert call.session.get(url, headers=headers, timeout=10).status_code == 500
    assert [asked.status for asked in workspace.identity_calls()] == [200, 500]


def test_a_workspace_that_is_down_answers_nothing(workspace: SimulatedWorkspace, call: Caller) -> None:
    workspace.down()
    with pytest.raises(requests.ConnectionError):
        call("GET", "/pipelines")
    workspace.up()
    assert call("GET", "/pipelines").status_code == 200


def test_latency_is_added_to_every_call(workspace: SimulatedWorkspace, call: Caller) -> None:
    workspace.settings.latency_seconds = 0.1
    call("GET", "/pipelines")
    [entry] = workspace.calls()
    assert entry.seconds >= 0.1
