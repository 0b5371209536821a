"""Decode and check callers' requests. Pure, without a web framework."""

from __future__ import annotations

import difflib
import json
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from polysync_core.rules.wire.addresses import Addresses
from polysync_core.rules.wire.setting_values import is_loopback
from polysync_core.rules.wire.strict_json import MAX_NESTING, decode_json
from polysync_core.values.errors import BodyTooLarge, FieldProblem, InvalidRequest, RunNotFound
from polysync_core.values.ids import RunId, is_id, normal_id
from polysync_core.values.invocation import NO_INVOCATION, Invocation
from polysync_core.values.run import JsonObject, RunFilter, Status

MAX_BODY_BYTES = 64 * 1024
MAX_PARAMETERS, MAX_PARAMETER_NAME = 200, 128
MAX_LIST = 200
RUNS_QUERY = ("status", "pipelineId", "active", "since", "until", "finishedSince", "limit", "continuation")
ALL_WORKSPACES = "*"
"""`?workspace=*`: the list of all workspaces."""
OPENAPI_VERSIONS = ("2.0", "3.1")
MAX_TIMEOUT_MINUTES = 30 * 24 * 60
_MAX_SHOWN = 80
_MAX_PROBLEMS = 20
_HOSTS_OWN = frozenset({"code", "clientId"})
"""Query parameters that the Functions host itself reads: the function key, and the key's name."""

_BLANK_OFFSET = re.compile(r"(?<=\d) (?=\d\d:\d\d$)")
_KEY = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,254}")
_PATH = re.compile(r"(?:[^:/?#]+:)?(?://[^/?#]*)?([^?#]*)")
"""https://www.rfc-editor.org/rfc/rfc3986#appendix-B. urlsplit raises for a malformed host. This always matches."""
_PIPELINE_ID = "must be 1 to 64 letters, digits, '-' or '_' (the id in the pipeline's settings in Databricks)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """An HTTP request. Header names are in lower case. `path` has no query.

    `needs_key`: the host asks for a function key at every guarded route, so it has checked this call's.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    route: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    invocation: Invocation = NO_INVOCATION
    needs_key: bool = False

    @property
    def path(self) -> str:
        found = _PATH.match(self.url)
        return "" if found is None else found[1]

    def addresses(self, public_url: str | None, app_url: str | None) -> Addresses:
        """Return the app's addresses for this caller. Raises InvalidRequest if no base address is known.

        The base is the configured `public_url`, else the host of the request, else `app_url` from the platform.
        `app_url` comes last, because a slot keeps its own name when it is swapped into production. In Azure, `app_url`
        is set and TLS ends before the app. The scheme of the request may then be http.
        """
        if public_url is not None:
            return Addresses(public_url)
        try:
            parts = urlsplit(self.url)
            host = parts.hostname
        except ValueError:
            host = None
        if not host:
            return Addresses(app_url or refuse("Host", "must be a host's name or address"))
        is_behind_tls = app_url is not None and app_url.startswith("https:") and not is_loopback(host)
        return Addresses(f"{'https' if is_behind_tls else parts.scheme}://{parts.netloc}")


def read_flag(value: object) -> object:
    """Read true, false or None. The strings "true" and "false" are accepted in any case.

    The workflow document and Data Factory's interpolation send such strings.
    """
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if value is None or isinstance(value, bool):
        return value
    raise PydanticCustomError("flag", 'must be true or false (or the strings "true" and "false")')


_Body = TypeVar("_Body", bound=BaseModel)
FlagWord = Annotated[str, Field(pattern="^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$")]
"""How the OpenAPI document shows the strings that read_flag reads."""
Flag = Annotated[bool | None, BeforeValidator(read_flag, json_schema_input_type=bool | FlagWord | None)]


def decode_body(
    call: Call, model: type[_Body], of: str, not_allowed: Mapping[str, str] = types.MappingProxyType({})
) -> _Body:
    """Return the body as `model`. Raises InvalidRequest, which names the wrong fields, at most 20, or BodyTooLarge.

    `of` names the request in an error, for example "a start". `not_allowed` says why fields that the model lacks are
    refused, by their name.
    """
    payload = _decode_object(call.body)
    try:
        return model.model_validate(payload)
    except ValidationError as wrong:
        errors = wrong.errors()[:_MAX_PROBLEMS]
        raise InvalidRequest(*(_field_problem(error, model, of, not_allowed) for error in errors)) from None


def decode_pipeline_id(call: Call) -> str:
    pipeline_id = call.route.get("pipeline_id", "")
    if not is_id(pipeline_id):
        refuse("pipeline_id", _PIPELINE_ID, pipeline_id)
    return normal_id(pipeline_id)


def decode_run_id(call: Call) -> RunId:
    """Return the run id in the path. Raises RunNotFound if it is malformed. Its text explains the form of a run id."""
    pipeline_id, _, update_id = call.route.get("run_id", "").partition(":")
    try:
        return RunId(normal_id(pipeline_id), normal_id(update_id))
    except ValueError as wrong:
        raise RunNotFound(f"There is no such run: {wrong}.") from None


def decode_workspace(
    call: Call,
    workspaces: tuple[str, ...],
    in_body: str | None = None,
    *,
    query: tuple[str, ...] = (),
    or_all: bool = False,
) -> str | None:
    """Return the workspace that the query or the body names, or None. With `or_all`, it may be ALL_WORKSPACES.

    Raises InvalidRequest for an unknown workspace. The error lists the known ones. `query` are the other query
    parameters of the route. Any further parameter is refused, since a misspelt `workspace` must not start an update in
    another workspace.
    """
    check_query(call, ("workspace", *query))
    in_query = call.query.get("workspace")
    if in_body is not None and in_query is not None and in_body != in_query:
        refuse("workspace", f"is {_shown(in_query)} in the query and another in the body; give it once", in_body)
    given = in_body if in_query is None else in_query
    if given == ALL_WORKSPACES:
        if or_all:
            return given
        refuse("workspace", f"can be {ALL_WORKSPACES} only in GET /api/runs and GET /api/jobs; name one", given)
    if given is not None and given not in workspaces:
        allowed = f"must be one of {', '.join(workspaces)}"
        raise InvalidRequest(FieldProblem(field="workspace", allowed=allowed, given=_shown(given), is_unknown=True))
    return given


def check_query(call: Call, names: tuple[str, ...]) -> None:
    """Raise InvalidRequest for a query parameter that is not one of `names`."""
    for unknown in sorted(call.query.keys() - {*names, *_HOSTS_OWN}):
        known = (
            f"is not a query parameter of this route; there are {', '.join(names) or 'none'}{_nearest(unknown, names)}"
        )
        refuse(unknown[:_MAX_SHOWN], known)


def _nearest(given: str, names: Iterable[str]) -> str:
    """Return a hint at the name that the caller perhaps meant, or ""."""
    near = difflib.get_close_matches(given.lower(), [name.lower() for name in names], n=1)
    meant = [name for name in names if near and name.lower() == near[0]]
    return f"; did you mean {' or '.join(meant)}" if meant else ""


class WorkspaceBody(BaseModel):
    """The body of a route that needs no body. It may name the workspace. Other fields are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, defer_build=True)

    workspace: str | None = None


def decode_workspace_only(call: Call, workspaces: tuple[str, ...]) -> str | None:
    """Return the workspace that the query or the body names, or None. For routes that need no body.

    Other fields of the body are allowed, since callers such as Logic Apps send a body to every route.
    """
    return decode_workspace(call, workspaces, decode_body(call, WorkspaceBody, "this call").workspace)


def decode_run_filter(call: Call) -> RunFilter:
    status = call.query.get("status")
    if status is not None and status not in set(Status):
        refuse("status", f"must be one of {', '.join(Status)}", status)
    pipeline_id = call.query.get("pipelineId")
    if pipeline_id is not None and not is_id(pipeline_id):
        refuse("pipelineId", _PIPELINE_ID, pipeline_id)
    pipeline_id = None if pipeline_id is None else normal_id(pipeline_id)
    active = call.query.get("active", "false").lower()
    if active not in {"true", "false"}:
        refuse("active", "must be true or false", active)
    since, until = _decode_time(call, "since"), _decode_time(call, "until")
    if since is not None and until is not None and since > until:
        refuse("since", "must not be after until", call.query["since"])
    finished_since = _decode_time(call, "finishedSince")
    if finished_since is not None and active == "true":
        allowed = "must be left out beside active=true: an active run is not finished"
        refuse("finishedSince", allowed, call.query["finishedSince"])
    return RunFilter(
        status=Status(status) if status else None,
        pipeline_id=pipeline_id,
        active=active == "true",
        since=since,
        until=until,
        finished_since=finished_since,
    )


def _decode_time(call: Call, name: str) -> datetime | None:
    """A time of the query in ISO 8601. Without an offset it is UTC, and without a time of day it is midnight."""
    given = call.query.get(name)
    if given is None:
        return None
    try:
        # A '+' that is not encoded in a query arrives as a blank.
        instant = datetime.fromisoformat(_BLANK_OFFSET.sub("+", given) if "T" in given else given)
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        refuse(name, "must be a time in ISO 8601, like 2026-11-22T08:00:00Z", given)


def decode_limit(call: Call) -> int:
    given = call.query.get("limit", "50")
    if not (given.isascii() and given.isdecimal() and len(given) < 6 and 1 <= int(given) <= MAX_LIST):
        refuse("limit", f"must be a whole number from 1 to {MAX_LIST}", given)
    return int(given)


def decode_openapi_version(call: Call) -> str:
    """Return the version of OpenAPI that the query asks for, by default 3.1. Raises InvalidRequest for any other."""
    given = call.query.get("version", "3.1")
    if given not in OPENAPI_VERSIONS:
        refuse("version", f"must be one of {', '.join(OPENAPI_VERSIONS)}", given)
    return given


def _decode_object(body: bytes) -> JsonObject:
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(FieldProblem(field="body", allowed="must be at most 64 KB", given=f"{len(body)} bytes"))
    if not body.strip():
        return {}
    try:
        payload = decode_json(body)
    except RecursionError:
        refuse("body", f"must not be nested deeper than {MAX_NESTING} levels")
    except UnicodeError:
        refuse("body", "must be a JSON object in UTF-8, without halves of surrogate pairs")
    except ValueError as wrong:
        refuse("body", f"must be a JSON object ({wrong})")
    if not isinstance(payload, dict):
        refuse("body", "must be a JSON object, like {}", payload)
    return payload


def decode_idempotency_key(call: Call) -> str | None:
    """Return the Idempotency-Key header, or None. It is a quoted string in the IETF draft. It may be unquoted too."""
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


def _field_problem(error: Any, model: type[BaseModel], of: str, not_allowed: Mapping[str, str]) -> FieldProblem:
    """Encode an error of pydantic in our words: the field, what is allowed and what was given."""
    location = ".".join(str(part) for part in error["loc"])[:_MAX_SHOWN]
    if error["loc"][1:] and error["loc"][-1] == "[key]":
        return FieldProblem(field="parameters", allowed=f"names must be 1 to {MAX_PARAMETER_NAME} characters")
    if error["type"] == "extra_forbidden" and location in not_allowed:
        allowed = not_allowed[location]
    elif error["type"] == "extra_forbidden":
        near = _nearest(str(error["loc"][-1]), model.model_fields)
        allowed = f"is not a field of {of}; there are {', '.join(model.model_fields)}{near}"
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
"""Our words for pydantic's kinds of error. The error of read_flag already has its own words."""


_UNSAID = object()


def refuse(name: str, allowed: str, given: object = _UNSAID) -> NoReturn:
    shown = None if given is _UNSAID else _shown(given)
    raise InvalidRequest(FieldProblem(field=name, allowed=allowed, given=shown))


def _shown(value: object) -> str:
    """Return a given value as one short line. An address may be a credential, so it is not shown."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if "://" in text:
        return "an address"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
