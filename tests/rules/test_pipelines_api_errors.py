"""An error of Databricks is decoded by its HTTP status, then by its error_code, and never by its message."""

from __future__ import annotations

import json

import pytest

from polysync_core.rules.wire import pipelines_api as api
from polysync_core.values.databricks_errors import PERMISSION_HINT, DatabricksError, PermissionRefused


def refused(status: int, body: bytes, headers: dict[str, str] | None = None) -> DatabricksError:
    with pytest.raises(DatabricksError) as caught:
        api.decode_answer(api.list_updates("p"), status, headers or {}, body)
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "code", "says", "reason"),
    [
        (400, b'{"error_code": "INVALID_STATE", "message": "no"}', "INVALID_STATE", "no", "the usual form"),
        (409, b'{"error_code": 409, "message": "busy"}', "409", "busy", "an integer error_code"),
        (409, b'{"message": "An active update exists"}', None, "An active update exists", "no error_code"),
        (400, b'{"error_code": null, "message": "no"}', None, "no", "a null error_code"),
        (400, b'{"error_code": [], "message": {}}', None, "", "wrong kinds"),
        (400, b"{}", None, "", "an empty object"),
        (500, b"", None, "", "an empty body"),
        (500, b"upstream  went\naway", None, "upstream went away", "plain text, in one line"),
        (
            502,
            b"<html><head><title>502</title></head><body>Bad <b>Gateway</b></body></html>",
            None,
            "502 Bad Gateway",
            "HTML: its text only",
        ),
        (500, b"\xff\xfe\xfa", None, "\N{REPLACEMENT CHARACTER}" * 3, "bytes that are no UTF-8"),
        (400, b'{"message": "one\\n  two"}', None, "one two", "one line"),
        (
            400,
            b'{"error_code": "E\\uDFFF", "message": "\\ud83d\\ude00 \\ud800"}',
            "E\N{REPLACEMENT CHARACTER}",
            "😀 \N{REPLACEMENT CHARACTER}",
            "halves of surrogate pairs",
        ),
    ],
)
def test_error_is_read(status: int, body: bytes, code: str | None, says: str, reason: str) -> None:
    error = refused(status, body)
    assert (error.databricks_status, error.error_code, error.says) == (status, code, says), reason
    assert str(status) in error.detail
    assert "\n" not in error.detail


@pytest.mark.parametrize("body", [b"x" * 50_000, b'{"error_code": "E", "message": "' + b"x" * 50_000 + b'"}'])
def test_what_databricks_says_is_bounded(body: bytes) -> None:
    assert len(refused(500, body).detail) < 1200


@pytest.mark.parametrize(
    ("status", "body", "does_not_exist", "route_unknown", "reason"),
    [
        (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}', True, False, "the update or pipeline does not exist"),
        (404, b'{"message": "The specified pipeline p was not found."}', True, False, "seen without a code"),
        (404, b'{"error_code": 404}', False, False, "an integer code proves nothing"),
        (404, b'{"error_code": "ENDPOINT_NOT_FOUND"}', False, True, "the route does not exist"),
        (404, b"<html>not found</html>", False, True, "HTML proves nothing about an update"),
        (404, b"", False, True, "an empty body proves nothing"),
        (404, b"not found", False, True, "plain text proves nothing"),
        (404, b"[]", False, True, "no object proves nothing"),
        (400, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}', False, False, "the status comes first"),
        (400, b'{"error_code": "ENDPOINT_NOT_FOUND"}', False, False, "the status comes first"),
        (500, b"<html>", False, False, "no 404"),
    ],
)
def test_the_two_kinds_of_404(status: int, body: bytes, does_not_exist: bool, route_unknown: bool, reason: str) -> None:
    error = refused(status, body)
    assert (error.does_not_exist, error.route_unknown) == (does_not_exist, route_unknown), reason


@pytest.mark.parametrize(
    ("value", "expected", "reason"),
    [
        ("7", 7, "whole seconds"),
        (" 7 ", 7, "with blanks around"),
        ("0", 0, "at once"),
        (None, None, "missing"),
        ("", None, "empty"),
        ("-1", None, "negative"),
        ("1.5", None, "a fraction"),
        ("Sun, 22 Nov 2026 12:00:40 GMT", 40, "a date"),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0, "a date that has passed"),
        ("Mon, 22 Nov 2027 12:00:00 GMT", None, "a date in a year"),
        ("Sun, 22 Nov 2026 12:00:40", None, "a date without its zone"),
        ("soon", None, "a word"),
        ("٣", None, "a digit beyond ASCII"),
        ("9999999", None, "months"),
        ("9" * 5000, None, "more digits than Python reads"),
    ],
)
def test_retry_after(value: str | None, expected: int | None, reason: str) -> None:
    date = {"Date": "Sun, 22 Nov 2026 12:00:00 GMT"}
    error = refused(429, b"{}", date if value is None else {**date, "Retry-After": value})
    assert error.retry_after_seconds == expected, reason
    assert error.http_status == 429


@pytest.mark.parametrize("date", [{}, {"Date": "today"}])
def test_a_date_to_retry_at_counts_as_missing_if_nobody_knows_from_when(date: dict[str, str]) -> None:
    assert refused(429, b"{}", {**date, "Retry-After": "Sun, 22 Nov 2026 12:00:40 GMT"}).retry_after_seconds is None


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"error_code": "PERMISSION_DENIED", "message": "User lacks Can Run"}', "User lacks Can Run"),
        (b"<html><body>Invalid access token</body></html>", "Invalid access token"),
        (b"", ""),
    ],
)
def test_401_and_403_are_permission_problems(status: int, body: bytes, says: str) -> None:
    error = refused(status, body)
    assert isinstance(error, PermissionRefused)
    assert (error.databricks_status, error.says, error.http_status) == (status, says, 403)
    assert error.members() == {
        "databricks": {"status": status, "error_code": error.error_code, "message": says},
    }


@pytest.mark.parametrize("status", [300, 302, 400, 404, 408, 409, 429, 500, 503])
def test_no_other_error_is_a_permission_problem(status: int) -> None:
    assert type(refused(status, b'{"error_code": "PERMISSION_DENIED"}')) is DatabricksError


def test_the_hint_for_a_400_on_start_is_the_missions() -> None:
    for word in ("400", "idle", "target storage", "cluster policy", "missing"):
        assert word in api.START_HINTS[400]


@pytest.mark.parametrize("says", ["storage missing", "storage missing.", "Storage missing?", ""])
@pytest.mark.parametrize("status", [400, 403, 500])
def test_databricks_message_ends_like_a_sentence_before_ours_follows(says: str, status: int) -> None:
    error = refused(status, json.dumps({"message": says}).encode())
    told = error.detail.removesuffix(f" {PERMISSION_HINT}")
    assert told.endswith(f": {says or 'no reason given'}".rstrip(".") + ("" if says.endswith("?") else "."))
    assert error.says == says
