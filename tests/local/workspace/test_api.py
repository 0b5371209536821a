"""The simulated workspace over raw HTTP: what it answers and refuses, as the real API does."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import pytest

from local.workspace import (
    SimulatedWorkspace,
)
from tests.local.workspace.raw_http import START_AT, Caller, SimulatedTime, refusal

UPDATES = "/pipelines/{id}/updates"


def test_a_start_records_its_exact_body_and_creates_one_update(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    body = {"pipeline_id": pipeline_id, "full_refresh": True}
    update_id = call.start(pipeline_id, body)
    [update] = workspace.updates_of(pipeline_id)
    assert (update.update_id, update.body, update.full_refresh, update.cause) == (update_id, body, True, "API_CALL")
    [entry] = workspace.calls("POST", UPDATES)
    assert (entry.body, entry.status, entry.at, entry.executed) == (body, 200, START_AT, True)
    assert entry.path == f"/api/2.0/pipelines/{pipeline_id}/updates"


def test_an_update_is_returned_with_its_config_and_a_numeric_creation_time(
    workspace: SimulatedWorkspace, call: Caller
) -> None:
    pipeline_id = workspace.add_pipeline()
    update_id = call.start(pipeline_id)
    update = call("GET", f"/pipelines/{pipeline_id}/updates/{update_id}").json()["update"]
    config = update.pop("config")
    assert config["configuration"]["spark.sql.shuffle.partitions"] == "200"
    assert update == {
        "pipeline_id": pipeline_id,
        "update_id": update_id,
        "cause": "API_CALL",
        "state": "CREATED",
        "creation_time": int(START_AT * 1000),
        "full_refresh": False,
    }


@pytest.mark.parametrize(
    ("body", "error_code"),
    [
        (b"", "MALFORMED_REQUEST"),
        (b"full_refresh=true", "MALFORMED_REQUEST"),
        (b"[]", "MALFORMED_REQUEST"),
        (b'"{}"', "MALFORMED_REQUEST"),
        (b'{"full_refresh": "true"}', "INVALID_PARAMETER_VALUE"),
        (b'{"full_refresh": 1}', "INVALID_PARAMETER_VALUE"),
        (b'{"pipeline_id": "another"}', "INVALID_PARAMETER_VALUE"),
        (b'{"cause": "BOREDOM"}', "INVALID_PARAMETER_VALUE"),
    ],
)
def test_a_start_with_a_wrong_body_is_400_and_starts_nothing(
    workspace: SimulatedWorkspace, call: Caller, body: bytes, error_code: str
) -> None:
    pipeline_id = workspace.add_pipeline()
    assert refusal(call("POST", f"/pipelines/{pipeline_id}/updates", data=body)) == (400, error_code)
    assert workspace.updates_of(pipeline_id) == []


def test_a_second_start_is_409_and_names_the_active_update(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    update_id = call.start(pipeline_id)
    workspace.configure(conflict_error_code="INVALID_STATE")
    answer = call("POST", f"/pipelines/{pipeline_id}/updates", json={})
    assert refusal(answer) == (409, "INVALID_STATE")
    assert answer.json()["message"] == f"An active update '{update_id}' already exists for pipeline '{pipeline_id}'."
    workspace.set_state(pipeline_id, update_id, "COMPLETED")
    assert call.start(pipeline_id) != update_id


def test_of_many_starts_at_once_exactly_one_wins(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    path = f"/pipelines/{pipeline_id}/updates"
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: call("POST", path, json={}).status_code, range(40)))
    assert sorted(statuses) == [200] + [409] * 39
    assert len(workspace.updates_of(pipeline_id)) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs"),
        ("PUT", "/pipelines"),
        ("DELETE", "/pipelines/p1"),
        ("GET", "/pipelines/p1/stop"),
        ("GET", "/pipelines/"),
        ("GET", "/pipelines/p1/updates/"),
        ("POST", "/pipelines/p1/updates/u1/cancel"),
    ],
)
def test_an_unknown_route_is_endpoint_not_found(
    workspace: SimulatedWorkspace, call: Caller, method: str, path: str
) -> None:
    workspace.add_pipeline("p1")
    assert refusal(call(method, path)) == (404, "ENDPOINT_NOT_FOUND")


def test_an_unknown_pipeline_or_update_does_not_exist(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    for method, path in [
        ("GET", ""),
        ("GET", "/updates"),
        ("POST", "/stop"),
        ("GET", "/events"),
        ("GET", "/updates/u"),
    ]:
        answer = call(method, f"/pipelines/nope{path}")
        assert refusal(answer) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert answer.json()["message"] == "The specified pipeline nope was not found."
    assert refusal(call("GET", f"/pipelines/{pipeline_id}/updates/u")) == (404, "RESOURCE_DOES_NOT_EXIST")
    workspace.configure(has_update_stop=True)
    assert refusal(call("POST", f"/pipelines/{pipeline_id}/updates/u/stop")) == (404, "RESOURCE_DOES_NOT_EXIST")
    update_id = call.start(pipeline_id)
    workspace.forget_update(pipeline_id, update_id)
    assert refusal(call("GET", f"/pipelines/{pipeline_id}/updates/{update_id}")) == (404, "RESOURCE_DOES_NOT_EXIST")
    workspace.remove_pipeline(pipeline_id)
    assert refusal(call("GET", f"/pipelines/{pipeline_id}")) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_forbidden_pipeline_is_403_and_not_listed(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.forbid(pipeline_id)
    assert refusal(call("GET", f"/pipelines/{pipeline_id}")) == (403, "PERMISSION_DENIED")
    assert refusal(call("POST", f"/pipelines/{pipeline_id}/updates", json={})) == (403, "PERMISSION_DENIED")
    assert call("GET", "/pipelines").json() == {}
    workspace.forbid(pipeline_id, listed=True)
    assert len(call("GET", "/pipelines").json()["statuses"]) == 1
    workspace.allow(pipeline_id)
    assert call("GET", f"/pipelines/{pipeline_id}").status_code == 200


def walk(call: Caller, path: str, items: str, **query: Any) -> list[list[dict[str, Any]]]:
    pages = []
    while True:
        answer = call("GET", path, params=query).json()
        pages.append(answer[items])
        if "next_page_token" not in answer:
            return pages
        query["page_token"] = answer["next_page_token"]


def test_pipelines_come_in_pages_each_once(workspace: SimulatedWorkspace, call: Caller) -> None:
    ids = sorted(workspace.add_pipelines(130))
    pages = walk(call, "/pipelines", "statuses", max_results=60)
    assert [len(page) for page in pages] == [60, 60, 10]
    assert [entry["pipeline_id"] for page in pages for entry in page] == ids
    assert [len(page) for page in walk(call, "/pipelines", "statuses")] == [25] * 5 + [5]
    descending = walk(call, "/pipelines", "statuses", max_results=100, order_by="id desc")
    assert [entry["pipeline_id"] for page in descending for entry in page] == ids[::-1]
    by_name = walk(call, "/pipelines", "statuses", max_results=60, order_by="name desc")
    assert [entry["name"] for page in by_name for entry in page] == [f"pipeline {n:05}" for n in reversed(range(130))]


@pytest.mark.parametrize("pages_size", ["101", "0", "-1", "many", ""])
def test_a_page_size_out_of_bounds_is_an_error(workspace: SimulatedWorkspace, call: Caller, pages_size: str) -> None:
    pipeline_id = workspace.add_pipeline()
    for path in ("/pipelines", f"/pipelines/{pipeline_id}/updates"):
        answer = call("GET", path, params={"max_results": pages_size})
        assert refusal(answer) == (400, "INVALID_PARAMETER_VALUE")
    assert call("GET", "/pipelines", params={"max_results": "100"}).status_code == 200
    events = f"/pipelines/{pipeline_id}/events"
    assert call("GET", events, params={"max_results": "250"}).status_code == 200
    assert refusal(call("GET", events, params={"max_results": "251"})) == (400, "INVALID_PARAMETER_VALUE")


def test_pipelines_are_filtered_by_a_pattern_of_their_name(workspace: SimulatedWorkspace, call: Caller) -> None:
    for name in ("orders", "orders hourly", "customers", "it's 100% done"):
        workspace.add_pipeline(name, name)

    def named(filter_text: str) -> list[str]:
        answer = call("GET", "/pipelines", params={"filter": filter_text}).json()
        return [entry["name"] for entry in answer.get("statuses", [])]

    assert named("name LIKE '%orders%'") == ["orders", "orders hourly"]
    assert named("name LIKE 'orders'") == ["orders"]
    assert named("name like '%omers'") == ["customers"]
    assert named("name LIKE '%it''s%'") == ["it's 100% done"]
    assert named("name LIKE '%nothing%'") == []
    for wrong in ("name = 'orders'", "notebook='/x'", "name LIKE '%a%' AND name LIKE '%b%'", "name LIKE %a%"):
        assert refusal(call("GET", "/pipelines", params={"filter": wrong})) == (400, "INVALID_PARAMETER_VALUE")


def test_a_listed_pipeline_has_its_latest_updates_and_no_spec(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline(name="orders")
    first = call.start(pipeline_id)
    workspace.set_state(pipeline_id, first, "FAILED")
    second = call.start(pipeline_id)
    [entry] = call("GET", "/pipelines").json()["statuses"]
    assert entry["latest_updates"] == [
        {"update_id": second, "state": "CREATED", "creation_time": "2026-09-21T14:13:20.001Z"},
        {"update_id": first, "state": "FAILED", "creation_time": "2026-09-21T14:13:20.000Z"},
    ]
    assert (entry["name"], entry["state"]) == ("orders", "STARTING")
    assert "spec" not in entry


def test_a_pipeline_is_returned_with_its_edited_spec(
    workspace: SimulatedWorkspace, call: Caller, now: SimulatedTime
) -> None:
    pipeline_id = workspace.add_pipeline(name="orders")
    spec = call("GET", f"/pipelines/{pipeline_id}").json()["spec"]
    assert {type(spec[name]) for name in ("continuous", "development", "photon", "serverless")} == {bool}
    assert {"channel", "edition", "catalog", "configuration", "clusters"} <= spec.keys()
    now.epoch_seconds += 60
    workspace.set_spec(pipeline_id, {"continuous": True})
    workspace.rename_pipeline(pipeline_id, "new orders")
    told = call("GET", f"/pipelines/{pipeline_id}").json()
    assert told["spec"] == {"id": pipeline_id, "name": "new orders", "continuous": True}
    assert (told["name"], told["last_modified"]) == ("new orders", int((START_AT + 60) * 1000))


def test_updates_come_newest_first_in_pages_that_lead_on_and_back(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline(script=["COMPLETED"])
    newest_first = [call.start(pipeline_id) for _ in range(7)][::-1]
    path = f"/pipelines/{pipeline_id}/updates"

    def page(**query: Any) -> tuple[list[str], dict[str, Any]]:
        answer = call("GET", path, params={"max_results": 3, **query}).json()
        return [update["update_id"] for update in answer["updates"]], answer

    first, told = page()
    assert first == newest_first[:3]
    assert "prev_page_token" not in told
    assert "config" not in told["updates"][0]
    call.start(pipeline_id)  # a new update does not shift the pages
    second, told = page(page_token=told["next_page_token"])
    assert second == newest_first[3:6]
    assert page(page_token=told["prev_page_token"])[0] == first
    third, told = page(page_token=told["next_page_token"])
    assert third == newest_first[6:]
    assert "next_page_token" not in told
    assert refusal(call("GET", path, params={"page_token": "x"})) == (400, "INVALID_PARAMETER_VALUE")


def test_until_update_id_ends_the_list_with_that_update(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline(script=["COMPLETED"])
    ids = [call.start(pipeline_id) for _ in range(4)]
    answer = call("GET", f"/pipelines/{pipeline_id}/updates", params={"until_update_id": ids[2]}).json()
    assert [update["update_id"] for update in answer["updates"]] == [ids[3], ids[2]]


def events(call: Caller, pipeline_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = call("GET", f"/pipelines/{pipeline_id}/events", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json().get("events", [])
    return found
