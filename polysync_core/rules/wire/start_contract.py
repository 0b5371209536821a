"""Decode the request of a start (its path, query, body and Idempotency-Key) as a StartRequest. Pure."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
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
from polysync_core.rules.wire.start_options import FIELDS, decode_options
from polysync_core.values.callback import CallbackAddress, CallbackKind
from polysync_core.values.caller import KEY_CALLER, Caller
from polysync_core.values.ids import normal_id
from polysync_core.values.run import JsonObject, OnConflict, StartRequest
from polysync_core.values.start_options import SETTING, START_OPTIONS

_MAX_IGNORED = 30_000
_NOT_ALLOWED = f"is a start option that this app does not allow; an operator allows it in the setting {SETTING}"
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


@functools.cache
def start_body(options: tuple[str, ...]) -> type[StartBody]:
    """The model of a start's body in an app whose callers may send these start options."""
    fields: dict[str, Any] = {name: (FIELDS[name], None) for name in options}
    return create_model("StartBody", __base__=StartBody, __doc__=StartBody.__doc__, **fields) if options else StartBody


def decode_start(
    call: Call,
    workspaces: tuple[str, ...],
    app_url: str | None = None,
    caller: Caller = KEY_CALLER,
    options: tuple[str, ...] = (),
) -> StartRequest:
    """Read a start. Raises InvalidRequest, which names the field, the given value and the allowed ones.

    Raises BodyTooLarge for a body over 64 KB. `app_url` is the app's address from the platform. Call.addresses
    explains its use. `options` are the start options that callers may send.
    """
    pipeline_id = decode_pipeline_id(call)
    not_allowed = {name: _NOT_ALLOWED for name in START_OPTIONS if name not in options}
    body = decode_body(call, start_body(options), "a start", not_allowed)
    if body.pipeline_id is not None and normal_id(body.pipeline_id) != pipeline_id:
        refuse("pipeline_id", f"must be the same as in the path ({pipeline_id})", body.pipeline_id)
    ignored = {name: value for name, value in (body.parameters or {}).items() if name != "full_refresh"}
    full_refresh = _full_refresh(body)
    request = StartRequest(
        pipeline_id=pipeline_id,
        workspace=decode_workspace(call, workspaces, body.workspace) or workspaces[0],
        full_refresh=full_refresh,
        options=decode_options(body, full_refresh),
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

    The key and the callback address are not part of it. The values of ignored parameters are part of it. Start options
    are part of it if there are any, so that the hash of a start without them is the one of earlier versions.
    """
    parts: list[object] = [
        request.workspace,
        request.pipeline_id,
        request.full_refresh,
        ignored,
        request.on_conflict,
        request.timeout_minutes,
        request.follow_retries,
        *([request.options.normal().given()] if request.options else []),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
