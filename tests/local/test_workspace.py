"""The simulated workspace, as raw HTTP sees it: what the real API answers, refuses and breaks."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

from local.workspace import (
    DATABRICKS_RESOURCE,
    DEFAULT_SCRIPT,
    MANAGEMENT_RESOURCE,
    SimulatedWorkspace,
    script_ending,
)

UPDATES = "/pipelines/{id}/updates"
START_AT = 1_790_000_000.0


class SimulatedTime:
    def __init__(self) -> None:
        self.epoch_seconds = START_AT

    def __call__(self) -> float:
        return self.epoch_seconds


class Caller:
    """A raw HTTP caller with a valid token."""

    def __init__(self, workspace: SimulatedWorkspace) -> None:
        self.workspace = workspace
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = workspace.issue_token()

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        url = f"{self.workspace.url}/api/2.0{path}"
        return self.session.request(method, url, headers=headers, timeout=options.pop("timeout", 10), **options)

    def start(self, pipeline_id: str, body: dict[str, Any] | None = None) -> str:
        answer = self("POST", f"/pipelines/{pipeline_id}/updates", json=body or {})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["update_id"])

    def state(self, pipeline_id: str, update_id: str) -> str:
        return str(self("GET", f"/pipelines/{pipeline_id}/updates/{update_id}").json()["update"]["state"])


@pytest.fixture
def now() -> SimulatedTime:
    return SimulatedTime()


@pytest.fixture
def workspace(now: SimulatedTime) -> Iterator[SimulatedWorkspace]:
    with SimulatedWorkspace(now=now) as simulated:
        yield simulated


@pytest.fixture
def call(workspace: SimulatedWorkspace) -> Iterator[Caller]:
    caller = Caller(workspace)
    yield caller
    caller.session.close()


def refusal(answer: requests.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()["error_code"]


# -- starting


def test_a_start_records_its_exact_body_and_creates_one_update(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    body = {"pipeline_id": pipeline_id, "full_refresh": True}
    update_id = call.start(pipeline_id, body)
    [update] = workspace.updates_of(pipeline_id)
    assert (update.update_id, update.body, update.full_refresh, update.cause) == (update_id, body, True, "API_CALL")
    [entry] = workspace.calls("POST", UPDATES)
    assert (entry.body, entry.status, entry.at, entry.executed) == (body, 200, START_AT, True)
    assert entry.path == f"/api/2.0/pipelines/{pipeline_id}/updates"


def test_an_update_is_told_with_its_config_and_a_numeric_creation_time(
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


# -- what does not exist, or may not be seen


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


# -- listing


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


def test_a_pipeline_is_told_with_its_spec_as_edited(
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
    call.start(pipeline_id)  # a new update moves no page
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


# -- the state machine


def test_a_paced_update_walks_its_script_by_the_clock(now: SimulatedTime) -> None:
    with SimulatedWorkspace(pace_seconds=10, now=now) as workspace:
        pipeline_id = workspace.add_pipeline()
        update_id = workspace.start_elsewhere(pipeline_id, cause="JOB_TASK", full_refresh=True)
        seen = []
        for _ in range(8):
            seen.append(workspace.updates_of(pipeline_id)[0].state)
            now.epoch_seconds += 10
        [update] = workspace.updates_of(pipeline_id)
    before, behind = DEFAULT_SCRIPT[:3], DEFAULT_SCRIPT[3:]
    assert seen == [*before, "RESETTING", *behind, "COMPLETED"]
    assert (update.update_id, update.cause) == (update_id, "JOB_TASK")
    assert [at - START_AT for _, at in update.history] == [0, 10, 20, 30, 40, 50, 60]


def test_a_script_that_places_resetting_itself_is_left_alone(workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline(script=["RESETTING", "SETTING_UP_TABLES", "COMPLETED"])
    workspace.start_elsewhere(pipeline_id, full_refresh=True)
    workspace.advance(pipeline_id, steps=2)
    [update] = workspace.updates_of(pipeline_id)
    assert [state for state, _ in update.history] == ["RESETTING", "SETTING_UP_TABLES", "COMPLETED"]


def test_without_a_pace_only_control_moves_an_update(
    workspace: SimulatedWorkspace, call: Caller, now: SimulatedTime
) -> None:
    pipeline_id = workspace.add_pipeline(script=script_ending("FAILED"))
    update_id = call.start(pipeline_id)
    now.epoch_seconds += 1e6
    assert call.state(pipeline_id, update_id) == "CREATED"
    assert workspace.advance(pipeline_id) == "WAITING_FOR_RESOURCES"
    workspace.set_state(pipeline_id, update_id, "RESYNCING")
    assert call.state(pipeline_id, update_id) == "RESYNCING"
    assert workspace.advance(pipeline_id, update_id, steps=4) == "FAILED"
    with pytest.raises(ValueError, match="no next state"):
        workspace.advance(pipeline_id, update_id)
    with pytest.raises(ValueError, match="cannot become RUNNING"):
        workspace.set_state(pipeline_id, update_id, "RUNNING")


@pytest.mark.parametrize("by_update", [True, False])
def test_a_stop_goes_through_stopping_to_canceled(workspace: SimulatedWorkspace, call: Caller, by_update: bool) -> None:
    pipeline_id = workspace.add_pipeline()
    update_id = call.start(pipeline_id)
    path = f"/pipelines/{pipeline_id}/updates/{update_id}/stop" if by_update else f"/pipelines/{pipeline_id}/stop"
    for _ in range(2):
        answer = call("POST", path)
        assert (answer.status_code, answer.json()) == (200, {})
        assert call.state(pipeline_id, update_id) == "STOPPING"
    assert workspace.advance(pipeline_id) == "CANCELED"
    assert call("POST", path).json() == {}
    [update] = workspace.updates_of(pipeline_id)
    assert [state for state, _ in update.history] == ["CREATED", "STOPPING", "CANCELED"]


def test_stopping_lasts_as_long_as_the_pipeline_drains(
    workspace: SimulatedWorkspace, call: Caller, now: SimulatedTime
) -> None:
    pipeline_id = workspace.add_pipeline(script=script_ending("RUNNING"), drain_seconds=300)
    update_id = call.start(pipeline_id)
    call("POST", f"/pipelines/{pipeline_id}/stop")
    now.epoch_seconds += 299
    assert call.state(pipeline_id, update_id) == "STOPPING"
    now.epoch_seconds += 1
    assert call.state(pipeline_id, update_id) == "CANCELED"


def test_the_stop_of_one_update_is_missing_on_some_workspaces(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    update_id = call.start(pipeline_id)
    workspace.configure(has_update_stop=False)
    answer = call("POST", f"/pipelines/{pipeline_id}/updates/{update_id}/stop")
    assert refusal(answer) == (404, "ENDPOINT_NOT_FOUND")
    assert call.state(pipeline_id, update_id) == "CREATED"


def test_a_failed_update_is_followed_by_retries_under_new_ids(now: SimulatedTime) -> None:
    with SimulatedWorkspace(pace_seconds=1, now=now) as workspace:
        pipeline_id = workspace.add_pipeline(
            script=["RUNNING", "FAILED"], retries=2, retry_delay_seconds=30, retry_script=["RUNNING", "COMPLETED"]
        )
        workspace.start_elsewhere(pipeline_id, full_refresh=True)
        now.epoch_seconds += 30
        assert [update.state for update in workspace.updates_of(pipeline_id)] == ["FAILED"]
        now.epoch_seconds += 1.5
        assert [update.state for update in workspace.updates_of(pipeline_id)] == ["FAILED", "RUNNING"]
        now.epoch_seconds += 1000
        first, second = workspace.updates_of(pipeline_id)
    assert (first.state, second.state, second.cause) == ("FAILED", "COMPLETED", "RETRY_ON_FAILURE")
    assert second.creation_time == int((START_AT + 31) * 1000)
    assert second.full_refresh


def test_retries_run_out(workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline(script=["FAILED"], retries=3)
    workspace.start_elsewhere(pipeline_id)
    causes = [update.cause for update in workspace.updates_of(pipeline_id)]
    assert causes == ["USER_ACTION", *["RETRY_ON_FAILURE"] * 3]
    times = [update.creation_time for update in workspace.updates_of(pipeline_id)]
    assert times == sorted(set(times))


@pytest.mark.parametrize(("stopped", "states"), [(True, ["CANCELED"]), (False, ["CANCELED", "RUNNING"])])
def test_a_schema_change_cancels_and_starts_a_successor_but_a_stop_does_not(
    workspace: SimulatedWorkspace, call: Caller, stopped: bool, states: list[str]
) -> None:
    pipeline_id = workspace.add_pipeline(
        script=["RUNNING"], retries=1, retry_cause="SCHEMA_CHANGE", retry_after_state="CANCELED"
    )
    update_id = call.start(pipeline_id)
    if stopped:
        call("POST", f"/pipelines/{pipeline_id}/stop")
    workspace.set_state(pipeline_id, update_id, "CANCELED")
    updates = workspace.updates_of(pipeline_id)
    assert [update.state for update in updates] == states
    assert [update.cause for update in updates[1:]] == ["SCHEMA_CHANGE"] * (len(states) - 1)


def test_a_misspelt_script_cause_or_setting_is_refused(workspace: SimulatedWorkspace) -> None:
    with pytest.raises(ValueError, match="no state follows FAILED"):
        workspace.add_pipeline(script=["FAILED", "RUNNING"])
    with pytest.raises(ValueError, match="cause is one of"):
        workspace.add_pipeline(retry_cause="RETRY")
    with pytest.raises(ValueError, match="no such setting: latency"):
        workspace.configure(latency=1)
    with pytest.raises(ValueError, match="route is one of"):
        workspace.add_fault("reset", route="/pipelines/{pipeline_id}")
    with pytest.raises(ValueError, match="there is no pipeline nope"):
        workspace.updates_of("nope")


# -- events


def events(call: Caller, pipeline_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = call("GET", f"/pipelines/{pipeline_id}/events", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json().get("events", [])
    return found


def test_the_text_of_a_failure_is_nested_and_other_errors_stand_beside_it(
    workspace: SimulatedWorkspace, call: Caller
) -> None:
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


# -- tokens


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer dapi0123456789", "Basic dXNlcjpwYXNz", "Bearer {management}", "{own}"]
)
def test_a_call_without_a_token_of_its_own_is_401(workspace: SimulatedWorkspace, header: str | None) -> None:
    tokens = {"management": workspace.issue_token(resource=MANAGEMENT_RESOURCE), "own": workspace.issue_token()}
    headers = {} if header is None else {"Authorization": header.format(**tokens)}
    answer = requests.get(f"{workspace.url}/api/2.0/pipelines", headers=headers, timeout=10)
    assert refusal(answer) == (401, "UNAUTHENTICATED")


def test_a_token_is_refused_from_its_last_30_seconds_on(workspace: SimulatedWorkspace, call: Caller) -> None:
    assert call("GET", "/pipelines", headers=_bearer(workspace.issue_token(32))).status_code == 200
    late = call("GET", "/pipelines", headers=_bearer(workspace.issue_token(30)))
    assert (late.status_code, late.json()["message"]) == (403, "Token is expiring within 30 seconds")
    assert refusal(call("GET", "/pipelines", headers=_bearer(workspace.issue_token(0)))) == (401, "UNAUTHENTICATED")


def test_tokens_may_age_by_a_time_of_the_tests_own(now: SimulatedTime, monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatedWorkspace(token_now=now) as workspace:
        _set_environment(workspace, monkeypatch)
        with ManagedIdentityCredential() as credential:
            token = credential.get_token(f"{DATABRICKS_RESOURCE}/.default")
        assert 3590 <= token.expires_on - time.time() <= 3600
        url = f"{workspace.url}/api/2.0/pipelines"
        assert requests.get(url, headers=_bearer(token.token), timeout=10).status_code == 200
        now.epoch_seconds += 3600
        assert requests.get(url, headers=_bearer(token.token), timeout=10).status_code == 401


def test_revoked_tokens_are_401_or_403_in_html(workspace: SimulatedWorkspace, call: Caller) -> None:
    workspace.revoke_tokens()
    assert refusal(call("GET", "/pipelines")) == (401, "UNAUTHENTICATED")
    workspace.revoke_tokens(as_html_403=True)
    answer = call("GET", "/pipelines")
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/html;charset=utf-8")
    assert "Invalid access token" in answer.text
    assert call("GET", "/pipelines", headers=_bearer(workspace.issue_token())).status_code == 200


def test_a_workspace_may_ask_for_its_resource_id_and_a_management_token(
    workspace: SimulatedWorkspace, call: Caller
) -> None:
    resource_id = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Databricks/workspaces/w"
    workspace.configure(required_resource_id=resource_id)
    right = {
        "X-Databricks-Azure-Workspace-Resource-Id": resource_id,
        "X-Databricks-Azure-SP-Management-Token": workspace.issue_token(resource=MANAGEMENT_RESOURCE),
    }
    assert call("GET", "/pipelines", headers=right).status_code == 200
    for name, wrong in [(name, wrong) for name in right for wrong in ("other", workspace.issue_token(), None)]:
        assert call("GET", "/pipelines", headers={**right, name: wrong}).status_code == 403


@pytest.mark.parametrize(
    ("scope", "resource"),
    [
        (f"{DATABRICKS_RESOURCE}/.default", DATABRICKS_RESOURCE),
        ("https://management.core.windows.net/.default", MANAGEMENT_RESOURCE),
        ("https://management.core.windows.net//.default", MANAGEMENT_RESOURCE),
    ],
)
def test_azure_identity_gets_its_tokens_here(
    workspace: SimulatedWorkspace, monkeypatch: pytest.MonkeyPatch, scope: str, resource: str
) -> None:
    _set_environment(workspace, monkeypatch)
    workspace.configure(token_seconds=1800)
    with ManagedIdentityCredential(client_id="my-identity") as credential:
        token = credential.get_token(scope)
    assert 1790 <= token.expires_on - time.time() <= 1800
    assert {name: count for name, count in workspace.tokens_issued().items() if count} == {resource: 1}
    [asked] = workspace.identity_calls()
    assert (asked.resource.rstrip("/"), asked.client_id, asked.status) == (resource.rstrip("/"), "my-identity", 200)
    assert workspace.calls() == []
    answer = requests.get(f"{workspace.url}/api/2.0/pipelines", headers=_bearer(token.token), timeout=10)
    assert answer.status_code == (200 if resource == DATABRICKS_RESOURCE else 401)


def test_azure_identity_fetches_a_new_token_when_the_old_one_ends_soon(
    workspace: SimulatedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_environment(workspace, monkeypatch)
    with ManagedIdentityCredential() as credential:
        for seconds, count in [(3600, 1), (3600, 1)]:
            workspace.configure(token_seconds=seconds)
            credential.get_token(f"{DATABRICKS_RESOURCE}/.default")
            assert workspace.tokens_issued()[DATABRICKS_RESOURCE] == count
    workspace.configure(token_seconds=60)
    with ManagedIdentityCredential() as credential:
        tokens = {credential.get_token(f"{DATABRICKS_RESOURCE}/.default").token for _ in range(2)}
    assert len(tokens) == 2


def test_azure_identity_is_refused_what_nobody_granted(
    workspace: SimulatedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_environment(workspace, monkeypatch)
    refused = (CredentialUnavailableError, ClientAuthenticationError)
    with ManagedIdentityCredential() as credential, pytest.raises(refused):
        credential.get_token("https://storage.azure.com/.default")
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    with ManagedIdentityCredential() as credential, pytest.raises(refused):
        credential.get_token(f"{DATABRICKS_RESOURCE}/.default")
    assert sum(workspace.tokens_issued().values()) == 0
    assert [asked.status for asked in workspace.identity_calls()] == [400, 401]


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _set_environment(workspace: SimulatedWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in workspace.environ().items():
        monkeypatch.setenv(name, value)


# -- faults


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
    answer = call("GET", f"/pipelines/{pipeline_id}", timeout=0.2)  # no single read waits that long
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


# -- the server, the journal, the shell


def test_one_connection_serves_many_calls_without_nagle_delays(workspace: SimulatedWorkspace, call: Caller) -> None:
    call("GET", "/pipelines")
    begun = time.monotonic()
    for _ in range(50):
        call("GET", "/pipelines", params={"max_results": 1})
    assert time.monotonic() - begun < 1.5  # 44 ms each where Nagle waits for a delayed ACK
    assert len(workspace.calls("GET", "/pipelines")) == 51
    workspace.clear_calls()
    assert workspace.calls() == []


def test_the_journal_tells_query_and_unknown_routes(workspace: SimulatedWorkspace, call: Caller) -> None:
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
