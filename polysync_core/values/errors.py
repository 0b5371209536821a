"""Every error that Polysync raises on purpose. function_app answers each as a problem; anything else is a bug.

PolysyncError
├── SettingsError          503  settings missing or contradictory; names all of them
├── InvalidRequest         400  a field of the request; names it, what was given, what is allowed
│   └── BodyTooLarge       413
├── NotSignedIn            401  no access token, or one that is not accepted
├── RoleMissing            403  the caller may see it, and may not do this; names the role
├── WorkspaceNotFound      404  no such workspace, or the caller may not see it
├── SignInUnavailable      503  Entra ID's signing keys cannot be fetched
├── RunNotFound            404  no such run, or nothing of ours active
├── PageFileNotFound       404  the page has no such file
├── ContinuationExpired    410  a list cannot go on from there any more; it starts again without the continuation
├── JobNotFound            404  no such job; the detail says how to import it
├── ParameterReadOnly      409  a parameter that only Databricks changes
├── JobTooLarge            422  a pipeline's configuration that no row can hold
├── UpdateConflict         409  the pipeline has an active update, or a start in flight
│   └── RunGivenUp         409  the app has given up the run of the active update, so nobody can join it
├── TooManyCallbacks       409  the run already has as many callbacks as it can have
├── CallbacksNotOwed       409  the run is active: its callbacks are sent when it finishes
├── RunFinished            409  the run is finished: nothing is left to end
├── TooManyAwaitKeys       409  too many old keys of the await addresses are still valid
├── KeyReused              422  the Idempotency-Key came with another request before
├── KeyInFlight            503  the Idempotency-Key's first request is still being handled
├── StartUnknown           504  the outcome of a start is not known yet; never repeated, settled by the sweep
├── DatabricksError             Databricks answered, and not with what was asked for
│   ├── PipelineNotFound   404  the pipeline of a start, or of a run's events, does not exist
│   ├── PermissionRefused  403  it refuses the app's identity, or its token, also with a new one
│   ├── DatabricksNetworkRefused 403  it refuses the place where the app is
│   └── DatabricksSignInPage 503  a page for people came: the address is not of a workspace's API
├── DatabricksUnreachable  503  no answer: nothing was sent, or (504) nobody knows what became of it
├── TokenUnavailable       503  Entra ID gave no token
├── TooBusy                503  a change lost one race after another: others changed the same row each time
├── StorageUnavailable     503  Table Storage did not answer, or not clearly
│   └── RowUnreadable           a stored row that cannot be read; only a person can correct or delete it
└── AllWorkspacesFailed    503  a timer's work failed in every workspace
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

_MOST_REASONS = 3


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

    def headers(self) -> Mapping[str, str]:
        """Further headers of the response."""
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
    """What is wrong with one field. `given` is the value as bounded text, or None if the value may be a secret.

    `is_unknown`: the value names something that does not exist, or that the caller may not see.
    """

    field: str
    allowed: str
    given: str | None = None
    is_unknown: bool = False

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


class NotSignedIn(PolysyncError):
    code, http_status, title = "NotSignedIn", 401, "The request needs an access token"

    def __init__(self, detail: str, challenge: str) -> None:
        super().__init__(detail)
        self._challenge = challenge

    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": self._challenge}


class RoleMissing(PolysyncError):
    code, http_status, title = "RoleMissing", 403, "The caller does not have the role"


class WorkspaceNotFound(PolysyncError):
    code, http_status, title = "WorkspaceNotFound", 404, "No such workspace"


class SignInUnavailable(PolysyncError):
    code, http_status, title = "SignInUnavailable", 503, "Access tokens cannot be checked now"


class RunNotFound(PolysyncError):
    code, http_status, title = "RunNotFound", 404, "No such run"


class PageFileNotFound(PolysyncError):
    code, http_status, title = "PageFileNotFound", 404, "The page has no such file"


class ContinuationExpired(PolysyncError):
    code, http_status, title = "ContinuationExpired", 410, "The list cannot go on from there any more"


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


class RunGivenUp(UpdateConflict):
    """The active update had a run that was given up. `code` is that run's own: RunAbandoned, RunLost, RunSuperseded."""

    title = "The run of the active update was given up"

    def __init__(self, detail: str, *, code: str, active: Mapping[str, object] | None = None) -> None:
        super().__init__(detail, active=active)
        self.code = code


class TooManyCallbacks(PolysyncError):
    code, http_status, title = "TooManyCallbacks", 409, "The run has as many callbacks as it can have"


class CallbacksNotOwed(PolysyncError):
    code, http_status, title = "RunActive", 409, "The run is not finished"


class RunFinished(PolysyncError):
    code, http_status, title = "RunFinished", 409, "The run is already finished"


class TooManyAwaitKeys(PolysyncError):
    code, http_status, title = "TooManyAwaitKeys", 409, "Too many old keys are still valid"


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


class AllWorkspacesFailed(PolysyncError):
    """A timer's work failed in every workspace. `reasons` holds why, by the workspace's name."""

    code, http_status, title = "AllWorkspacesFailed", 503, "A timer's work failed in every workspace"

    def __init__(self, reasons: Mapping[str, str]) -> None:
        named = [f"{name}: {as_sentence(reasons[name])}" for name in sorted(reasons)[:_MOST_REASONS]]
        rest = [f"The log names {len(reasons) - len(named)} more."] if len(reasons) > len(named) else []
        super().__init__(" ".join(["It failed in every workspace.", *named, *rest]))
