"""Decode the request of a start (its path, query, body and Idempotency-Key) as a StartRequest. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from polysync_core.rules.decisions.roles import own_key
from polysync_core.rules.wire.http_contract import (
    MAX_PARAMETER_NAME,
    MAX_PARAMETERS,
    MAX_TIMEOUT_MINUTES,
    Call,
    Flag,
    decode_body,
    decode_idempotency_key,
    decode_pipeline_id,
    decode_workspace,
    read_flag,
    refuse,
)
from polysync_core.values.callback import CallbackAddress, CallbackKind
from polysync_core.values.caller import KEY_CALLER, Caller
from polysync_core.values.ids import normal_id
from polysync_core.values.run import JsonObject, OnConflict, StartRequest

_MAX_IGNORED = 30_000
ParameterName = Annotated[str, Field(min_length=1, max_length=MAX_PARAMETER_NAME)]


class StartBody(BaseModel):
    """The body of a start. Every field is optional. An unknown field is refused, and the error names it."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    full_refresh: Flag = None
    pipeline_id: str | None = None
    parameters: Annotated[dict[ParameterName, Any] | None, Field(max_length=MAX_PARAMETERS)] = None
    callBackUri: str | None = None  # noqa: N815  # Data Factory's own name
    callbackUrl: str | None = None  # noqa: N815  # the caller's own name
    onConflict: Literal["fail", "attach"] | None = None  # noqa: N815  # the caller's own name
    timeoutMinutes: Annotated[float | None, Field(ge=1 / 60, le=MAX_TIMEOUT_MINUTES)] = None  # noqa: N815
    followRetries: Flag = None  # noqa: N815
    workspace: str | None = None


def decode_start(
    call: Call, workspaces: tuple[str, ...], app_url: str | None = None, caller: Caller = KEY_CALLER
) -> StartRequest:
    """Read a start. Raises InvalidRequest, which names the field, the given value and the allowed ones.

    Raises BodyTooLarge for a body over 64 KB. `app_url` is the app's address from the platform. Call.addresses
    explains its use.
    """
    pipeline_id = decode_pipeline_id(call)
    body = decode_body(call, StartBody, "a start")
    if body.pipeline_id is not None and normal_id(body.pipeline_id) != pipeline_id:
        refuse("pipeline_id", f"must be the same as in the path ({pipeline_id})", body.pipeline_id)
    ignored = {name: value for name, value in (body.parameters or {}).items() if name != "full_refresh"}
    request = StartRequest(
        pipeline_id=pipeline_id,
        workspace=decode_workspace(call, workspaces, body.workspace) or workspaces[0],
        full_refresh=_full_refresh(body),
        ignored_parameters=_ignored_parameters(ignored),
        on_conflict=OnConflict(body.onConflict or OnConflict.FAIL),
        timeout_minutes=body.timeoutMinutes,
        follow_retries=body.followRetries or False,
        idempotency_key=own_key(caller, decode_idempotency_key(call)),
        fingerprint="",
        callback=_callback(call, body, app_url),
        caller=caller.id,
    )
    return replace(request, fingerprint=_fingerprint(request, ignored))


def _ignored_parameters(ignored: JsonObject) -> tuple[str, ...]:
    """Return the names of ignored parameters. The run stores them, so together they must fit into one column."""
    names = tuple(ignored)
    if len(json.dumps(names, ensure_ascii=False).encode("utf-16-le")) > 2 * _MAX_IGNORED:
        refuse("parameters", f"names must be at most {_MAX_IGNORED} characters together")
    return names


def _full_refresh(body: StartBody) -> bool | None:
    """Return the full_refresh at the top level or in `parameters`, or None. Two different values are refused."""
    inner = (body.parameters or {}).get("full_refresh")
    try:
        inner = read_flag(inner)
    except PydanticCustomError as wrong:
        refuse("parameters.full_refresh", str(wrong), inner)
    if body.full_refresh is not None and inner is not None and inner != body.full_refresh:
        refuse("parameters.full_refresh", "contradicts full_refresh; give it once", inner)
    chosen = body.full_refresh if inner is None else inner
    return chosen if isinstance(chosen, bool) else None


def _callback(call: Call, body: StartBody, app_url: str | None) -> CallbackAddress | None:
    """Return the callback address, or None. Both fields together are refused. The host is not checked here."""
    given = {CallbackKind.DATA_FACTORY: body.callBackUri, CallbackKind.WEBHOOK: body.callbackUrl}
    asked = [(kind, url) for kind, url in given.items() if url is not None]
    if len(asked) > 1:
        refuse(CallbackKind.DATA_FACTORY, f"cannot be given together with {CallbackKind.WEBHOOK}; give one of them")
    base_url = call.addresses(None, app_url).base_url
    return next((CallbackAddress(kind=kind, url=url, base_url=base_url) for kind, url in asked), None)


def _fingerprint(request: StartRequest, ignored: JsonObject) -> str:
    """Return a hash of the request. Two requests with one key are the same if their hashes are equal.

    The key and the callback address are not part of it. The values of ignored parameters are part of it.
    """
    parts = [
        request.workspace,
        request.pipeline_id,
        request.full_refresh,
        ignored,
        request.on_conflict,
        request.timeout_minutes,
        request.follow_retries,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
