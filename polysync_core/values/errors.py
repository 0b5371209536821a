"""Every error that Polysync raises on purpose. The app answers each with a problem document. Any other error is a bug.

PolysyncError
├── SettingsError          503  settings are missing or contradictory; the error names all of them
├── InvalidRequest         400  a field of the request is wrong; the error names it and the allowed values
│   └── BodyTooLarge       413
├── RunNotFound            404  there is no such run, or no active run of this app
├── JobNotFound            404  there is no such job; the detail says how to import it
├── ParameterReadOnly      409  the parameter can be changed only in Databricks
├── JobTooLarge            422  the pipeline's configuration does not fit into a row
├── UpdateConflict         409  the pipeline has an active update, or a start in flight
├── TooManyCallbacks       409  the run already has as many callbacks as it can have
├── CallbacksNotOwed       409  the run is active, so its callbacks are not sent yet
├── KeyReused              422  the Idempotency-Key came with a different request before
├── KeyInFlight            503  the first request with the Idempotency-Key is still being handled
├── StartUnknown           504  the outcome of a start is unknown; it is never repeated, and a sweep settles it
├── DatabricksError             Databricks answered, but not with the requested result
│   ├── PermissionRefused  403  it refuses the app's identity, or its token even after a new one
│   ├── DatabricksNetworkRefused 403  it refuses the network that the app comes from
│   └── DatabricksSignInPage 503  a sign-in page came, so the address is not a workspace's API
├── DatabricksUnreachable  503  no answer came; 504 when the request was sent, so its outcome is unknown
├── TokenUnavailable       503  Entra ID gave no token
├── TooBusy                503  a change failed again and again, because others changed the same row
└── StorageUnavailable     503  Table Storage did not answer, or its answer was not usable
    └── RowUnreadable           a stored row cannot be read
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

PERMISSION_HINT = (
    "Add this app's service principal (its managed identity) to the workspace and give it Can Run on the pipeline."
)

WRONG_TENANT_HINT = (
    "The token is of the wrong tenant or for the wrong audience. Check the workspace's address, and that the app's "
    "identity is of the tenant that the workspace belongs to."
)
NETWORK_HINT = (
    "Connect the app to a virtual network that the workspace lets in (VNet integration), or add the app's outbound "
    "addresses to the workspace's IP access list."
)
SIGN_IN_HINT = (
    "Set the workspace's own address, like https://adb-1234567890123456.7.azuredatabricks.net; if it is right, a proxy "
    "or gateway between asks people to sign in."
)


def as_sentence(text: str) -> str:
    """`text` with a full stop, unless it already ends like a sentence, so that another sentence can follow."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


class PolysyncError(Exception):
    """The base class. `code` is for programs, and the text is for a person. Neither holds a secret or a URL's query."""

    code = "PolysyncError"
    http_status = 500
    title = "Something went wrong"

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return self.detail

    def members(self) -> Mapping[str, object]:
        """Further members of the problem document."""
        return {}

    def with_hint(self, hint: str) -> Self:
        """Return a copy of this error with `hint` added to its text."""
        # copy() would call __init__, whose arguments differ from class to class.
        hinted = self.__class__.__new__(self.__class__, *self.args)
        hinted.__dict__.update(self.__dict__)
        hinted.detail = f"{as_sentence(self.detail)} {hint}"
        return hinted


class SettingsError(PolysyncError):
    code, http_status, title = "SettingsInvalid", 503, "The app's settings are missing or contradictory"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems), retry_after_seconds=60)
        self.problems = tuple(problems)

    def members(self) -> Mapping[str, object]:
        return {"settings": list(self.problems)}


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldProblem:
    """What is wrong with one field. `given` is the value as bounded text, or None if the value may be a secret."""

    field: str
    allowed: str
    given: str | None = None

    def sentence(self) -> str:
        shown = "" if self.given is None else f", given {self.given}"
        return f"{self.field}: {self.allowed}{shown}."


class InvalidRequest(PolysyncError):
    code, http_status, title = "InvalidRequest", 400, "The request is not valid"

    def __init__(self, *problems: FieldProblem) -> None:
        super().__init__(" ".join(problem.sentence() for problem in problems))
        self.problems = problems

    def members(self) -> Mapping[str, object]:
        return {
            "errors": [
                {"field": problem.field, "given": problem.given, "allowed": problem.allowed}
                for problem in self.problems
            ]
        }


class BodyTooLarge(InvalidRequest):
    code, http_status, title = "BodyTooLarge", 413, "The request's body is too large"


class RunNotFound(PolysyncError):
    code, http_status, title = "RunNotFound", 404, "No such run"


class JobNotFound(PolysyncError):
    code, http_status, title = "JobNotFound", 404, "No such job"

    def __init__(self, pipeline_id: str, workspace: str) -> None:
        super().__init__(
            f"There is no job {pipeline_id} in workspace {workspace}. "
            "A discovery imports the workspace's pipelines: POST /api/jobs/discover."
        )


class ParameterReadOnly(PolysyncError):
    code, http_status, title = "ParameterReadOnly", 409, "This parameter is changed in Databricks"


class JobTooLarge(PolysyncError):
    code, http_status, title = "JobTooLarge", 422, "The pipeline's configuration is too large"


class UpdateConflict(PolysyncError):
    """The pipeline is busy. `active` names the active update, its page and its run (if the app tracks the update)."""

    code, http_status, title = "ActiveUpdateExists", 409, "The pipeline already has an active update"

    def __init__(
        self,
        detail: str,
        *,
        active: Mapping[str, object] | None = None,
        databricks: Mapping[str, object] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self.active = active
        self.databricks = databricks

    def members(self) -> Mapping[str, object]:
        shown: dict[str, object] = {"active": self.active}
        if self.databricks is not None:
            shown["databricks"] = self.databricks
        return shown


class TooManyCallbacks(PolysyncError):
    code, http_status, title = "TooManyCallbacks", 409, "The run has as many callbacks as it can have"


class CallbacksNotOwed(PolysyncError):
    code, http_status, title = "RunActive", 409, "The run is not finished"


class KeyReused(PolysyncError):
    code, http_status, title = "IdempotencyKeyReused", 422, "The Idempotency-Key belongs to another request"


class KeyInFlight(PolysyncError):
    code, http_status, title = "IdempotencyKeyInFlight", 503, "The first request with this key is still being handled"


class StartUnknown(PolysyncError):
    """`databricks` is the response of Databricks to the start, or None if there was none."""

    code, http_status, title = "StartUnknown", 504, "It is not known yet whether the update was started"

    def __init__(
        self, detail: str, *, retry_after_seconds: int | None = None, databricks: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self._databricks = databricks

    def members(self) -> Mapping[str, object]:
        return {} if self._databricks is None else {"databricks": self._databricks}


class DatabricksError(PolysyncError):
    """A response of Databricks that is not a success.

    `databricks_status` is its HTTP status. `error_code` is its code as text, or None if missing. `says` is its message,
    cut to a limit. `does_not_exist` and `route_unknown` are two kinds of 404. A 404 of neither kind is about something
    else and proves nothing. `hint` is the remedy, if one remedy fits all errors of the class.
    rules/wire/databricks_errors distinguishes the kinds.
    """

    code, title = "DatabricksError", "Databricks refused the call"
    hint = ""

    def __init__(
        self,
        detail: str,
        *,
        databricks_status: int,
        error_code: str | None = None,
        says: str = "",
        does_not_exist: bool = False,
        route_unknown: bool = False,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(as_sentence(detail), retry_after_seconds=retry_after_seconds)
        self.databricks_status = databricks_status
        self.error_code = error_code
        self.says = says
        self.does_not_exist = does_not_exist
        self.route_unknown = route_unknown
        passed_on = databricks_status in {400, 403, 404, 409, 429}
        self.http_status = databricks_status if passed_on else 502

    @property
    def is_busy(self) -> bool:
        """Whether Databricks did not accept the call and asks for a retry later."""
        return self.databricks_status in {429, 503}

    @property
    def is_transient(self) -> bool:
        """Whether a retry of a read may succeed."""
        return self.databricks_status in {408, 429, 500, 502, 503, 504}

    @property
    def refuses_app(self) -> bool:
        """Whether the response is about this app or its network path. Every other call would then fail too."""
        return self.databricks_status == 401

    def members(self) -> Mapping[str, object]:
        return {"databricks": self.as_member()}

    def as_member(self) -> Mapping[str, object]:
        """Return the response of Databricks as the problem's `databricks` member."""
        return {"status": self.databricks_status, "error_code": self.error_code, "message": self.says}


class PermissionRefused(DatabricksError):
    """If `refuses_token` is true, the refusal is about the app's token and not about the requested object."""

    code, title = "DatabricksPermissionDenied", "Databricks does not let this app do that"

    def __init__(
        self, says: str, *, databricks_status: int, error_code: str | None, refuses_token: bool = False
    ) -> None:
        what, hint = ("token", WRONG_TENANT_HINT) if refuses_token else ("identity", PERMISSION_HINT)
        super().__init__(
            f"Databricks refused this app's {what}: {as_sentence(says or 'no reason given')} {hint}",
            databricks_status=databricks_status,
            error_code=error_code,
            says=says,
        )
        self.hint = hint
        self.refuses_token = refuses_token
        self.http_status = 403

    @property
    def refuses_app(self) -> bool:
        return self.refuses_token or self.databricks_status == 401


class DatabricksNetworkRefused(DatabricksError):
    """Databricks refuses the app's network. This affects every call to the workspace, not just one job or update."""

    code, title = "DatabricksNetworkRefused", "Databricks' network rules do not let this app in"
    hint = NETWORK_HINT

    def __init__(self, trouble: str, *, databricks_status: int, error_code: str | None, says: str) -> None:
        super().__init__(
            f"The workspace refuses the network that the app comes from: {trouble}. {self.hint}",
            databricks_status=databricks_status,
            error_code=error_code,
            says=says,
        )
        self.http_status = 403

    @property
    def refuses_app(self) -> bool:
        return True


class DatabricksSignInPage(DatabricksError):
    code, title = "DatabricksSignInPage", "The workspace's address answers with a sign-in page"
    hint = SIGN_IN_HINT

    def __init__(self, *, databricks_status: int, says: str = "") -> None:
        super().__init__(
            f"The workspace's address answers {databricks_status} with a page to sign in at. {self.hint}",
            databricks_status=databricks_status,
            says=says,
            retry_after_seconds=60,
        )
        self.http_status = 503

    @property
    def refuses_app(self) -> bool:
        return True


class DatabricksUnreachable(PolysyncError):
    """No usable response came. If `was_sent` is false, the request was never sent, so nothing happened."""

    code, title = "DatabricksUnreachable", "Databricks did not answer"

    def __init__(self, detail: str, *, was_sent: bool) -> None:
        super().__init__(detail, retry_after_seconds=15)
        self.was_sent = was_sent
        self.http_status = 504 if was_sent else 503


class TokenUnavailable(PolysyncError):
    code, http_status, title = "TokenUnavailable", 503, "Entra ID gave no token"


class TooBusy(PolysyncError):
    code, http_status, title = "TooBusy", 503, "Too many changes at once"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, retry_after_seconds=5)


class StorageUnavailable(PolysyncError):
    code, http_status, title = "StorageUnavailable", 503, "Table Storage did not answer"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, retry_after_seconds=15)


class RowUnreadable(StorageUnavailable):
    code, title = "RowUnreadable", "A stored row cannot be read"
