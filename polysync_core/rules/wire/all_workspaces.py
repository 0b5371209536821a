"""`workspace=*`, and the continuations of the two lists that accept it."""

from __future__ import annotations

import base64
from typing import Any, TypeVar

from pydantic import TypeAdapter

from polysync_core.rules.wire.http_contract import ALL_WORKSPACES, refuse

_Place = TypeVar("_Place")


def encode_place(place: object, model: TypeAdapter[Any]) -> str:
    """Return the place where a list continues, as opaque text for callers."""
    return base64.urlsafe_b64encode(model.dump_json(place)).decode("ascii")


def decode_place(given: str, model: TypeAdapter[_Place]) -> _Place:
    """Read a continuation. Raises InvalidRequest if it is not one of this list with `workspace=*`."""
    try:
        return model.validate_json(base64.urlsafe_b64decode(given.encode("ascii")))
    except ValueError:
        refuse("continuation", f"must be the continuation of an earlier answer with workspace={ALL_WORKSPACES}")
