"""What a route of the OpenAPI document is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polysync_core.rules.wire.openapi import examples
from polysync_core.values.errors import PolysyncError

JSON = "application/json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer that is no problem. `model` None: any JSON object.

    `headers` are always sent, `may_headers` at times.
    """

    status: int
    description: str
    model: type | None
    examples: Mapping[str, object]
    headers: tuple[str, ...] = ()
    may_headers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """A request's body. `model` None: any JSON object, unread."""

    model: type | None
    examples: Mapping[str, object]
    required: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One function. `parameters` are names of components; `errors` examples of what it raises, beside settings.

    `tells_settings`: one of its `answers` says which settings are wrong, in place of that problem.
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
    tells_settings: bool = False


NOTHING = Body(model=None, examples={"nothing to say": {}})
BODY_ERRORS = (examples.INVALID, examples.TOO_LARGE)


def ok(description: str, model: type, **shown: object) -> Answer:
    return Answer(status=200, description=description, model=model, examples=shown)
