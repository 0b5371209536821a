"""The dataclasses that describe a route of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polysync_core.rules.wire.openapi import examples
from polysync_core.values.errors import PolysyncError

JSON = "application/json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A response that is not a problem. If `model` is None, its body is any JSON object.

    Every such response has `headers`. Some also have `optional_headers`.
    """

    status: int
    description: str
    model: type | None
    examples: Mapping[str, object]
    headers: tuple[str, ...] = ()
    optional_headers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """The body of a request. If `model` is None, the body is any JSON object, and the app does not read it."""

    model: type | None
    examples: Mapping[str, object]
    required: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One route with its method. `parameters` are names of components. `errors` are examples of what it raises.

    If `reports_bad_settings` is true, one of its `answers` names the bad settings. Every other operation answers bad
    settings with a problem.
    """

    name: str
    method: str
    path: str
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[str, ...] = ()
    body: Body | None = None
    answers: tuple[Answer, ...]
    errors: tuple[PolysyncError, ...] = ()
    is_anonymous: bool = False
    reports_bad_settings: bool = False


UNREAD_BODY = Body(model=None, examples={"empty": {}})
BODY_ERRORS = (examples.INVALID, examples.TOO_LARGE)


def ok(description: str, model: type, **shown: object) -> Answer:
    return Answer(status=200, description=description, model=model, examples=shown)
