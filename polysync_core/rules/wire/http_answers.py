"""The app's responses: JSON documents, and errors as problem documents. Pure, without a web framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from polysync_core.values.errors import PolysyncError
from polysync_core.values.run import JsonObject

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A time in ISO 8601, UTC."""


class ErrorDocument(TypedDict):
    """What went wrong: `code` for programs, `message` for a person."""

    code: str
    message: str


class FieldErrorDocument(TypedDict):
    """What is wrong with one field of the request. `given` is null if it may be a credential."""

    field: str
    given: str | None
    allowed: str


class ActiveUpdateDocument(TypedDict):
    """The active update that prevents a start. `runId` is null if the app has no run for it."""

    updateId: str
    state: str | None
    updateUrl: str
    runId: str | None


class FromDatabricksDocument(TypedDict):
    """The response of Databricks."""

    status: int
    error_code: str | None
    message: str


class ProblemMembers(TypedDict):
    """The members of every problem."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    error: ErrorDocument


class ProblemDocument(ProblemMembers, total=False):
    """Problem details (RFC 9457), with Azure's `error` added. `code` is for programs."""

    errors: Annotated[list[FieldErrorDocument], Field(description="Each wrong field of a request that is not valid.")]
    active: ActiveUpdateDocument | None
    databricks: FromDatabricksDocument | None
    settings: Annotated[list[str], Field(description="Each setting of the app that is wrong.")]
    reference: Annotated[str | None, Field(description="Find this in the app's log for a fault of the app.")]


class AliveDocument(TypedDict):
    """The process answers requests."""

    alive: Literal[True]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An HTTP response. Its body is always a JSON object."""

    status: int
    body: JsonObject
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def encode(self) -> bytes:
        """Return the body as UTF-8. Half a surrogate pair, which JSON of others may hold, becomes a question mark."""
        return json.dumps(self.body, ensure_ascii=False).encode("utf-8", "replace")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReply:
    """An HTTP response whose body is the content of a file."""

    status: int
    content: bytes
    content_type: str
    headers: Mapping[str, str]

    @property
    def body(self) -> JsonObject:
        """A file is not a document, so it has no members that a trace could name."""
        return {}

    def encode(self) -> bytes:
        return self.content


def problem(error: PolysyncError, instance: str) -> Reply:
    """Return an error as problem details (RFC 9457). Azure's `error` is added, so Azure's clients show the message."""
    headers = {} if error.retry_after_seconds is None else {"Retry-After": str(error.retry_after_seconds)}
    return Reply(
        status=error.http_status,
        headers={**headers, **error.headers()},
        content_type="application/problem+json",
        body={
            **problem_members(error.code, error.title, error.http_status, error.detail, instance),
            **error.members(),
        },
    )


def internal_error(reference: str, instance: str) -> Reply:
    """Return the response for a bug of the app. It holds only a reference. The log holds the details under it."""
    detail = f"This is a fault of the app; its log holds the details under the reference {reference}."
    members = problem_members("InternalError", "Something went wrong", 500, detail, instance)
    return Reply(status=500, body={**members, "reference": reference}, content_type="application/problem+json")


def problem_members(code: str, title: str, status: int, detail: str, instance: str) -> ProblemMembers:
    return {
        "type": f"urn:polysync:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "error": {"code": code, "message": detail},
    }
