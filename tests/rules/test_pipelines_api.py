"""The Pipelines API on the wire: the requests are exactly the documented ones, and no response is trusted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.wire import pipelines_api as api
from polysync_core.rules.wire.pipelines_api import ApiRequest
from polysync_core.values.databricks import ListedPipeline, PipelinesPage, SeenUpdate, UpdatesPage
from polysync_core.values.databricks_errors import DatabricksError
from polysync_core.values.ids import RunId
from polysync_core.values.start_options import NO_OPTIONS, StartOptions

RUN = RunId("p-1", "u-1")
CREATED = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def seen(**fields: Any) -> SeenUpdate:
    known: dict[str, Any] = {"update_id": "u-1", "state": None}
    return SeenUpdate(**(known | fields))


# --- requests


@pytest.mark.parametrize(
    ("request_", "method", "path", "query", "body"),
    [
        (
            api.start_update("p-1", True),
            "POST",
            "/api/2.0/pipelines/p-1/updates",
            {},
            {"pipeline_id": "p-1", "full_refresh": True},
        ),
        (api.get_update(RUN), "GET", "/api/2.0/pipelines/p-1/updates/u-1", {}, None),
        (api.list_updates("p-1"), "GET", "/api/2.0/pipelines/p-1/updates", {"max_results": "100"}, None),
        (
            api.list_updates("p-1", "t"),
            "GET",
            "/api/2.0/pipelines/p-1/updates",
            {"max_results": "100", "page_token": "t"},
            None,
        ),
        (api.list_pipelines(), "GET", "/api/2.0/pipelines", {"max_results": "100"}, None),
        (
            api.list_pipelines("t", 7),
            "GET",
            "/api/2.0/pipelines",
            {"max_results": "7", "page_token": "t"},
            None,
        ),
        (api.stop_update(RUN), "POST", "/api/2.0/pipelines/p-1/updates/u-1/stop", {}, None),
        (api.stop_pipeline("p-1"), "POST", "/api/2.0/pipelines/p-1/stop", {}, None),
    ],
)
def test_request(
    request_: ApiRequest, method: str, path: str, query: dict[str, str], body: dict[str, object] | None
) -> None:
    assert (request_.method, request_.path, request_.query, request_.body) == (method, path, query, body)
    route = path.removeprefix("/api/2.0").replace("p-1", "{pipeline_id}").replace("u-1", "{update_id}")
    assert request_.route == route, "the template for logs holds no id"


@pytest.mark.parametrize(("full_refresh", "text"), [(True, "true"), (False, "false")])
def test_the_trigger_body_is_the_missions_with_a_real_boolean_and_nothing_else(full_refresh: bool, text: str) -> None:
    body = api.start_update("p-1", full_refresh).body
    assert json.dumps(body) == f'{{"pipeline_id": "p-1", "full_refresh": {text}}}'


def test_start_options_are_sent_beside_the_missions_fields_by_the_names_of_databricks() -> None:
    options = StartOptions(refresh_selection=("b", "a"), full_refresh_selection=("c",), validate_only=True)
    assert api.start_update("p-1", False, options).body == {
        "pipeline_id": "p-1",
        "full_refresh": False,
        "refresh_selection": ["b", "a"],
        "full_refresh_selection": ["c"],
        "validate_only": True,
    }


@pytest.mark.parametrize(
    ("entry", "options", "partial_by"),
    [
        ({"refresh_selection": ["a", "b"]}, StartOptions(refresh_selection=("a", "b")), ("refresh_selection",)),
        ({"refresh_selection": [], "validate_only": False}, NO_OPTIONS, ()),
        ({"validate_only": True}, StartOptions(validate_only=True), ("validate_only",)),
        ({"validate_only": "true"}, NO_OPTIONS, ("validate_only",)),
        ({"refresh_selection": "a"}, NO_OPTIONS, ("refresh_selection",)),
        (
            {"full_refresh_selection": ["a", 1]},
            StartOptions(full_refresh_selection=("a",)),
            ("full_refresh_selection",),
        ),
        ({"rewind_spec": {"a": 1}}, NO_OPTIONS, ("rewind_spec",)),
    ],
)
def test_an_update_shows_its_start_options_and_what_else_makes_it_partial(
    entry: dict[str, Any], options: StartOptions, partial_by: tuple[str, ...]
) -> None:
    update = api.decode_update({"update": {"update_id": "u-1", **entry}}, RUN)
    assert (update.options, update.partial_by) == (options, partial_by)


def test_no_page_is_larger_than_databricks_allows() -> None:
    assert api.PAGE_SIZE <= 100


# --- successes


@pytest.mark.parametrize(
    ("given", "expected", "reason"),
    [
        (1_700_000_000_000, CREATED, "int milliseconds: GET of one update"),
        ("1700000000000", CREATED, "string milliseconds: the listing of pipelines"),
        ("2023-11-14T22:13:20Z", CREATED, "ISO 8601, seen in listings"),
        ("2023-11-15T00:13:20+02:00", CREATED, "ISO 8601 with an offset"),
        ("2023-11-14T22:13:20", CREATED, "ISO 8601 without one: UTC"),
        (1_700_000_000_123, CREATED.replace(microsecond=123_000), "milliseconds count"),
        (None, None, "missing"),
        ("", None, "empty"),
        ("soon", None, "no time"),
        (True, None, "a boolean is no number"),
        ({}, None, "an object"),
        (10**400, None, "far beyond any calendar"),
        ("9" * 400, None, "far beyond any calendar"),
        ("9" * 5000, None, "more digits than Python reads"),
        ("0001-01-01T00:00:00+14:00", None, "before the year 1 in UTC"),
        ("0001-01-01T00:00:00Z", None, "before what Table Storage holds"),
        (-11_644_473_600_001, None, "a millisecond before it"),
        (-11_644_473_600_000, datetime(1601, 1, 1, tzinfo=UTC), "the first that it holds"),
        ("9999-12-31T23:59:59Z", None, "no time can be added to it"),
    ],
)
def test_creation_time(given: object, expected: datetime | None, reason: str) -> None:
    update = api.decode_update({"update": {"update_id": "u-1", "creation_time": given}}, RUN)
    assert update.created_at == expected, reason
    assert update.created_at is None or update.created_at.utcoffset() == UTC.utcoffset(None)


def test_an_update_is_read_with_all_its_fields() -> None:
    payload = {
        "update": {
            "pipeline_id": "p-1",
            "update_id": "u-1",
            "state": "RUNNING",
            "cause": "API_CALL",
            "creation_time": 1_700_000_000_000,
            "full_refresh": True,
            "config": {"never": "mind"},
        }
    }
    expected = seen(state="RUNNING", cause="API_CALL", created_at=CREATED, full_refresh=True)
    assert api.decode_update(payload, RUN) == expected


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({}, "nothing but its id"),
        ({"state": None, "cause": None, "full_refresh": None}, "nulls"),
        ({"state": "", "cause": ""}, "empty texts"),
        ({"state": 5, "cause": [], "full_refresh": "true", "creation_time": []}, "wrong kinds"),
    ],
)
def test_what_an_update_leaves_out_is_none(entry: dict[str, object], reason: str) -> None:
    assert api.decode_update({"update": {"update_id": "u-1", **entry}}, RUN) == seen(), reason


@pytest.mark.parametrize(
    "payload", [{}, {"update": None}, {"update": []}, {"update": {}}, {"update": {"update_id": "a/b"}}]
)
def test_an_answer_without_the_update_is_an_error(payload: dict[str, object]) -> None:
    with pytest.raises(DatabricksError, match="without the update"):
        api.decode_update(payload, RUN)


@pytest.mark.parametrize(
    "other", [{"update_id": "u-2"}, {"update_id": "u-1", "pipeline_id": "p-2"}, {"update_id": "u-1", "pipeline_id": 7}]
)
def test_an_answer_about_another_update_is_an_error(other: dict[str, object]) -> None:
    with pytest.raises(DatabricksError, match="another update"):
        api.decode_update({"update": {**other, "state": "COMPLETED"}}, RUN)


def test_the_case_of_a_pipelines_id_makes_no_other_update() -> None:
    update = {"update_id": "u-1", "pipeline_id": "P-1", "state": "COMPLETED"}
    assert api.decode_update({"update": update}, RUN).state == "COMPLETED"


def test_the_started_updates_id_is_read() -> None:
    assert api.decode_update_id({"update_id": "27bc77", "request_id": "x"}) == "27bc77"


@pytest.mark.parametrize("given", [None, "", 5, "../x", "a b", "a" * 65, ["u"]])
def test_a_start_without_a_usable_update_id_is_an_error_of_unknown_outcome(given: object) -> None:
    with pytest.raises(DatabricksError) as caught:
        api.decode_update_id({} if given is None else {"update_id": given})
    assert caught.value.databricks_status == 200


def test_a_page_of_updates_keeps_their_order_and_leaves_garbage_out() -> None:
    garbage: list[object] = [None, 5, "u", [], {}, {"update_id": 7}, {"update_id": "a/b"}]
    payload = {"updates": [{"update_id": "u2"}, *garbage, {"update_id": "u1"}], "next_page_token": "t"}
    page = api.decode_updates_page(payload)
    assert [update.update_id for update in page.updates] == ["u2", "u1"]
    assert page.next_page_token == "t"


def test_a_page_of_pipelines_is_read_with_string_creation_times() -> None:
    latest = [{"update_id": "u-1", "state": "RUNNING", "creation_time": "1700000000000"}, "garbage"]
    garbage: list[object] = [None, 5, [], {}, {"pipeline_id": 7}, {"pipeline_id": "a/b", "name": "x"}]
    payload = {"statuses": [*garbage, {"pipeline_id": "p-1", "name": "sales", "latest_updates": latest}]}
    page = api.decode_pipelines_page(payload)
    assert page.next_page_token is None
    assert page.pipelines == (
        ListedPipeline(
            pipeline_id="p-1",
            name="sales",
            latest_updates=(seen(state="RUNNING", created_at=CREATED, pipeline_name="sales"),),
        ),
    )


@pytest.mark.parametrize(
    "payload", [{}, {"statuses": None}, {"statuses": {}}, {"statuses": []}, {"next_page_token": ""}]
)
def test_a_page_without_entries_is_empty_and_the_last(payload: dict[str, object]) -> None:
    assert api.decode_pipelines_page(payload) == PipelinesPage(pipelines=(), next_page_token=None)
    assert api.decode_updates_page(payload) == UpdatesPage(updates=(), next_page_token=None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["update", "updates", "statuses", "pipeline_id", "update_id", "creation_time", "state"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["update", "updates", "statuses", "next_page_token"]), json_values))
def test_no_page_of_databricks_can_break_the_reading(payload: dict[str, object]) -> None:
    api.decode_updates_page(payload)
    api.decode_pipelines_page(payload)


# --- errors


@given(st.integers(min_value=200, max_value=599), st.binary(max_size=60))
def test_any_answer_is_an_object_or_a_databricks_error(status: int, body: bytes) -> None:
    try:
        payload = api.decode_answer(api.list_updates("p-1"), status, {}, body)
    except DatabricksError:
        return
    assert status < 300
    assert isinstance(payload, dict)


@pytest.mark.parametrize("request_", [api.stop_update(RUN), api.stop_pipeline("p-1")])
def test_a_stop_needs_to_say_nothing(request_: ApiRequest) -> None:
    assert api.decode_answer(request_, 200, {}, b" ") == {}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"name": "a\\ud800b"}', "a\N{REPLACEMENT CHARACTER}b"),
        (b'{"name": "\\uDE00"}', "\N{REPLACEMENT CHARACTER}"),
        (b'{"name": "\\ud83d\\ude00"}', "😀"),
        (b'{"name": "\\\\ud800"}', "\\ud800"),
        (b'\xef\xbb\xbf{"name": "a"}', "a"),
    ],
)
def test_halves_of_surrogate_pairs_are_replaced_wherever_they_stand(body: bytes, name: str) -> None:
    assert api.decode_answer(api.list_updates("p-1"), 200, {}, body) == {"name": name}


@pytest.mark.parametrize("body", [b"", b" ", b"[]", b"null", b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_a_success_that_is_not_an_object_is_a_bad_gateway(body: bytes) -> None:
    with pytest.raises(DatabricksError, match="not a JSON object") as caught:
        api.decode_answer(api.list_updates("p-1"), 200, {}, body)
    assert caught.value.http_status == 502


@pytest.mark.parametrize(
    ("payload", "parameters", "reason"),
    [
        ({"spec": {}}, {}, "none"),
        ({"spec": {}, "parameters": {"a": "1"}}, {"a": "1"}, "beside spec"),
        ({"spec": {"parameters": {"a": "1"}}}, {"a": "1"}, "within spec"),
        ({"spec": {"parameters": {"a": "1", "b": "2"}}, "parameters": {"a": "3"}}, {"a": "3", "b": "2"}, "both"),
        ({"spec": {"parameters": []}, "parameters": "x"}, {}, "of the wrong kind"),
        ({"spec": {"parameters": None}, "parameters": None}, {}, "null"),
    ],
)
def test_a_pipeline_s_own_parameters_are_read(
    payload: dict[str, object], parameters: dict[str, str], reason: str
) -> None:
    assert api.decode_pipeline(payload).parameters == parameters, reason
