"""The events of a run through local.host: their form, their errors, and that the log holds nothing of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from local.workspace import SimulatedWorkspace
from tests.functions.app import Answer, ServedApp, served
from tests.functions.secrecy import check_problem, check_told

EVENTS = "/pipelines/{id}/events"
HOSTILE = '<img src=x onerror="alert(1)"> \x00\x1b[31m\u202e 注文 ' + "x" * 3_000 + " the end"


@pytest.fixture(scope="module")
def app(azurite: str) -> Iterator[ServedApp]:
    with served(azurite) as running:
        yield running


@pytest.fixture
def databricks(app: ServedApp) -> Iterator[SimulatedWorkspace]:
    yield app.databricks
    app.databricks.up()
    app.databricks.clear_faults()


@pytest.fixture
def run(app: ServedApp, databricks: SimulatedWorkspace) -> str:
    """The address of a run whose update is RUNNING."""
    pipeline_id = databricks.add_pipeline()
    address = app.run(pipeline_id)
    databricks.set_state(pipeline_id, None, "RUNNING")
    databricks.clear_calls()
    return address


def ids_of(run: str) -> tuple[str, str]:
    pipeline_id, _, update_id = run.removeprefix("/api/runs/").partition(":")
    return pipeline_id, update_id


def add_events(databricks: SimulatedWorkspace, run: str, count: int) -> None:
    pipeline_id, update_id = ids_of(run)
    for number in range(count):
        databricks.add_event(pipeline_id, message=str(number), level="INFO", update_id=update_id)


def test_the_events_are_a_list_whose_newest_is_first(app: ServedApp, run: str) -> None:
    answer = app.get(f"{run}/events?workspace={app.name}")
    assert (answer.status, answer.json["continuation"]) == (200, None)
    newest, *_, oldest = answer.json["items"]
    short = ids_of(run)[1][:6]
    assert newest["message"] == "Flow 'orders' is RUNNING."
    assert (oldest["eventType"], oldest["message"]) == ("create_update", f"Update {short} started by API_CALL.")
    phase = next(item for item in answer.json["items"] if item["eventType"] == "update_progress")
    assert phase == {
        "time": phase["time"],
        "level": "INFO",
        "eventType": "update_progress",
        "message": f"Update {short} is RUNNING.",
        "errors": [],
    }


def test_a_continuation_goes_on_where_the_answer_ended(
    app: ServedApp, databricks: SimulatedWorkspace, run: str
) -> None:
    add_events(databricks, run, 300)
    items, continuation = [], ""
    while True:
        page = app.get(f"{run}/events{continuation}").json
        items += page["items"]
        if page["continuation"] is None:
            break
        continuation = f"?continuation={page['continuation']}"
    numbers = [int(item["message"]) for item in items if item["message"].isdecimal()]
    assert sorted(numbers) == [*range(300)]
    assert [item["time"] for item in items] == sorted((item["time"] for item in items), reverse=True)
    assert len(databricks.calls("GET", EVENTS)) == 2


def test_a_continuation_with_another_page_token_is_refused_before_databricks_is_asked(
    app: ServedApp, databricks: SimulatedWorkspace, run: str
) -> None:
    add_events(databricks, run, 300)
    signed = json.loads(base64.urlsafe_b64decode(app.get(f"{run}/events").json["continuation"]))
    databricks.clear_calls()
    for number in range(3):
        made_up = base64.urlsafe_b64encode(json.dumps({**signed, "page": f"page {number}"}).encode()).decode()
        check_problem(app.get(f"{run}/events?continuation={made_up}"), 400, "InvalidRequest")
    assert databricks.calls() == []


def test_hostile_texts_are_passed_on_bounded_and_not_logged(
    app: ServedApp, databricks: SimulatedWorkspace, run: str, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline_id, update_id = ids_of(run)
    exceptions = [{"class_name": HOSTILE, "message": HOSTILE} for _ in range(9)]
    databricks.add_event(pipeline_id, message=HOSTILE, level=HOSTILE, event_type=HOSTILE, exceptions=exceptions)
    databricks.add_event(pipeline_id, message=HOSTILE, update_id=update_id, exceptions=exceptions)
    answer = app.get(f"{run}/events")
    assert answer.headers["content-type"].startswith("application/json")
    (event,) = [item for item in answer.json["items"] if item["errors"]]
    for text, most in ((event["message"], 1_000), *((error["message"], 2_000) for error in event["errors"])):
        assert text.startswith(HOSTILE[:60])
        assert text.endswith("x the end")
        assert len(text) == most
    assert [error["className"] for error in event["errors"]] == [HOSTILE[:200]] * 5
    assert "onerror" not in caplog.text
    check_told(caplog.text, answer)


@pytest.mark.parametrize(
    "continuation", ["x", "%C3%A4", "cmVjZW50fA==", base64.b64encode(b'{"run":"p1:u1","page":"t"}').decode()]
)
def test_a_continuation_that_is_not_of_this_run_is_refused_by_name(
    app: ServedApp, databricks: SimulatedWorkspace, run: str, continuation: str
) -> None:
    answer = app.get(f"{run}/events?continuation={continuation}")
    check_problem(answer, 400, "InvalidRequest")
    assert [error["field"] for error in answer.json["errors"]] == ["continuation"]
    assert databricks.calls() == []


def test_a_continuation_whose_page_token_expired_is_410_and_the_list_begins_again(
    app: ServedApp, databricks: SimulatedWorkspace, run: str
) -> None:
    add_events(databricks, run, 260)
    continuation = app.get(f"{run}/events").json["continuation"]
    databricks.answer_with("page_token_gone", route=EVENTS)
    answer = app.get(f"{run}/events?continuation={continuation}")
    check_problem(answer, 410, "ContinuationExpired")
    assert "start again without it" in answer.json["detail"]
    databricks.clear_faults()
    assert app.get(f"{run}/events").status == 200


def test_the_429_of_databricks_is_passed_on(app: ServedApp, databricks: SimulatedWorkspace, run: str) -> None:
    databricks.add_fault("status", route=EVENTS, status=429, headers={"Retry-After": "33"}, times=None)
    answers = [app.get(f"{run}/events") for _ in range(5)]
    assert {(answer.status, answer.headers["retry-after"]) for answer in answers} == {(429, "33")}
    check_problem(answers[0], 429, "DatabricksError")
    assert len(databricks.calls()) == 1


def test_a_deleted_pipeline_is_404_with_a_code_of_its_own(
    app: ServedApp, databricks: SimulatedWorkspace, run: str
) -> None:
    databricks.remove_pipeline(ids_of(run)[0])
    answer = app.get(f"{run}/events")
    check_problem(answer, 404, "PipelineNotFound")
    assert answer.json["databricks"]["status"] == 404


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("forbidden", 403, "DatabricksPermissionDenied"),
        ("ip_blocked", 403, "DatabricksNetworkRefused"),
        ("sign_in_page", 503, "DatabricksSignInPage"),
        ("feature_disabled", 404, "DatabricksError"),
        ("unavailable", 502, "DatabricksError"),
        ("empty_body", 502, "DatabricksError"),
    ],
)
def test_what_else_databricks_answers_is_a_problem(
    app: ServedApp, databricks: SimulatedWorkspace, run: str, name: str, status: int, code: str
) -> None:
    databricks.answer_with(name, route=EVENTS)
    check_problem(app.get(f"{run}/events"), status, code)


def test_a_workspace_without_an_answer_is_503_and_the_run_itself_is_still_shown(
    app: ServedApp, databricks: SimulatedWorkspace, run: str
) -> None:
    databricks.down()
    answer: Answer = app.get(f"{run}/events")
    check_problem(answer, 503, "DatabricksUnreachable")
    assert int(answer.headers["retry-after"]) > 0
    assert app.get(run).status == 200
