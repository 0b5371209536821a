"""The event log on the wire: what is asked for, and that its texts are bounded, whatever Databricks answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.wire import event_log_api as api
from polysync_core.rules.wire.databricks_errors import decode_error
from polysync_core.values.databricks import EventsPage, Failure, LogEvent

AT = datetime(2026, 11, 22, 8, 0, 0, 125_000, tzinfo=UTC)
BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("since", "until", "page_token", "query"),
    [
        (None, None, None, {"order_by": "timestamp desc"}),
        (AT, None, None, {"order_by": "timestamp desc", "filter": "timestamp >= '2026-11-22T08:00:00.125Z'"}),
        (None, AT, None, {"order_by": "timestamp desc", "filter": "timestamp <= '2026-11-22T08:00:00.125Z'"}),
        (
            AT,
            AT.astimezone(BERLIN) + timedelta(hours=1),
            None,
            {
                "order_by": "timestamp desc",
                "filter": "timestamp >= '2026-11-22T08:00:00.125Z' AND timestamp <= '2026-11-22T09:00:00.125Z'",
            },
        ),
        (AT, AT, "t", {"page_token": "t"}),
    ],
)
def test_a_page_is_asked_for_by_its_times_or_by_its_token_and_never_by_both(
    since: datetime | None, until: datetime | None, page_token: str | None, query: dict[str, str]
) -> None:
    request = api.list_events("p-1", since=since, until=until, page_token=page_token)
    assert request.query == {"max_results": "250", **query}
    assert (request.method, request.path) == ("GET", "/api/2.0/pipelines/p-1/events")
    assert request.route == "/pipelines/{pipeline_id}/events", "the template for logs holds no id"


def test_error_events_are_asked_for_by_their_level() -> None:
    query = {"filter": "level='ERROR'", "order_by": "timestamp desc", "max_results": "250"}
    assert api.list_error_events("p-1").query == query


# --- answers


def read(entry: dict[str, object]) -> LogEvent:
    (event,) = api.decode_events_page({"events": [entry]}).events
    return event


def test_an_event_is_read_with_all_its_fields() -> None:
    event = read(
        {
            "id": "e-1",
            "timestamp": "2026-11-22T08:00:00.125Z",
            "level": "ERROR",
            "event_type": "update_progress",
            "message": "Update 27bc77 is FAILED.",
            "origin": {"update_id": "27BC77AA-0000-4000-8000-00000000000A"},
            "error": {
                "fatal": True,
                "exceptions": [{"class_name": "E", "message": "why", "stack": [{"file_name": "x.py"}]}, {}],
            },
            "details": {"update_progress": {"state": "FAILED"}},
        }
    )
    assert event == LogEvent(
        update_id="27bc77aa-0000-4000-8000-00000000000a",
        at=AT,
        level="ERROR",
        event_type="update_progress",
        message="Update 27bc77 is FAILED.",
        failures=(Failure(class_name="E", message="why"), Failure(class_name=None, message=None)),
    )


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"timestamp": None, "level": None, "event_type": None, "message": None, "origin": None, "error": None},
        {"timestamp": "soon", "level": 5, "event_type": [], "message": {}, "origin": [], "error": "x"},
        {"timestamp": True, "level": "", "message": "", "origin": {"update_id": "a/b"}, "error": {"exceptions": {}}},
        {"origin": {"update_id": 7}, "error": {"exceptions": [None, "E", 5]}},
    ],
)
def test_what_an_event_leaves_out_is_none(entry: dict[str, object]) -> None:
    nothing = LogEvent(update_id=None, at=None, level=None, event_type=None, message=None, failures=())
    assert read(entry) == nothing


@pytest.mark.parametrize("payload", [{}, {"events": None}, {"events": {}}, {"events": [None, 5, "e", []]}])
def test_a_page_without_events_is_empty(payload: dict[str, object]) -> None:
    assert api.decode_events_page(payload) == EventsPage(events=(), next_page_token=None)
    assert api.decode_events_page({**payload, "next_page_token": "t"}).next_page_token == "t"


def test_a_long_text_keeps_its_start_and_its_end_within_the_limit() -> None:
    text = f"front {'x' * 50_000} the end"
    event = read({"message": text, "error": {"exceptions": [{"class_name": "C" * 5_000, "message": text}]}})
    (failure,) = event.failures
    for shown, most in ((event.message, api.MAX_MESSAGE), (failure.message, api.MAX_FAILURE)):
        assert shown is not None
        assert len(shown) == most
        assert shown.startswith("front x")
        assert shown.endswith("x the end")
        assert "\n…\n" in shown
    assert failure.class_name == "C" * 200
    assert read({"message": "m" * api.MAX_MESSAGE}).message == "m" * api.MAX_MESSAGE


def test_of_many_exceptions_the_outermost_and_the_last_are_kept() -> None:
    exceptions = [{"class_name": f"E{number}"} for number in range(40)]
    event = read({"error": {"exceptions": exceptions}})
    assert [failure.class_name for failure in event.failures] == ["E0", "E36", "E37", "E38", "E39"]
    assert len(read({"error": {"exceptions": exceptions[:5]}}).failures) == 5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.text("ab", min_size=990, max_size=1010),
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.dictionaries(
            st.sampled_from(
                ["events", "error", "exceptions", "class_name", "message", "origin", "update_id", "timestamp", "level"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.lists(json_values, max_size=4))
def test_no_page_of_databricks_can_break_the_reading_or_its_bounds(entries: list[Any]) -> None:
    api.decode_error_events({"events": entries})
    for event in api.decode_events_page({"events": entries}).events:
        assert len(event.message or "") <= api.MAX_MESSAGE
        assert len(event.failures) <= api.MAX_FAILURES
        assert all(len(failure.message or "") <= api.MAX_FAILURE for failure in event.failures)


@pytest.mark.parametrize(
    ("status", "body", "may_be", "reason"),
    [
        (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid page_token 'x'."}, True, "a bad token"),
        (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "The page token does not exist."}, True, "gone"),
        (404, {"message": "The specified pipeline p-1 was not found."}, True, "perhaps the pipeline, asked next"),
        (404, {"error_code": "ENDPOINT_NOT_FOUND"}, False, "the route is unknown"),
        (400, {"message": "Invalid access token."}, False, "the app's token is refused"),
        (403, {"error_code": "PERMISSION_DENIED"}, False, "not permitted"),
        (429, {"error_code": "REQUEST_LIMIT_EXCEEDED"}, False, "busy"),
        (500, {"error_code": "INTERNAL_ERROR"}, False, "a fault"),
    ],
)
def test_which_errors_may_mean_an_old_page_token(status: int, body: dict[str, str], may_be: bool, reason: str) -> None:
    error = decode_error(status, {}, json.dumps(body).encode(), ["p-1"])
    assert api.may_be_old_token(error) is may_be, reason
