"""The simulated workspace's event log."""

from __future__ import annotations

from typing import Any

from local.workspace import (
    SimulatedWorkspace,
)
from tests.local.workspace.raw_http import START_AT, Caller, SimulatedTime, refusal


def events(call: Caller, pipeline_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = call("GET", f"/pipelines/{pipeline_id}/events", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json().get("events", [])
    return found


def test_the_text_of_a_failure_is_nested_among_other_errors(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline(failures=[("java.lang.Exception", "The disk is full.")])
    update_id = call.start(pipeline_id)
    workspace.set_state(pipeline_id, update_id, "FAILED")
    errors = events(call, pipeline_id, filter="level = 'ERROR'")
    assert len(errors) == 3
    [ours] = events(call, pipeline_id, filter=f"level='ERROR' AND update_id = '{update_id}'")
    assert ours["message"] == f"Update {update_id[:6]} is FAILED."
    assert ours["error"]["exceptions"] == [{"class_name": "java.lang.Exception", "message": "The disk is full."}]
    assert ours["origin"]["update_id"] == update_id
    workspace.configure(ignores_event_filters=True)
    assert len(events(call, pipeline_id, filter=f"update_id = '{update_id}'")) == 4


def test_an_update_logs_its_creation_its_phases_and_its_flows_in_their_order(
    workspace: SimulatedWorkspace, call: Caller, now: SimulatedTime
) -> None:
    pipeline_id = workspace.add_pipeline()
    update_id = call.start(pipeline_id)
    for _ in range(5):
        now.epoch_seconds += 60
        workspace.advance(pipeline_id)
    log = events(call, pipeline_id, max_results=250)
    assert {(event["level"], event["origin"]["update_id"]) for event in log} == {("INFO", update_id)}
    phases = [event for event in log if event["event_type"] == "update_progress"]
    assert [(event["message"], event["details"]["update_progress"]["state"]) for event in phases] == [
        (f"Update {update_id[:6]} is {state}.", state)
        for state in ("COMPLETED", "RUNNING", "SETTING_UP_TABLES", "INITIALIZING", "WAITING_FOR_RESOURCES")
    ]
    assert [event["timestamp"] for event in phases] == sorted({event["timestamp"] for event in phases}, reverse=True)
    first, last = log[-1], log[:3]
    assert (first["event_type"], first["message"]) == ("create_update", f"Update {update_id[:6]} started by API_CALL.")
    assert [event["message"] for event in last] == [
        f"Update {update_id[:6]} is COMPLETED.",
        "Flow 'orders' has COMPLETED.",
        "Flow 'orders_raw' has COMPLETED.",
    ]
    assert [event["message"] for event in log if "'orders'" in event["message"]] == [
        f"Flow 'orders' {said}."
        for said in ("has COMPLETED", "is RUNNING", "is STARTING", "is PLANNING", "is QUEUED", "defined as APPEND")
    ]
    assert len({event["id"] for event in log}) == len(log)


def test_events_are_filtered_and_ordered_by_time(
    workspace: SimulatedWorkspace, call: Caller, now: SimulatedTime
) -> None:
    pipeline_id = workspace.add_pipeline()
    ids = []
    for number, level in enumerate(("INFO", "WARN", "ERROR")):
        now.epoch_seconds = START_AT + number
        ids.append(workspace.add_event(pipeline_id, message="It happened.", level=level))

    def found(**query: Any) -> list[int]:
        return [ids.index(event["id"]) for event in events(call, pipeline_id, **query)]

    assert found() == [2, 1, 0]
    assert found(order_by="timestamp asc") == [0, 1, 2]
    assert found(filter="level in ('WARN', 'ERROR') AND timestamp < '2026-09-21T14:13:22Z'") == [1]
    assert found(filter="timestamp >= '2026-09-21T14:13:21.000Z'") == [2, 1]
    assert found(filter=f"id='{ids[0]}'") == [0]
    for wrong in ("level", "level > 'INFO'", "level='INFO' OR level='WARN'", "timestamp > 'today'", "colour='red'", ""):
        answer = call("GET", f"/pipelines/{pipeline_id}/events", params={"filter": wrong})
        assert refusal(answer) == (400, "INVALID_PARAMETER_VALUE"), wrong


def test_a_page_token_of_events_keeps_the_filter_and_excludes_another(
    workspace: SimulatedWorkspace, call: Caller
) -> None:
    pipeline_id = workspace.add_pipeline()
    for number in range(5):
        workspace.add_event(pipeline_id, message=str(number), level="WARN" if number % 2 else "ERROR")
    path = f"/pipelines/{pipeline_id}/events"
    first = call("GET", path, params={"filter": "level='ERROR'", "order_by": "timestamp asc", "max_results": 2}).json()
    assert [event["message"] for event in first["events"]] == ["0", "2"]
    token = first["next_page_token"]
    second = call("GET", path, params={"page_token": token, "max_results": 2}).json()
    assert [event["message"] for event in second["events"]] == ["4"]
    assert "next_page_token" not in second
    answer = call("GET", path, params={"page_token": token, "filter": "level='ERROR'"})
    assert refusal(answer) == (400, "INVALID_PARAMETER_VALUE")
