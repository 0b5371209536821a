"""The document of events, and a continuation that is valid only for its run."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.wire.event_document import (
    continuation_key,
    decode_events_continuation,
    encode_events,
    encode_events_continuation,
)
from polysync_core.values.databricks import EventsPage, Failure, LogEvent
from polysync_core.values.errors import InvalidRequest
from polysync_core.values.ids import RunId
from tests.rules.examples import NOW, make_call

RUN = RunId("p1", "u1")
KEY = continuation_key(b"a secret")
HOSTILE = '<img src=x onerror="alert(1)">\x00\x1b[31m\u202e{{secrets/s/k}}'
MAC = json.loads(base64.urlsafe_b64decode(encode_events_continuation(RUN, "t", KEY)))["mac"]
EVENT = LogEvent(
    update_id="u1",
    at=NOW,
    level="ERROR",
    event_type="flow_progress",
    message=HOSTILE,
    failures=(Failure(class_name="E", message=HOSTILE), Failure(class_name=None, message=None)),
)


def decoded(continuation: str | None, run_id: RunId = RUN) -> str | None:
    return decode_events_continuation(
        make_call(query={} if continuation is None else {"continuation": continuation}), run_id, KEY
    )


def packed(value: object) -> str:
    if isinstance(value, dict):
        value = {"mac": MAC, **value}
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def test_an_event_is_passed_on_as_it_is() -> None:
    nothing = LogEvent(update_id=None, at=None, level=None, event_type=None, message=None, failures=())
    assert encode_events(EventsPage(events=(EVENT, nothing), next_page_token=None), RUN, KEY) == {
        "items": [
            {
                "time": "2026-11-22T12:00:00.000Z",
                "level": "ERROR",
                "eventType": "flow_progress",
                "message": HOSTILE,
                "errors": [{"className": "E", "message": HOSTILE}, {"className": None, "message": None}],
            },
            {"time": None, "level": None, "eventType": None, "message": None, "errors": []},
        ],
        "continuation": None,
    }


@given(st.text(min_size=1))
def test_a_continuation_leads_back_to_its_page(page_token: str) -> None:
    document = encode_events(EventsPage(events=(), next_page_token=page_token), RUN, KEY)
    assert document["continuation"] is not None
    assert document["continuation"].isascii()
    assert decoded(document["continuation"]) == page_token


def test_without_one_the_list_begins_with_the_newest() -> None:
    assert decoded(None) is None


@pytest.mark.parametrize(
    ("continuation", "reason"),
    [
        ("", "empty"),
        ("ä", "not ASCII"),
        ("x", "not base64"),
        ("cmVjZW50fA==", "of another list"),
        (packed(None), "null"),
        (packed([]), "a list"),
        (packed({}), "an empty object"),
        (packed({"run": "p1:u1"}), "without a page"),
        (packed({"run": "p1:u1", "page": ""}), "an empty page"),
        (packed({"run": "p1:u1", "page": 5}), "a page of the wrong kind"),
        (encode_events_continuation(RunId("p1", "u2"), "t", KEY), "of another run"),
        (packed({"run": "p1:u1", "page": "t2"}), "a made-up page"),
        (packed({"run": "p1:u1", "page": "t", "mac": None}), "not signed"),
        (packed({"run": "p1:u1", "page": "t", "mac": "ä\ud800"}), "signed with other characters"),
        (encode_events_continuation(RUN, "t", continuation_key(b"another")), "signed with another key"),
        (base64.urlsafe_b64encode(b'{"run": "p1:u1", "page": "\\ud800"}').decode(), "half a surrogate pair"),
        (base64.urlsafe_b64encode(b"[" * 4_000).decode(), "nested deeply"),
    ],
)
def test_what_is_not_a_continuation_of_this_run_is_refused_by_name(continuation: str, reason: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decoded(continuation)
    (problem,) = refused.value.problems
    assert problem.field == "continuation", reason


def test_the_key_of_continuations_is_not_the_secret_that_other_keys_come_from() -> None:
    signed = encode_events_continuation(RUN, "t", b"a secret")
    with pytest.raises(InvalidRequest):
        decoded(signed)


def test_an_empty_page_is_none_also_if_it_is_signed() -> None:
    with pytest.raises(InvalidRequest):
        decoded(encode_events_continuation(RUN, "", KEY))


def test_a_continuation_is_of_one_run_alone() -> None:
    continuation = encode_events_continuation(RUN, "t", KEY)
    with pytest.raises(InvalidRequest):
        decoded(continuation, replace(RUN, pipeline_id="p2"))


@given(st.text())
def test_any_text_is_read_or_refused(continuation: str) -> None:
    with contextlib.suppress(InvalidRequest):
        decoded(continuation)
