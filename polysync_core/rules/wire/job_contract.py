"""Decode callers' requests about jobs, and encode their continuations. Pure."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from polysync_core.rules.rows.job_entity import decode_pass, encode_pass
from polysync_core.rules.wire.http_contract import Call, FlagWord, decode_body, decode_workspace, read_flag, refuse
from polysync_core.rules.wire.strict_json import decode_json
from polysync_core.values.errors import ParameterReadOnly
from polysync_core.values.job import FULL_REFRESH, Direction, DiscoveryPass, FullRefresh

MAX_CONTINUATION = 16_000


def _read_direction(value: object) -> object:
    if isinstance(value, str) and value in set(Direction):
        return Direction(value)
    raise PydanticCustomError("direction", f"must be one of {', '.join(Direction)}")


def _need_flag(value: object) -> object:
    return read_flag("" if value is None else value)


class DiscoverBody(BaseModel):
    """The body of a discovery. Every field is optional, and may be in the query instead."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    workspace: str | None = None
    continuation: Annotated[str | None, Field(max_length=MAX_CONTINUATION)] = None


class ParameterBody(BaseModel):
    """The body of a PUT of a parameter."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    value: Annotated[bool, BeforeValidator(_need_flag, json_schema_input_type=bool | FlagWord)]
    direction: Annotated[Direction, BeforeValidator(_read_direction, json_schema_input_type=Direction)] = (
        Direction.INPUT
    )
    workspace: str | None = None


def decode_discover(call: Call, workspaces: tuple[str, ...], now: datetime) -> tuple[str, DiscoveryPass | None]:
    """Return the workspace to discover, and the progress to continue from (None: begin). Raises InvalidRequest."""
    body = decode_body(call, DiscoverBody, "a discovery")
    workspace = decode_workspace(call, workspaces, body.workspace, query=("continuation",)) or workspaces[0]
    in_query = call.query.get("continuation")
    if body.continuation is not None and in_query not in {None, body.continuation}:
        refuse("continuation", "differs between query and body; give it once")
    given = body.continuation if in_query is None else in_query
    return workspace, None if given is None else decode_discovery_continuation(given, workspace, now)


def decode_parameter(call: Call, workspaces: tuple[str, ...]) -> tuple[str | None, FullRefresh]:
    """Return the workspace that is named, or None, and the new full_refresh.

    Raises ParameterReadOnly for any other parameter, and InvalidRequest.
    """
    name = call.route.get("name", "")
    if name != FULL_REFRESH:
        raise ParameterReadOnly(
            f"The parameter {name[:200]} belongs to the pipeline's definition; only {FULL_REFRESH} can be set here. "
            "Edit the pipeline in Databricks, then Sync Parameters: POST /api/jobs/{pipeline_id}/sync."
        )
    body = decode_body(call, ParameterBody, "a parameter")
    workspace = decode_workspace(call, workspaces, body.workspace)
    return workspace, FullRefresh(value=body.value, direction=body.direction)


def encode_discovery_continuation(workspace: str, rest: DiscoveryPass) -> str:
    """Return the opaque text that a caller sends back to continue. It is valid only for its workspace."""
    kept = {"workspace": workspace, **encode_pass(rest)}
    return base64.urlsafe_b64encode(json.dumps(kept, separators=(",", ":")).encode()).decode()


def decode_discovery_continuation(given: str, workspace: str, now: datetime) -> DiscoveryPass:
    """Read a continuation. Raises InvalidRequest if this app did not write it, or wrote it for another workspace."""
    try:
        kept = decode_json(base64.urlsafe_b64decode(given.encode("ascii")))
        if not isinstance(kept, dict):
            raise TypeError("not an object")
        rest = decode_pass(kept)
        was_written = kept["workspace"] == workspace and rest.began_at <= now
    except (ValueError, TypeError, KeyError, RecursionError):
        was_written = False
    if not was_written:
        refuse("continuation", f"must be the continuation of an earlier discovery of workspace {workspace}")
    return rest
