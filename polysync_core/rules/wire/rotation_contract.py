"""Decode the request to rotate the key of the await addresses, and encode its answer. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from polysync_core.rules.wire.http_answers import Instant
from polysync_core.rules.wire.http_contract import Call, check_query, decode_body
from polysync_core.rules.wire.run_document import iso
from polysync_core.values.await_keys import Rotation

MOST_DAYS = 30


def _read_days(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and value in range(MOST_DAYS + 1):
        return int(value)
    raise PydanticCustomError("days", f"must be a whole number of days from 0 to {MOST_DAYS}")


class RotationBody(BaseModel):
    """The body of a rotation of the key of the await addresses."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    keepOldForDays: Annotated[  # noqa: N815  # the caller's own name
        int, BeforeValidator(_read_days, json_schema_input_type=Annotated[int, Field(ge=0, le=MOST_DAYS)])
    ] = 7


class RotationDocument(TypedDict):
    """A rotation of the key of the await addresses. Older addresses answer 404 from `oldValidUntil` on."""

    rotatedAt: Instant
    oldValidUntil: Instant


def decode_rotation(call: Call) -> int:
    """Return for how many days the older addresses go on working. Raises InvalidRequest."""
    check_query(call, ())
    return decode_body(call, RotationBody, "a rotation").keepOldForDays


def encode_rotation(rotation: Rotation) -> RotationDocument:
    return {"rotatedAt": iso(rotation.rotated_at), "oldValidUntil": iso(rotation.old_valid_until)}
