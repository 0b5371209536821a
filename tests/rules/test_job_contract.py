"""JSON about jobs: what is accepted, what is refused and under which name, and the documents that callers get."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from polysync_core.rules.wire.http_contract import Call
from polysync_core.rules.wire.job_contract import decode_discover, decode_parameter, encode_discovery_continuation
from polysync_core.rules.wire.job_document import encode_job_document, encode_report
from polysync_core.values.errors import InvalidRequest, ParameterReadOnly
from polysync_core.values.job import (
    Change,
    ChangeKind,
    Counts,
    Direction,
    DiscoveryPass,
    DiscoveryReport,
    FullRefresh,
    HiddenValue,
    Job,
    Tally,
)
from polysync_core.values.workspace import Workspace

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
NAMES = ("sales", "hr")
PASS = DiscoveryPass(
    began_at=NOW, page_token="t", after="p7", tally=Tally(jobs=Counts(added=7)), not_synced={"p3": NOW}
)
DIRECTIONS = "must be one of Input, Output, Input&Output"
FLAG = 'must be true or false (or the strings "true" and "false")'


def call(body: object = None, *, name: str = "full_refresh", **query: str) -> Call:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Call(method="PUT", url="http://a/api/x", route={"name": name}, query=query, body=content)


def refusal(wrong: pytest.ExceptionInfo[InvalidRequest]) -> list[tuple[str, str]]:
    return [(problem.field, problem.allowed) for problem in wrong.value.problems]


# --- PUT of a parameter


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"value": True}, FullRefresh(value=True, direction=Direction.INPUT)),
        ({"value": "False"}, FullRefresh(value=False, direction=Direction.INPUT)),
        ({"value": "true", "direction": "Output"}, FullRefresh(value=True, direction=Direction.OUTPUT)),
        ({"value": False, "direction": "Input&Output"}, FullRefresh(value=False, direction=Direction.BOTH)),
    ],
)
def test_a_full_refresh_is_a_bool_with_a_direction(body: object, expected: FullRefresh) -> None:
    assert decode_parameter(call(body), NAMES) == (None, expected)


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, [("value", "is missing")]),
        ({"value": None}, [("value", FLAG)]),
        ({"value": 1}, [("value", FLAG)]),
        ({"value": "yes"}, [("value", FLAG)]),
        ({"value": [True]}, [("value", FLAG)]),
        ({"value": True, "direction": "input"}, [("direction", DIRECTIONS)]),
        ({"value": True, "direction": "Sideways"}, [("direction", DIRECTIONS)]),
        ({"value": True, "direction": None}, [("direction", DIRECTIONS)]),
        ({"value": True, "direction": ["Input"]}, [("direction", DIRECTIONS)]),
        ({"value": "x", "direction": "y"}, [("value", FLAG), ("direction", DIRECTIONS)]),
        (
            {"value": True, "dataType": "Bool"},
            [("dataType", "is not a field of a parameter; there are value, direction, workspace")],
        ),
        ([True], [("body", "must be a JSON object, like {}")]),
        ({"value": True, "workspace": "it"}, [("workspace", "must be one of sales, hr")]),
    ],
)
def test_a_wrong_full_refresh_is_named(body: object, problems: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        decode_parameter(call(body), NAMES)
    assert refusal(wrong) == problems


@pytest.mark.parametrize("name", ["photon", "Full_Refresh", "spark.x", ""])
def test_another_parameter_is_refused_with_the_place_to_edit_it(name: str) -> None:
    with pytest.raises(ParameterReadOnly, match="Edit the pipeline in Databricks, then Sync Parameters"):
        decode_parameter(call({"value": True}, name=name), NAMES)


# --- a discovery


def test_a_discovery_needs_no_body() -> None:
    assert decode_discover(call(), NAMES, NOW) == ("sales", None)
    assert decode_discover(call({"workspace": "hr"}), NAMES, NOW) == ("hr", None)
    assert decode_discover(call(workspace="hr"), NAMES, NOW) == ("hr", None)


def test_a_continuation_goes_on_where_it_was_made_by_body_or_query() -> None:
    continuation = encode_discovery_continuation("hr", PASS)
    assert decode_discover(call({"workspace": "hr", "continuation": continuation}), NAMES, NOW) == ("hr", PASS)
    assert decode_discover(call(workspace="hr", continuation=continuation), NAMES, NOW) == ("hr", PASS)


def forged(**fields: object) -> str:
    said = json.loads(base64.urlsafe_b64decode(encode_discovery_continuation("sales", PASS)))
    return base64.urlsafe_b64encode(json.dumps(said | fields).encode()).decode()


OF_SALES = "must be the continuation of an earlier discovery of workspace sales"


@pytest.mark.parametrize(
    "continuation",
    [
        "",
        "x",
        "ümlaut",
        base64.urlsafe_b64encode(b"[]").decode(),
        base64.urlsafe_b64encode(b"[" * 10_000).decode(),
        encode_discovery_continuation("hr", PASS),
        forged(after="../../x"),
        forged(after=3),
        forged(pageToken=3),
        forged(failed=True),
        forged(jobs=[1, 2, 3]),
        forged(jobs="1234"),
        forged(parameters=[1, 2, 3, "4"]),
        forged(notSynced=[]),
        forged(beganAt="2026-11-22"),
        forged(beganAt=(NOW + timedelta(hours=1)).isoformat()),
    ],
)
def test_a_continuation_that_is_none_of_ours_is_refused(continuation: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        decode_discover(call({"continuation": continuation}), NAMES, NOW)
    assert refusal(wrong) == [("continuation", OF_SALES)]


def test_two_different_continuations_and_unknown_fields_are_refused() -> None:
    with pytest.raises(InvalidRequest) as wrong:
        decode_discover(call({"continuation": "a"}, continuation="b"), NAMES, NOW)
    assert refusal(wrong) == [("continuation", "differs between query and body; give it once")]
    with pytest.raises(InvalidRequest) as wrong:
        decode_discover(call({"pipelines": []}), NAMES, NOW)
    assert refusal(wrong) == [("pipelines", "is not a field of a discovery; there are workspace, continuation")]


# --- documents


def test_the_job_document() -> None:
    job = Job(
        pipeline_id="p1",
        name="orders",
        imported_at=NOW,
        synced_at=None,
        parameters={"spark.n": 7, "spark.secret": HiddenValue("0a")},
        full_refresh=FullRefresh(value=True, direction=Direction.BOTH),
    )
    assert encode_job_document(
        job, workspace=Workspace(name="sales", url="https://adb.example.net"), synced_at=NOW
    ) == {
        "externalId": "p1",
        "name": "orders",
        "jobType": "Databricks Pipeline",
        "platform": "Azure Databricks",
        "workspace": "sales",
        "monitorUrl": "https://adb.example.net/#joblist/pipelines/p1",
        "importedAt": "2026-11-22T09:00:00.000Z",
        "syncedAt": "2026-11-22T09:00:00.000Z",
        "accessible": True,
        "parameters": [
            {
                "name": "full_refresh",
                "value": True,
                "dataType": "Bool",
                "direction": "Input&Output",
                "forwarded": True,
                "hidden": False,
            },
            {
                "name": "spark.n",
                "value": 7,
                "dataType": "Int",
                "direction": "Input",
                "forwarded": False,
                "hidden": False,
            },
            {
                "name": "spark.secret",
                "value": None,
                "dataType": "String",
                "direction": "Input",
                "forwarded": False,
                "hidden": True,
            },
        ],
    }


def test_the_discovery_report_shows_long_values_cut() -> None:
    change = Change(job="p1", parameter="custom.x", kind=ChangeKind.CHANGED, before="x" * 30_000, after=False)
    report = DiscoveryReport(
        workspace="sales",
        tally=Tally(jobs=Counts(changed=1), parameters=Counts(changed=1, unchanged=4), failed=2),
        changes=(change,),
        rest=PASS,
    )
    assert encode_report(report, "go-on") == {
        "workspace": "sales",
        "jobs": {"added": 0, "changed": 1, "removed": 0, "unchanged": 0},
        "parameters": {"added": 0, "changed": 1, "removed": 0, "unchanged": 4},
        "failed": 2,
        "changes": [{"job": "p1", "parameter": "custom.x", "change": "changed", "from": "x" * 500 + "…", "to": False}],
        "complete": False,
        "continuation": "go-on",
    }
