"""Callers' JSON <-> values: what a request may hold, what a problem looks like. Pure: no web framework in here."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from polysync_core.callback_model import CallbackAddress, CallbackKind
from polysync_core.errors import BodyTooLarge, FieldProblem, InvalidRequest, PolysyncError, RunNotFound
from polysync_core.ids import RunId, is_id
from polysync_core.model import JsonObject, OnConflict, RunFilter, StartRequest, Status
from polysync_core.rules.addresses import Addresses
from polysync_core.rules.row_keys import RECENT

MAX_BODY_BYTES = 64 * 1024
MAX_NESTING = 32
MAX_PARAMETERS, MAX_PARAMETER_NAME = 200, 128
MAX_LIST = 200
MAX_TIMEOUT_MINUTES = 30 * 24 * 60
_MAX_SHOWN = 80
_MAX_DIGITS = 100
_MAX_PROBLEMS = 20
_MAX_IGNORED = 30_000
_KEY = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,254}")
_PIPELINE_ID = "must be 1 to 64 letters, digits, '-' or '_' (the id in the pipeline's settings in Databricks)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """An HTTP request as the app sees it: header names in lower case, `path` without the query."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    route: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    def addresses(self, public_url: str | None) -> Addresses:
        """Built from the configured public address; only without one from the request's own host."""
        parts = urlsplit(self.url)
        return Addresses(public_url or f"{parts.scheme}://{parts.netloc}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An HTTP answer: always a JSON object."""

    status: int
    body: JsonObject
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def encode(self) -> bytes:
        """The body as UTF-8. Half a surrogate pair, as JSON from elsewhere may hold, becomes a question mark."""
        return json.dumps(self.body, ensure_ascii=False).encode("utf-8", "replace")


# --- requests


def read_flag(value: object) -> object:
    """true/false, also as the strings that the workflow document and Data Factory's interpolation send."""
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if value is None or isinstance(value, bool):
        return value
    raise PydanticCustomError("flag", 'must be true or false (or the strings "true" and "false")')


_Body = TypeVar("_Body", bound=BaseModel)
Flag = Annotated[bool | None, BeforeValidator(read_flag)]
ParameterName = Annotated[str, Field(min_length=1, max_length=MAX_PARAMETER_NAME)]


class StartBody(BaseModel):
    """The body of a start. Everything is optional; anything else in it is refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    full_refresh: Flag = None
    pipeline_id: str | None = None
    parameters: Annotated[dict[ParameterName, Any] | None, Field(max_length=MAX_PARAMETERS)] = None
    callBackUri: str | None = None  # noqa: N815  # Data Factory's own name
    callbackUrl: str | None = None  # noqa: N815  # the caller's own name
    onConflict: Literal["fail", "attach"] | None = None  # noqa: N815  # the caller's own name
    timeoutMinutes: Annotated[float | None, Field(ge=1 / 60, le=MAX_TIMEOUT_MINUTES)] = None  # noqa: N815
    followRetries: Flag = None  # noqa: N815
    workspace: str | None = None


def decode_start(call: Call, workspaces: tuple[str, ...]) -> StartRequest:
    """Read a start. InvalidRequest names the field, what was given and what is allowed; BodyTooLarge over 64 KB."""
    pipeline_id = decode_pipeline_id(call)
    body = decode_body(call, StartBody, "a start")
    if body.pipeline_id not in {None, pipeline_id}:
        _refuse("pipeline_id", f"must be the same as in the path ({pipeline_id})", body.pipeline_id)
    request = StartRequest(
        pipeline_id=pipeline_id,
        workspace=_workspace(call, body.workspace, workspaces) or workspaces[0],
        full_refresh=_full_refresh(body),
        ignored_parameters=_ignored_parameters(body),
        on_conflict=OnConflict(body.onConflict or OnConflict.FAIL),
        timeout_minutes=body.timeoutMinutes,
        follow_retries=body.followRetries or False,
        idempotency_key=decode_idempotency_key(call),
        fingerprint="",
        callback=_callback(call, body),
    )
    return _with_fingerprint(request)


def decode_body(call: Call, model: type[_Body], of: str) -> _Body:
    """The body as `model`, the fields of `of` ("a start"); InvalidRequest names every field that is wrong."""
    payload = _decode_object(call.body)
    try:
        return model.model_validate(payload)
    except ValidationError as wrong:
        raise InvalidRequest(*(_field_problem(error, model, of) for error in wrong.errors()[:_MAX_PROBLEMS])) from None


def decode_pipeline_id(call: Call) -> str:
    pipeline_id = call.route.get("pipeline_id", "")
    if not is_id(pipeline_id):
        _refuse("pipeline_id", _PIPELINE_ID, pipeline_id)
    return pipeline_id


def decode_run_id(call: Call) -> RunId:
    """The run id of the path. One that is malformed is simply not known: RunNotFound says what a run id looks like."""
    try:
        return RunId.parse(call.route.get("run_id", ""))
    except ValueError as wrong:
        raise RunNotFound(f"There is no such run: {wrong}.") from None


def decode_workspace(call: Call, workspaces: tuple[str, ...], in_body: str | None = None) -> str | None:
    """The workspace that the query or the body names, or None; an unknown one is refused with the known ones listed."""
    return _workspace(call, in_body, workspaces)


def decode_empty_body(call: Call) -> None:
    """For routes that take no body: anything but an empty one or a JSON object is refused, unread."""
    _decode_object(call.body)


def decode_run_filter(call: Call) -> RunFilter:
    status = call.query.get("status")
    if status is not None and status not in set(Status):
        _refuse("status", f"must be one of {', '.join(Status)}", status)
    pipeline_id = call.query.get("pipelineId")
    if pipeline_id is not None and not is_id(pipeline_id):
        _refuse("pipelineId", _PIPELINE_ID, pipeline_id)
    active = call.query.get("active", "false").lower()
    if active not in {"true", "false"}:
        _refuse("active", "must be true or false", active)
    return RunFilter(status=Status(status) if status else None, pipeline_id=pipeline_id, active=active == "true")


def decode_continuation(call: Call, prefix: str = RECENT) -> str | None:
    """Where a listing goes on: a row key of its kind, wrapped so that callers take it as it is."""
    given = call.query.get("continuation")
    if given is None:
        return None
    try:
        key = base64.urlsafe_b64decode(given.encode("ascii")).decode("ascii")
    except ValueError:
        key = ""
    if not key.startswith(prefix):
        _refuse("continuation", "must be the continuation of an earlier answer")
    return key


def encode_continuation(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode("ascii")).decode("ascii")


def decode_limit(call: Call) -> int:
    given = call.query.get("limit", "50")
    if not (given.isascii() and given.isdecimal() and len(given) < 6 and 1 <= int(given) <= MAX_LIST):
        _refuse("limit", f"must be a whole number from 1 to {MAX_LIST}", given)
    return int(given)


def _decode_object(body: bytes) -> JsonObject:
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(FieldProblem(field="body", allowed="must be at most 64 KB", given=f"{len(body)} bytes"))
    if not body.strip():
        return {}
    try:
        payload = json.loads(
            body, object_pairs_hook=_object_without_repeats, parse_constant=_no_constant, parse_int=_short_int
        )
        json.dumps(payload, ensure_ascii=False).encode()
    except RecursionError:
        _refuse("body", f"must not be nested deeper than {MAX_NESTING} levels")
    except UnicodeError:
        _refuse("body", "must be a JSON object in UTF-8, without halves of surrogate pairs")
    except ValueError as wrong:
        _refuse("body", f"must be a JSON object ({wrong})")
    if _is_deeper(payload, MAX_NESTING):
        _refuse("body", f"must not be nested deeper than {MAX_NESTING} levels")
    if not isinstance(payload, dict):
        _refuse("body", "must be a JSON object, like {}", payload)
    return payload


def _is_deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(entry, levels - 1) for entry in inner)


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in one object twice")
    return found


def _short_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("it holds a number that is too long")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _ignored_parameters(body: StartBody) -> tuple[str, ...]:
    """The names beside full_refresh: kept with the run, so together they have to fit into one column of a table."""
    names = tuple(name for name in body.parameters or {} if name != "full_refresh")
    if len(json.dumps(names, ensure_ascii=False).encode("utf-16-le")) > 2 * _MAX_IGNORED:
        _refuse("parameters", f"names must be at most {_MAX_IGNORED} characters together")
    return names


def _full_refresh(body: StartBody) -> bool | None:
    """The request's own full_refresh: at the top, or among the parameters; not two different ones."""
    inner = (body.parameters or {}).get("full_refresh")
    try:
        inner = read_flag(inner)
    except PydanticCustomError as wrong:
        _refuse("parameters.full_refresh", str(wrong), inner)
    if body.full_refresh is not None and inner is not None and inner != body.full_refresh:
        _refuse("parameters.full_refresh", "contradicts full_refresh; give it once", inner)
    chosen = body.full_refresh if inner is None else inner
    return chosen if isinstance(chosen, bool) else None


def _callback(call: Call, body: StartBody) -> CallbackAddress | None:
    """Where the caller wants to be called back, unchecked. Not both fields: who would be called then?"""
    given = {CallbackKind.DATA_FACTORY: body.callBackUri, CallbackKind.WEBHOOK: body.callbackUrl}
    asked = [(kind, url) for kind, url in given.items() if url is not None]
    if len(asked) > 1:
        _refuse(CallbackKind.DATA_FACTORY, f"and {CallbackKind.WEBHOOK} exclude each other; give one of them")
    base_url = call.addresses(None).base_url
    return next((CallbackAddress(kind=kind, url=url, base_url=base_url) for kind, url in asked), None)


def _workspace(call: Call, in_body: str | None, workspaces: tuple[str, ...]) -> str | None:
    in_query = call.query.get("workspace")
    if in_body is not None and in_query is not None and in_body != in_query:
        _refuse("workspace", f"is {_shown(in_query)} in the query and another in the body; give it once", in_body)
    given = in_body if in_query is None else in_query
    if given is not None and given not in workspaces:
        _refuse("workspace", f"must be one of {', '.join(workspaces)}", given)
    return given


def decode_idempotency_key(call: Call) -> str | None:
    """The Idempotency-Key header: the IETF draft's quoted string, accepted unquoted too."""
    header = call.headers.get("idempotency-key")
    if header is None:
        return None
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise InvalidRequest(
            FieldProblem(field="Idempotency-Key", allowed="must be 1 to 255 printable ASCII characters")
        )
    return key


def _with_fingerprint(request: StartRequest) -> StartRequest:
    """What makes two requests with one key the same: all but the key itself and callback addresses."""
    said = [
        request.workspace,
        request.pipeline_id,
        request.full_refresh,
        sorted(request.ignored_parameters),
        request.on_conflict,
        request.timeout_minutes,
        request.follow_retries,
    ]
    digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()
    return replace(request, fingerprint=digest)


def _field_problem(error: Any, model: type[BaseModel], of: str) -> FieldProblem:
    """pydantic's error in our words: which field, what is allowed, what was given."""
    location = ".".join(str(part) for part in error["loc"])[:_MAX_SHOWN]
    if error["loc"][1:] and error["loc"][-1] == "[key]":
        return FieldProblem(field="parameters", allowed=f"names must be 1 to {MAX_PARAMETER_NAME} characters")
    if error["type"] == "extra_forbidden":
        allowed = f"is no field of {of}; there are {', '.join(model.model_fields)}"
    else:
        allowed = _ALLOWED.get(error["type"]) or error["msg"]
    may_be_credential = "callback" in location.lower()
    return FieldProblem(
        field=location or "body", allowed=allowed, given=None if may_be_credential else _shown(error["input"])
    )


_TIMEOUT = f"must be a number of minutes from 1/60 (1 second) to {MAX_TIMEOUT_MINUTES} (30 days)"
_ALLOWED = {
    "missing": "is missing",
    "string_type": "must be a string",
    "dict_type": "must be a JSON object, name to value",
    "literal_error": 'must be "fail" or "attach"',
    "too_long": f"must hold at most {MAX_PARAMETERS} parameters",
    "float_type": _TIMEOUT,
    "greater_than_equal": _TIMEOUT,
    "less_than_equal": _TIMEOUT,
}
"""pydantic's kinds of error in our words; `flag` says it in its own."""


_UNSAID = object()


def _refuse(name: str, allowed: str, given: object = _UNSAID) -> NoReturn:
    shown = None if given is _UNSAID else _shown(given)
    raise InvalidRequest(FieldProblem(field=name, allowed=allowed, given=shown))


def _shown(value: object) -> str:
    """A value as it was given, cut to one short line. An address may be a credential, so none is shown."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if "://" in text:
        return "an address"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


# --- answers


def problem(error: PolysyncError, instance: str) -> Reply:
    """RFC 9457 problem details, with Azure's `error` beside them so that Azure's clients show the message."""
    headers = {} if error.retry_after_seconds is None else {"Retry-After": str(error.retry_after_seconds)}
    return Reply(
        status=error.http_status,
        headers=headers,
        content_type="application/problem+json",
        body=problem_members(error.code, error.title, error.http_status, error.detail, instance)
        | dict(error.members()),
    )


def problem_members(code: str, title: str, status: int, detail: str, instance: str) -> dict[str, object]:
    return {
        "type": f"urn:polysync:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "error": {"code": code, "message": detail},
    }
