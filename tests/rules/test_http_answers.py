"""What answers are built from: our addresses, and an error in the form of a problem."""

from __future__ import annotations

from typing import Any

import pytest

from polysync_core.rules.wire import http_answers as answers
from polysync_core.values.errors import (
    DatabricksError,
    FieldProblem,
    InvalidRequest,
    KeyInFlight,
    PolysyncError,
    RunNotFound,
)
from polysync_core.values.ids import RunId
from tests.rules.examples import make_call


@pytest.mark.parametrize(
    ("public_url", "base"),
    [(None, "http://10.0.0.1:7071"), ("https://sync.example.com", "https://sync.example.com")],
)
def test_addresses_come_from_the_public_address_else_from_the_request(public_url: str | None, base: str) -> None:
    call = make_call(url="http://10.0.0.1:7071/api/pipelines/p/updates?code=secret")
    assert call.addresses(public_url).status_url(RunId("p", "u")) == f"{base}/api/runs/p:u"
    assert call.path == "/api/pipelines/p/updates", "without the query, which may hold a key"


def test_a_call_does_not_print_its_secrets() -> None:
    call = make_call(b"hush", headers={"x-functions-key": "hush"}, query={"code": "hush"})
    assert "hush" not in repr(call)


def test_a_problem_has_the_members_of_rfc_9457_and_azures_error() -> None:
    reply = answers.problem(RunNotFound("There is no such run."), "/api/runs/x")
    assert (reply.status, reply.content_type, reply.headers) == (404, "application/problem+json", {})
    assert reply.body == {
        "type": "urn:polysync:problem:RunNotFound",
        "title": "No such run",
        "status": 404,
        "detail": "There is no such run.",
        "instance": "/api/runs/x",
        "code": "RunNotFound",
        "error": {"code": "RunNotFound", "message": "There is no such run."},
    }


@pytest.mark.parametrize(
    ("error", "status", "retry_after", "member"),
    [
        (KeyInFlight("x", retry_after_seconds=15), 503, "15", None),
        (
            DatabricksError("x", databricks_status=429, error_code="E", says="slow", retry_after_seconds=7),
            429,
            "7",
            ("databricks", {"status": 429, "error_code": "E", "message": "slow"}),
        ),
        (
            InvalidRequest(FieldProblem(field="f", allowed="a", given="g")),
            400,
            None,
            ("errors", [{"field": "f", "given": "g", "allowed": "a"}]),
        ),
    ],
)
def test_a_problem_carries_what_its_error_knows(
    error: PolysyncError, status: int, retry_after: str | None, member: tuple[str, Any] | None
) -> None:
    reply = answers.problem(error, "/api/x")
    assert reply.status == reply.body["status"] == status
    assert reply.headers == ({} if retry_after is None else {"Retry-After": retry_after})
    if member is not None:
        assert reply.body[member[0]] == member[1]
