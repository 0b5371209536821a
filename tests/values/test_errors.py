"""The error classes match the tree in the docstring of errors.py."""

from __future__ import annotations

import inspect
import re

import pytest

from polysync_core.values import databricks_errors, errors
from polysync_core.values.databricks_errors import (
    DatabricksError,
    DatabricksNetworkRefused,
    DatabricksSignInPage,
    DatabricksUnreachable,
    PermissionRefused,
    PipelineNotFound,
    TokenUnavailable,
)
from polysync_core.values.errors import (
    AllWorkspacesFailed,
    BodyTooLarge,
    CallbacksNotOwed,
    ContinuationExpired,
    FieldProblem,
    InvalidRequest,
    JobNotFound,
    JobTooLarge,
    KeyInFlight,
    KeyReused,
    NotSignedIn,
    PageFileNotFound,
    ParameterReadOnly,
    PolysyncError,
    RoleMissing,
    RowUnreadable,
    RunFinished,
    RunGivenUp,
    RunNotFound,
    SettingsError,
    SignInUnavailable,
    StartUnknown,
    StorageUnavailable,
    TooBusy,
    TooManyAwaitKeys,
    TooManyCallbacks,
    UpdateConflict,
    WorkspaceNotFound,
)

PROBLEM = FieldProblem(field="limit", allowed="must be from 1 to 200", given="0")
EXAMPLES: list[tuple[PolysyncError, type[PolysyncError], str, int]] = [
    (SettingsError(["DATABRICKS_HOST: is missing."]), PolysyncError, "SettingsInvalid", 503),
    (InvalidRequest(PROBLEM), PolysyncError, "InvalidRequest", 400),
    (BodyTooLarge(PROBLEM), InvalidRequest, "BodyTooLarge", 413),
    (NotSignedIn("x", "Bearer"), PolysyncError, "NotSignedIn", 401),
    (RoleMissing("x"), PolysyncError, "RoleMissing", 403),
    (WorkspaceNotFound("x"), PolysyncError, "WorkspaceNotFound", 404),
    (SignInUnavailable("x"), PolysyncError, "SignInUnavailable", 503),
    (RunNotFound("x"), PolysyncError, "RunNotFound", 404),
    (PageFileNotFound("x"), PolysyncError, "PageFileNotFound", 404),
    (ContinuationExpired("x"), PolysyncError, "ContinuationExpired", 410),
    (JobNotFound("p1", "w"), PolysyncError, "JobNotFound", 404),
    (ParameterReadOnly("x"), PolysyncError, "ParameterReadOnly", 409),
    (JobTooLarge("x"), PolysyncError, "JobTooLarge", 422),
    (UpdateConflict("x"), PolysyncError, "ActiveUpdateExists", 409),
    (RunGivenUp("x", code="RunAbandoned"), UpdateConflict, "RunAbandoned", 409),
    (RunFinished("x"), PolysyncError, "RunFinished", 409),
    (TooManyCallbacks("x"), PolysyncError, "TooManyCallbacks", 409),
    (TooManyAwaitKeys("x"), PolysyncError, "TooManyAwaitKeys", 409),
    (CallbacksNotOwed("x"), PolysyncError, "RunActive", 409),
    (KeyReused("x"), PolysyncError, "IdempotencyKeyReused", 422),
    (KeyInFlight("x"), PolysyncError, "IdempotencyKeyInFlight", 503),
    (StartUnknown("x"), PolysyncError, "StartUnknown", 504),
    (DatabricksError("x", databricks_status=500), PolysyncError, "DatabricksError", 502),
    (PipelineNotFound("x", databricks_status=404), DatabricksError, "PipelineNotFound", 404),
    (
        PermissionRefused("x", databricks_status=401, error_code=None),
        DatabricksError,
        "DatabricksPermissionDenied",
        403,
    ),
    (
        DatabricksNetworkRefused("x", databricks_status=302, error_code=None, says=""),
        DatabricksError,
        "DatabricksNetworkRefused",
        403,
    ),
    (DatabricksSignInPage(databricks_status=200), DatabricksError, "DatabricksSignInPage", 503),
    (DatabricksUnreachable("x", was_sent=False), PolysyncError, "DatabricksUnreachable", 503),
    (TokenUnavailable("x"), PolysyncError, "TokenUnavailable", 503),
    (TooBusy("x"), PolysyncError, "TooBusy", 503),
    (StorageUnavailable("x"), PolysyncError, "StorageUnavailable", 503),
    (RowUnreadable("x"), StorageUnavailable, "RowUnreadable", 503),
    (AllWorkspacesFailed({"w": "x"}), PolysyncError, "AllWorkspacesFailed", 503),
]


def drawn() -> dict[str, tuple[int, int | None]]:
    """Return the classes of the drawn tree: name -> (depth, status or None)."""
    found = re.findall(r"^([│ ]*)[├└]── (\w+) +(\d{3})?", errors.__doc__ or "", re.MULTILINE)
    return {name: (len(indent) // 4 + 1, int(status) if status else None) for indent, name, status in found}


@pytest.mark.parametrize(
    ("error", "parent", "code", "status"), EXAMPLES, ids=[type(example[0]).__name__ for example in EXAMPLES]
)
def test_each_error_has_its_code_status_and_place(
    error: PolysyncError, parent: type[PolysyncError], code: str, status: int
) -> None:
    assert type(error).__bases__ == (parent,)
    assert (error.code, error.http_status) == (code, status)
    depth, shown = drawn()[type(error).__name__]
    assert depth == len(type(error).__mro__) - len(PolysyncError.__mro__), "its depth in the drawing"
    assert shown in {None, status}, "its status in the drawing"


def test_the_drawing_and_the_examples_name_every_error() -> None:
    classes = {
        name
        for module in (errors, databricks_errors)
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, PolysyncError) and value is not PolysyncError
    }
    assert classes == set(drawn())
    assert classes == {type(error).__name__ for error, *_ in EXAMPLES}


def test_codes_are_all_different() -> None:
    codes = [error.code for error, *_ in EXAMPLES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        (400, 400, "passed on"),
        (403, 403, "passed on"),
        (404, 404, "passed on"),
        (409, 409, "passed on"),
        (429, 429, "passed on"),
        (401, 502, "its own 401 would be taken for the host's"),
        (408, 502, "not the caller's fault"),
        (500, 502, "Databricks' fault, not ours"),
        (503, 502, "Databricks' fault, not ours"),
        (200, 502, "a success that says nothing"),
        (302, 502, "a redirect"),
    ],
)
def test_databricks_own_status_is_passed_on_or_a_bad_gateway(given: int, status: int, reason: str) -> None:
    assert DatabricksError("x", databricks_status=given).http_status == status, reason


def test_databricks_words_are_a_member_of_the_problem() -> None:
    error = DatabricksError("x", databricks_status=400, error_code="INVALID_STATE", says="no")
    assert error.members() == {"databricks": {"status": 400, "error_code": "INVALID_STATE", "message": "no"}}


@pytest.mark.parametrize("status", [401, 403])
def test_a_permission_problem_names_the_remedy(status: int) -> None:
    error = PermissionRefused("not you", databricks_status=status, error_code="PERMISSION_DENIED")
    assert error.http_status == 403
    assert "not you" in error.detail
    assert "service principal" in error.detail
    assert "Can Run" in error.detail


@pytest.mark.parametrize(("was_sent", "status"), [(False, 503), (True, 504)])
def test_no_answer_is_504_only_if_the_request_had_left(was_sent: bool, status: int) -> None:
    error = DatabricksUnreachable("x", was_sent=was_sent)
    assert error.http_status == status
    assert error.retry_after_seconds is not None


def test_all_bad_settings_are_named_together() -> None:
    error = SettingsError(["A: is missing.", "B: is wrong."])
    assert error.detail == "A: is missing. B: is wrong."
    assert error.members() == {"settings": ["A: is missing.", "B: is wrong."]}


def test_a_bad_field_is_named_with_what_was_given_and_what_is_allowed() -> None:
    error = InvalidRequest(PROBLEM, FieldProblem(field="key", allowed="must be short"))
    assert error.detail == "limit: must be from 1 to 200, given 0. key: must be short."
    assert error.members() == {
        "errors": [
            {"field": "limit", "given": "0", "allowed": "must be from 1 to 200"},
            {"field": "key", "given": None, "allowed": "must be short"},
        ]
    }


def test_a_conflict_names_the_active_update_and_databricks_message_if_there_is_one() -> None:
    assert UpdateConflict("x", active={"updateId": "u"}).members() == {"active": {"updateId": "u"}}
    assert UpdateConflict("x", databricks={"status": 409}).members() == {
        "active": None,
        "databricks": {"status": 409},
    }


def test_a_timers_failure_names_the_first_workspaces_with_their_reasons() -> None:
    error = AllWorkspacesFailed({name: f"{name} is away" for name in "edcba"})
    assert error.detail == (
        "It failed in every workspace. a: a is away. b: b is away. c: c is away. The log names 2 more."
    )
