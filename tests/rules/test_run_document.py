"""The run document: every field is always present. Its message is for people, its outcome for waiting callers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from polysync_core.rules.decisions.run_states import SENTENCES
from polysync_core.rules.wire.addresses import Addresses
from polysync_core.rules.wire.run_document import (
    RunDocument,
    encode_document,
    encode_outcome,
    iso_or_none,
    message_of,
)
from polysync_core.values.caller import CallerId
from polysync_core.values.run import Attempt, Run, RunError
from polysync_core.values.start_options import StartOptions
from polysync_core.values.workspace import Workspace
from tests.rules.examples import BEFORE, NOW, make_run, runs

FIELDS = {
    *("runId", "pipelineId", "updateId", "pipelineName", "workspace", "status", "state", "isFinished", "message"),
    *("fullRefresh", "ignoredParameters", "options", "monitorUrl", "updateUrl", "statusUrl", "cancelUrl", "startedAt"),
    *("updatedAt", "finishedAt", "durationSeconds", "timeoutAt", "error", "attempts", "attached", "cancelRequestedAt"),
    *("startedBy", "cancelledBy", "staleSince", "callbacks"),
}


def document_of(run: Run, *, now: datetime = NOW, stale_since: datetime | None = None) -> RunDocument:
    return encode_document(
        run,
        workspace=Workspace(name="default", url="https://adb-1.7.azuredatabricks.net"),
        addresses=Addresses("https://sync.example.com"),
        now=now,
        stale_since=stale_since,
    )


@settings(max_examples=40)
@given(runs)
def test_every_field_is_always_there_and_json(run: Run) -> None:
    document = document_of(run)
    assert set(document) == FIELDS
    assert json.loads(json.dumps(document)) == document


def test_a_run_that_just_began_is_shown_with_nulls() -> None:
    document = document_of(make_run(state=None, full_refresh=None, started_at=None))
    assert dict(document) == {
        "runId": "p1:u1",
        "pipelineId": "p1",
        "updateId": "u1",
        "pipelineName": None,
        "workspace": "default",
        "status": "Unknown",
        "state": None,
        "isFinished": False,
        "message": "Databricks accepted the update but has not reported its state yet.",
        "fullRefresh": None,
        "ignoredParameters": [],
        "options": {},
        "monitorUrl": "https://adb-1.7.azuredatabricks.net/#joblist/pipelines/p1",
        "updateUrl": "https://adb-1.7.azuredatabricks.net/pipelines/p1/updates/u1",
        "statusUrl": "https://sync.example.com/api/runs/p1:u1",
        "cancelUrl": "https://sync.example.com/api/runs/p1:u1/cancel",
        "startedAt": None,
        "updatedAt": "2026-11-22T11:55:00.000Z",
        "finishedAt": None,
        "durationSeconds": None,
        "timeoutAt": None,
        "error": None,
        "attempts": [{"updateId": "u1", "state": None, "cause": "API_CALL", "createdAt": "2026-11-22T11:55:00.000Z"}],
        "attached": False,
        "cancelRequestedAt": None,
        "startedBy": None,
        "cancelledBy": None,
        "staleSince": None,
        "callbacks": [],
    }


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (
            StartOptions(refresh_selection=("orders", "sales.items"), full_refresh_selection=("customers",)),
            {"refresh_selection": ["orders", "sales.items"], "full_refresh_selection": ["customers"]},
        ),
        (
            StartOptions(reset_checkpoint_selection=("main.sales.flow",)),
            {"reset_checkpoint_selection": ["main.sales.flow"]},
        ),
        (StartOptions(validate_only=True), {"validate_only": True}),
    ],
)
def test_the_start_options_are_shown_by_the_names_of_databricks_and_only_those_that_were_given(
    options: StartOptions, shown: dict[str, Any]
) -> None:
    assert document_of(make_run(options=options))["options"] == shown


def test_a_finished_run_is_shown_with_all_it_has() -> None:
    run = make_run(
        attempts=(Attempt(update_id="u1", state="FAILED"), Attempt(update_id="u2", state="FAILED")),
        full_refresh=True,
        pipeline_name="sales",
        ignored_parameters=("a", "b"),
        finished_at=NOW,
        cancel_requested_at=NOW,
        attached=True,
        error=RunError(code="UpdateFailed", message="It failed."),
    )
    document = document_of(run, now=NOW + timedelta(days=1), stale_since=NOW)
    expected = {
        "updateId": "u1",
        "updateUrl": "https://adb-1.7.azuredatabricks.net/pipelines/p1/updates/u2",
        "pipelineName": "sales",
        "status": "Failed",
        "state": "FAILED",
        "isFinished": True,
        "fullRefresh": True,
        "ignoredParameters": ["a", "b"],
        "finishedAt": "2026-11-22T12:00:00.000Z",
        "durationSeconds": 300.0,
        "timeoutAt": None,
        "error": {"code": "UpdateFailed", "message": "It failed."},
        "attached": True,
        "cancelRequestedAt": "2026-11-22T12:00:00.000Z",
        "staleSince": "2026-11-22T12:00:00.000Z",
    }
    assert document | expected == document
    assert [attempt["updateId"] for attempt in document["attempts"]] == ["u1", "u2"]


@pytest.mark.parametrize(
    ("fields", "now", "expected", "reason"),
    [
        ({}, NOW, 300.0, "until now while it is active"),
        ({"finished_at": NOW}, NOW + timedelta(hours=1), 300.0, "until its finish"),
        ({"started_at": None}, NOW, None, "Databricks has not told when it began"),
        ({}, BEFORE - timedelta(seconds=5), 0.0, "never negative, whatever the clocks say"),
        ({"finished_at": BEFORE - timedelta(seconds=5)}, NOW, 0.0, "never negative, whatever the clocks say"),
        ({}, BEFORE + timedelta(microseconds=1_234_567), 1.235, "to the millisecond"),
    ],
)
def test_duration(fields: dict[str, Any], now: datetime, expected: float | None, reason: str) -> None:
    assert document_of(make_run(**fields), now=now)["durationSeconds"] == expected, reason


@pytest.mark.parametrize("state", SENTENCES)
def test_the_message_says_what_databricks_is_doing(state: str) -> None:
    assert message_of(make_run(state=state), NOW, None) == SENTENCES[state]


@pytest.mark.parametrize(
    ("fields", "stale_since", "expected"),
    [
        (
            {"missing_since": BEFORE},
            None,
            "Databricks answers since 2026-11-22T11:55:00.000Z that this update does not exist.",
        ),
        (
            {"cancel_requested_at": BEFORE},
            None,
            "The update is running. A stop was requested at 2026-11-22T11:55:00.000Z; the app asks Databricks for it.",
        ),
        (
            {"cancel_requested_at": BEFORE, "state": "STOPPING"},
            None,
            f"{SENTENCES['STOPPING']} A stop was requested at 2026-11-22T11:55:00.000Z.",
        ),
        (
            {},
            BEFORE,
            (
                "The update is running. This is how it stood at 2026-11-22T11:55:00.000Z; "
                "Databricks has not been asked successfully since."
            ),
        ),
        (
            {"cancel_requested_at": BEFORE, "error": RunError(code="RunTimedOut", message="Timed out.")},
            None,
            "Timed out. A stop was requested at 2026-11-22T11:55:00.000Z; the app asks Databricks for it.",
        ),
        ({"state": "CANCELED", "finished_at": NOW, "cancel_requested_at": BEFORE}, BEFORE, "The update was cancelled."),
        (
            {"error": RunError(code="RunLost", message="Given up."), "missing_since": BEFORE, "finished_at": NOW},
            BEFORE,
            "Given up.",
        ),
    ],
)
def test_the_message_says_what_else_matters(
    fields: dict[str, Any], stale_since: datetime | None, expected: str
) -> None:
    assert message_of(make_run(**fields), NOW, stale_since) == expected


LOST = RunError(code="RunLost", message="Given up: it does not exist.")
BROKEN = RunError(code="UpdateFailed", message="The update failed.")


@pytest.mark.parametrize(
    ("state", "error", "status", "word", "code"),
    [
        ("FAILED", BROKEN, 424, "Failed", "UpdateFailed"),
        ("FAILED", None, 424, "Failed", "UpdateFailed"),
        ("CANCELED", None, 409, "Cancelled", "UpdateCancelled"),
        (None, LOST, 410, "Unknown", "RunLost"),
    ],
)
def test_a_bad_outcome_is_a_problem_with_the_runs_own_members(
    state: str | None, error: RunError | None, status: int, word: str, code: str
) -> None:
    run = make_run(state=state, finished_at=NOW, error=error)
    document = document_of(run)
    reply = encode_outcome(run, document, "/api/runs/p1:u1/result")
    assert reply.status == status
    assert reply.body["status"] == word, "the mission's word, not the number"
    assert reply.body["code"] == code
    assert reply.body["error"] == {"code": code, "message": document["message"]}
    assert reply.body["instance"] == "/api/runs/p1:u1/result"
    assert reply.body["type"] == f"urn:polysync:problem:{code}"
    assert reply.body["detail"] == document["message"]
    assert {**reply.body, "error": document["error"]} == {**reply.body, **document}, "nothing of the run is lost"


def test_success_is_200_and_the_document_alone() -> None:
    run = make_run(state="COMPLETED", finished_at=NOW)
    document = document_of(run)
    reply = encode_outcome(run, document, "/api/x")
    assert (reply.status, reply.body, reply.content_type) == (200, document, "application/json")
    assert reply.body["status"] == "Success"


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (None, None),
        (NOW, "2026-11-22T12:00:00.000Z"),
        (NOW.replace(microsecond=123_999), "2026-11-22T12:00:00.123Z"),
        (datetime.fromisoformat("2026-11-22T14:30:00+02:30"), "2026-11-22T12:00:00.000Z"),
    ],
)
def test_times_are_iso_8601_in_utc(instant: datetime | None, expected: str | None) -> None:
    assert iso_or_none(instant) == expected


def test_who_signed_in_is_named_and_a_key_is_nobody() -> None:
    person = CallerId(object_id="o", application_id="a")
    document = document_of(make_run(started_by=person, cancelled_by=CallerId()))
    assert document["startedBy"] == {"objectId": "o", "applicationId": "a"}
    assert document["cancelledBy"] == "key"
