"""The parts of a response: the app's addresses, and an error in the form of a problem."""

from __future__ import annotations

from typing import Any

import pytest

from polysync_core.rules.wire import http_answers as answers
from polysync_core.values.databricks_errors import DatabricksError
from polysync_core.values.errors import FieldProblem, InvalidRequest, KeyInFlight, PolysyncError, RunNotFound
from polysync_core.values.ids import RunId
from tests.rules.examples import make_call

STAGING = "https://orders-staging.azurewebsites.net"


@pytest.mark.parametrize(
    ("public_url", "app_url", "host", "routes", "reason"),
    [
        (None, None, "http://10.0.0.1:7071", "http://10.0.0.1:7071/api", "a laptop: the request's own"),
        ("https://a.example", STAGING, "https://orders.example", "https://a.example/api", "the setting goes first"),
        ("https://a.example/polysync", STAGING, "https://o.example", "https://a.example/polysync", "its path for /api"),
        ("https://a.example/api", None, "https://o.example", "https://a.example/api", "its path is /api itself"),
        (None, STAGING, "https://orders.example", "https://orders.example/api", "the slot's name is not the host's"),
        (None, STAGING, "http://orders.example", "https://orders.example/api", "TLS ends before the app"),
        (None, STAGING, "http://127.0.0.1:7071", "http://127.0.0.1:7071/api", "no TLS on loopback"),
        (None, "http://localhost:7071", "http://box:7071", "http://box:7071/api", "a laptop with a platform's name"),
        (None, STAGING, "http://[half", f"{STAGING}/api", "the request's host is none"),
        (None, STAGING, "https://", f"{STAGING}/api", "the request has no host"),
        ("https://a.example", None, "http://[half", "https://a.example/api", "the request's host does not matter"),
    ],
)
def test_addresses_are_the_public_ones_else_the_request_s_else_the_platform_s(
    public_url: str | None, app_url: str | None, host: str, routes: str, reason: str
) -> None:
    call = make_call(url=f"{host}/api/pipelines/p/updates?code=secret")
    addresses = call.addresses(public_url, app_url)
    assert addresses.status_url(RunId("p", "u")) == f"{routes}/runs/p:u", reason
    assert addresses.cancel_url(RunId("p", "u")) == f"{routes}/runs/p:u/cancel", reason
    assert addresses.result_url(RunId("p", "u"), "t") == f"{routes}/runs/p:u/result?token=t", reason


def test_a_request_without_a_host_is_refused_when_nothing_else_names_one() -> None:
    with pytest.raises(InvalidRequest, match="Host: must be a host's name or address"):
        make_call(url="http:///api/runs").addresses(None, None)


def test_the_path_of_a_call_has_no_query_which_may_hold_a_key() -> None:
    assert make_call(url="http://a/api/pipelines/p/updates?code=secret").path == "/api/pipelines/p/updates"


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
