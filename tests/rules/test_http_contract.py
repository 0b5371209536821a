"""Decoding of a call: ids, keys, fingerprints, list parameters, addresses. Also the form of a problem."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.wire import http_contract as contract
from polysync_core.rules.wire import start_contract
from polysync_core.rules.wire.http_answers import problem
from polysync_core.rules.wire.http_contract import Call
from polysync_core.values.errors import FieldProblem, InvalidRequest, PolysyncError, RunNotFound
from polysync_core.values.ids import RunId
from polysync_core.values.run import RunFilter, Status
from tests.rules.examples import make_call


def asked(**query: str) -> Call:
    return make_call(query=query)


def fingerprint(body: dict[str, object], *, key: str | None = None, pipeline_id: str = "p") -> str:
    headers = None if key is None else {"idempotency-key": key}
    call = make_call(json.dumps(body), pipeline_id=pipeline_id, headers=headers)
    return start_contract.decode_start(call, ("default", "sales")).fingerprint


# --- the Idempotency-Key


@pytest.mark.parametrize(
    ("header", "expected", "reason"),
    [
        ("abc", "abc", "unquoted"),
        ('"abc"', "abc", "quoted, as the IETF draft has it"),
        ("  abc ", "abc", "blanks around"),
        ('  "abc" ', "abc", "blanks around the quotes"),
        ("a b", "a b", "a blank inside"),
        ('a"b', 'a"b', "a quote inside"),
        ("!" * 255, "!" * 255, "the longest"),
        (f'"{"~" * 255}"', "~" * 255, "the longest, quoted"),
        (None, None, "no header"),
    ],
)
def test_idempotency_key(header: str | None, expected: str | None, reason: str) -> None:
    headers = {} if header is None else {"idempotency-key": header}
    assert contract.decode_idempotency_key(make_call(headers=headers)) == expected, reason


@pytest.mark.parametrize("header", ["", "   ", '""', "x" * 256, f'"{"x" * 256}"', "é", "a\tb", "a\nb", "a\x7f", "☃"])
def test_an_invalid_idempotency_key_is_refused_without_showing_it(header: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        contract.decode_idempotency_key(make_call(headers={"idempotency-key": header}))
    assert caught.value.problems == (
        FieldProblem(field="Idempotency-Key", allowed="must be 1 to 255 printable ASCII characters"),
    )


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ({}, {"full_refresh": None, "parameters": {}}, "said nothing twice"),
        ({"full_refresh": True}, {"full_refresh": "TRUE"}, "a boolean and its string"),
        ({"full_refresh": True}, {"parameters": {"full_refresh": True}}, "at the top and among the parameters"),
        ({}, {"onConflict": "fail"}, "the default said aloud"),
        ({}, {"workspace": "default"}, "the default workspace named"),
        ({}, {"pipeline_id": "p"}, "the path's id repeated"),
        ({"parameters": {"a": 1, "b": 2}}, {"parameters": {"b": 2, "a": 1}}, "another order"),
        ({"parameters": {"a": {"b": 1, "c": [2]}}}, {"parameters": {"a": {"c": [2], "b": 1}}}, "another order inside"),
    ],
)
def test_equal_requests_have_one_fingerprint(one: dict[str, object], other: dict[str, object], reason: str) -> None:
    assert fingerprint(one) == fingerprint(other), reason


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ({"full_refresh": True}, {"full_refresh": False}, "another full_refresh"),
        ({"full_refresh": False}, {}, "one that says false and one that leaves it to the job"),
        ({}, {"onConflict": "attach"}, "another wish on conflict"),
        ({}, {"workspace": "sales"}, "another workspace"),
        ({"parameters": {"a": 1}}, {"parameters": {"b": 1}}, "other parameters"),
        ({"parameters": {"a": 1}}, {}, "no parameters"),
        ({"parameters": {"a": 1}}, {"parameters": {"a": 2}}, "another value of a parameter that is never sent"),
        ({"parameters": {"a": {"b": [1]}}}, {"parameters": {"a": {"b": [2]}}}, "another value inside one"),
    ],
)
def test_other_requests_have_another_fingerprint(one: dict[str, object], other: dict[str, object], reason: str) -> None:
    assert fingerprint(one) != fingerprint(other), reason


def test_the_fingerprint_depends_on_the_pipeline_but_not_on_the_key() -> None:
    assert fingerprint({}, key="a") == fingerprint({}, key="b") == fingerprint({})
    assert fingerprint({}, pipeline_id="p") != fingerprint({}, pipeline_id="q")


# --- ids and workspaces in paths and queries


def test_a_malformed_run_id_is_a_run_that_does_not_exist() -> None:
    call = Call(method="GET", url="https://x/api/runs/nonsense", route={"run_id": "nonsense"})
    with pytest.raises(RunNotFound, match=r"\{pipeline_id\}:\{update_id\}"):
        contract.decode_run_id(call)


def test_a_run_id_is_read_from_the_path() -> None:
    call = Call(method="GET", url="https://x/api/runs/p:u", route={"run_id": "p:u"})
    assert contract.decode_run_id(call) == RunId("p", "u")


def test_the_workspace_of_the_query_is_read_and_an_unknown_one_refused() -> None:
    assert contract.decode_workspace(asked(), ("default",)) is None
    assert contract.decode_workspace(asked(workspace="default"), ("default",)) == "default"
    with pytest.raises(InvalidRequest, match=r"^workspace: must be one of default, given \"west\"\.$"):
        contract.decode_workspace(asked(workspace="west"), ("default",))


# --- lists


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, RunFilter()),
        ({"status": "Success"}, RunFilter(status=Status.SUCCESS)),
        ({"pipelineId": "p1"}, RunFilter(pipeline_id="p1")),
        ({"active": "true"}, RunFilter(active=True)),
        ({"active": "TRUE"}, RunFilter(active=True)),
        ({"active": "false"}, RunFilter()),
        (
            {"status": "Unknown", "pipelineId": "p", "active": "true"},
            RunFilter(status=Status.UNKNOWN, pipeline_id="p", active=True),
        ),
        ({"since": "2026-11-22T08:00:00Z"}, RunFilter(since=datetime(2026, 11, 22, 8, tzinfo=UTC))),
        ({"since": "2026-11-22"}, RunFilter(since=datetime(2026, 11, 22, tzinfo=UTC))),
        ({"until": "2026-11-22T08:00:00.5"}, RunFilter(until=datetime(2026, 11, 22, 8, 0, 0, 500_000, tzinfo=UTC))),
        ({"until": "2026-11-22T08:00:00+01:00"}, RunFilter(until=datetime(2026, 11, 22, 7, tzinfo=UTC))),
        ({"until": "2026-11-22T08:00:00 01:00"}, RunFilter(until=datetime(2026, 11, 22, 7, tzinfo=UTC))),
        ({"until": "2026-11-22 08:00"}, RunFilter(until=datetime(2026, 11, 22, 8, tzinfo=UTC))),
        ({"finishedSince": "2026-11-22"}, RunFilter(finished_since=datetime(2026, 11, 22, tzinfo=UTC))),
    ],
)
def test_run_filter(query: dict[str, str], expected: RunFilter) -> None:
    assert contract.decode_run_filter(asked(**query)) == expected


@pytest.mark.parametrize(
    ("query", "field", "allowed"),
    [
        ({"status": "RUNNING"}, "status", "Running, Success, Failed, Cancelled, Unknown"),
        ({"status": ""}, "status", "Running, Success, Failed, Cancelled, Unknown"),
        ({"pipelineId": "a'b"}, "pipelineId", "1 to 64 letters"),
        ({"pipelineId": ""}, "pipelineId", "1 to 64 letters"),
        ({"active": "yes"}, "active", "true or false"),
        ({"active": ""}, "active", "true or false"),
        ({"since": "yesterday"}, "since", "ISO 8601"),
        ({"until": "2026-13-01"}, "until", "ISO 8601"),
        ({"until": "0001-01-01T00:00:00+14:00"}, "until", "ISO 8601"),
        ({"since": "2026-11-23", "until": "2026-11-22"}, "since", "must not be after until"),
        ({"finishedSince": "today"}, "finishedSince", "ISO 8601"),
        ({"finishedSince": "2026-11-23", "active": "true"}, "finishedSince", "left out beside active=true"),
    ],
)
def test_a_bad_filter_is_refused_by_name(query: dict[str, str], field: str, allowed: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        contract.decode_run_filter(asked(**query))
    (problem,) = caught.value.problems
    assert (problem.field, problem.given) == (field, json.dumps(next(iter(query.values()))))
    assert allowed in problem.allowed


@pytest.mark.parametrize(("given", "expected"), [("1", 1), ("200", 200), ("007", 7), (None, 50)])
def test_limit(given: str | None, expected: int) -> None:
    assert contract.decode_limit(asked() if given is None else asked(limit=given)) == expected


@pytest.mark.parametrize("given", ["0", "201", "-1", "1.5", "", "ten", "٣", "²", "+5", " 5", "9" * 5000])
def test_a_bad_limit_is_refused_by_name(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^limit: must be a whole number from 1 to 200, given "):
        contract.decode_limit(asked(limit=given))


# --- any input

decoders: list[Callable[[Call], object]] = [
    contract.decode_pipeline_id,
    contract.decode_run_id,
    contract.decode_run_filter,
    contract.decode_limit,
    contract.decode_idempotency_key,
    lambda call: contract.decode_workspace(call, ("default",)),
    lambda call: start_contract.decode_start(call, ("default",)),
]
anything = st.text(max_size=12)
names = st.sampled_from(["status", "pipelineId", "active", "limit", "continuation", "workspace"])


@given(anything, anything, anything, st.dictionaries(names, anything), st.binary(max_size=12))
def test_nothing_in_a_call_raises_anything_but_an_error_of_ours(
    pipeline_id: str, run_id: str, key: str, query: dict[str, str], body: bytes
) -> None:
    route = {"pipeline_id": pipeline_id, "run_id": run_id}
    call = Call(method="POST", url="https://x/", route=route, headers={"idempotency-key": key}, query=query, body=body)
    for decode in decoders:
        try:
            decode(call)
        except PolysyncError as error:
            json.dumps(problem(error, call.path).body)
