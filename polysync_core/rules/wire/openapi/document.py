"""The OpenAPI 3.1 document of all routes, made from the routes and the schemas. It is built on its first request."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from polysync_core import __version__
from polysync_core.rules.decisions.roles import ROLE_OF_ROUTE, WHOLE_APP
from polysync_core.rules.wire.addresses import POLL_AFTER_SECONDS, PREFIX
from polysync_core.rules.wire.http_answers import ProblemDocument, internal_error, problem
from polysync_core.rules.wire.http_contract import ALL_WORKSPACES, MAX_LIST, OPENAPI_VERSIONS
from polysync_core.rules.wire.job_contract import MAX_CONTINUATION
from polysync_core.rules.wire.openapi import examples
from polysync_core.rules.wire.openapi.app_routes import APP_ROUTES
from polysync_core.rules.wire.openapi.job_routes import JOB_ROUTES
from polysync_core.rules.wire.openapi.operation import JSON, Answer, Body, Operation
from polysync_core.rules.wire.openapi.run_routes import RUN_ROUTES
from polysync_core.rules.wire.openapi.schemas import component_schemas, ref
from polysync_core.values.errors import PolysyncError
from polysync_core.values.ids import ID_PATTERN
from polysync_core.values.run import JsonObject, Status

PROBLEM = "application/problem+json"
_OF_THE_DOOR = (examples.NOT_SIGNED_IN, examples.ROLE_MISSING, examples.WORKSPACE_UNKNOWN, examples.SIGN_IN)
"""What a guarded route answers where callers sign in."""
OPERATIONS = (*RUN_ROUTES, *JOB_ROUTES, *APP_ROUTES)
_DESCRIPTION = (
    "Starts updates of Databricks pipelines, follows each one to its true end, and imports pipelines as jobs.\n\n"
    "A function key opens every route that is not open to all, in the header `x-functions-key` or as `?code=`; without "
    "it the host answers 401. The host answers 404 for an address or a method that no function has. Both have no body. "
    "An app may ask its callers to sign in with Entra ID instead. Then an access token opens the routes of its roles, "
    "and each operation names its role. "
    "Every other error is `application/problem+json`, whose `code` is for programs. "
    "An empty value in the query counts as not given."
)
_TAGS = {
    "runs": "Start, watch, await and cancel updates",
    "jobs": "Pipelines imported into Polysync, and their parameters",
    "app": "The app itself",
}


def openapi_document(base_url: str, start_options: tuple[str, ...] = ()) -> JsonObject:
    """Return the document of the app at `base_url`, which has no slash at the end. A path in it replaces /api.

    The app allows these start options.
    """
    document = _document(start_options)
    if urlsplit(base_url).path:
        paths = {path.removeprefix(PREFIX): told for path, told in document["paths"].items()}
        document = {**document, "paths": paths}
    return {**document, "servers": [{"url": base_url}]}


@functools.cache
def _document(start_options: tuple[str, ...]) -> Mapping[str, Any]:
    paths: dict[str, dict[str, object]] = {}
    for operation in OPERATIONS:
        paths.setdefault(f"{PREFIX}/{operation.path}", {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Polysync", "version": __version__, "description": _DESCRIPTION},
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "security": [{"keyInHeader": []}, {"keyInQuery": []}, {"signIn": []}],
        "components": {
            "schemas": component_schemas(start_options),
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "securitySchemes": {
                "keyInHeader": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "keyInQuery": {"type": "apiKey", "in": "query", "name": "code"},
                "signIn": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Where callers sign in: `Bearer` and an access token of Entra ID.",
                },
            },
        },
    }


def _operation(operation: Operation) -> dict[str, object]:
    told: dict[str, object] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    role = ROLE_OF_ROUTE[operation.name]
    needs = "" if role is None else f"Role: {role}{'' if operation.name in WHOLE_APP else ', for the workspace'}."
    if operation.description or needs:
        told["description"] = f"{operation.description} {needs}".strip()
    if operation.parameters:
        told["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in operation.parameters]
    if operation.body is not None:
        told["requestBody"] = _request_body(operation.body)
    if operation.is_anonymous:
        told["security"] = []
    return told


def _request_body(body: Body) -> dict[str, object]:
    schema = {"type": "object"} if body.model is None else ref(body.model)
    about = "Nothing in it is read." if body.model is None else "At most 64 KB."
    content = {JSON: {"schema": schema, "examples": _examples(body.examples)}}
    return {"description": about, "required": body.required, "content": content}


def _responses(operation: Operation) -> dict[str, object]:
    """Return the responses by status: those of the app, its problems, and those of the host, which have no body."""
    responses: dict[int, dict[str, Any]] = {answer.status: _response(answer) for answer in operation.answers}
    errors = operation.errors if operation.reports_bad_settings else (*operation.errors, examples.SETTINGS)
    if not operation.is_anonymous:
        errors = (*errors, *_OF_THE_DOOR)
    for status in sorted({error.http_status for error in errors}):
        own = responses.get(status)
        found = _problem_response(operation, [error for error in errors if error.http_status == status])
        responses[status] = found if own is None else _joined(own, found)
    bug = internal_error("0b54e8f1c2d94a7e8d1f6a3c5e7b9d20", _path_of(operation)).body
    responses[500] = {"description": "A fault of the app.", "content": _content(PROBLEM, {"InternalError": bug})}
    by_host = {404: "The host's own, without a body: there is no such function."}
    for status, about in by_host.items():
        responses.setdefault(status, {"description": about})
    if not operation.is_anonymous:
        told = responses[401]["description"]
        responses[401]["description"] = f"{told} Without a body, from the host: the function key is missing or wrong."
    return {str(status): responses[status] for status in sorted(responses)}


def _response(answer: Answer) -> dict[str, Any]:
    schema = {"type": "object"} if answer.model is None else ref(answer.model)
    told: dict[str, Any] = {
        "description": answer.description,
        "content": {JSON: {"schema": schema, "examples": _examples(answer.examples)}},
    }
    headers = {name: _header(name, required=True) for name in answer.headers}
    headers |= {name: _header(name, required=False) for name in answer.optional_headers}
    return told | {"headers": headers} if headers else told


def _problem_response(operation: Operation, errors: Iterable[PolysyncError]) -> dict[str, Any]:
    by_code = {error.code: error for error in errors}
    path = _path_of(operation)
    told: dict[str, Any] = {
        "description": " ".join(f"`{code}`: {error.title}." for code, error in by_code.items()),
        "content": _content(PROBLEM, {code: problem(error, path).body for code, error in by_code.items()}),
    }
    names = {name for error in by_code.values() for name in problem(error, path).headers}
    if names:
        told["headers"] = {name: _header(name, required=False) for name in sorted(names)}
    return told


def _joined(own: Mapping[str, Any], problems: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a status that is used for both a normal response and a problem."""
    return {
        "description": f"{own['description']} {problems['description']}",
        "content": own["content"] | problems["content"],
        "headers": problems.get("headers", {}) | own.get("headers", {}),
    }


def _content(media_type: str, shown: Mapping[str, object]) -> dict[str, object]:
    return {media_type: {"schema": ref(ProblemDocument), "examples": _examples(shown)}}


def _examples(shown: Mapping[str, object]) -> dict[str, object]:
    return {re.sub(r"\W+", "-", name): {"summary": name, "value": value} for name, value in shown.items()}


def _path_of(operation: Operation) -> str:
    path = f"{PREFIX}/{operation.path}"
    for name, parameter in _PARAMETERS.items():
        path = path.replace(f"{{{name}}}", str(parameter["example"]))
    return path


def _header(name: str, *, required: bool) -> dict[str, object]:
    return {"required": True, **_HEADERS[name]} if required else {"$ref": f"#/components/headers/{name}"}


_HEADERS: Mapping[str, Mapping[str, object]] = {
    "Location": {
        "description": "The await address: 202 while the run goes on, then how it ended.",
        "schema": {"type": "string", "format": "uri"},
    },
    "Operation-Location": {
        "description": "The status address: always 200 with the run.",
        "schema": {"type": "string", "format": "uri"},
    },
    "WWW-Authenticate": {
        "description": "Where callers sign in: `Bearer`, and what is wrong with the token.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next request.",
        "schema": {"type": "integer", "minimum": 0},
        "example": POLL_AFTER_SECONDS,
    },
}


def _parameter(
    name: str, place: str, about: str, example: object, *, required: bool = False, **schema: object
) -> dict[str, object]:
    return {
        "name": name,
        "in": place,
        "description": about,
        "required": required or place == "path",
        "schema": {"type": "string", **schema},
        "example": example,
    }


_PARAMETERS: Mapping[str, Mapping[str, object]] = {
    "pipeline_id": _parameter(
        "pipeline_id", "path", "The id of the pipeline.", examples.RUN_ID.pipeline_id, pattern=f"^{ID_PATTERN}$"
    ),
    "run_id": _parameter(
        "run_id",
        "path",
        "{pipeline_id}:{update_id}",
        str(examples.RUN_ID),
        pattern=f"^{ID_PATTERN}:{ID_PATTERN}$",
    ),
    "name": _parameter("name", "path", "The parameter's name.", "full_refresh", minLength=1),
    "token": _parameter("token", "query", "The token of the run's await address.", examples.AWAIT_TOKEN, required=True),
    "workspace": _parameter("workspace", "query", "One of several workspaces. Left out: the default.", "default"),
    "workspaces": _parameter(
        "workspace",
        "query",
        "One of several workspaces, or `*` for all of them. Left out: the default. A continuation belongs to the list "
        "that returned it: of one workspace, or of all.",
        ALL_WORKSPACES,
    ),
    "Idempotency-Key": _parameter(
        "Idempotency-Key",
        "header",
        "Makes a repeat safe: the same key and request get the same run. With or without double quotes around it.",
        examples.KEY,
        pattern="^[!-~][ -~]{0,256}$",
    ),
    "status": _parameter("status", "query", "Only runs of this status.", "Running", enum=[*Status]),
    "pipelineId": _parameter(
        "pipelineId", "query", "Only runs of this pipeline.", examples.RUN_ID.pipeline_id, pattern=f"^{ID_PATTERN}$"
    ),
    "active": _parameter("active", "query", "Only runs that are not finished.", True, type="boolean", default=False),
    "since": _parameter(
        "since",
        "query",
        "Only runs that were started at this time or later.",
        "2026-11-01T00:00:00Z",
        format="date-time",
    ),
    "until": _parameter(
        "until", "query", "Only runs that were started before this time.", "2026-12-01T00:00:00Z", format="date-time"
    ),
    "finishedSince": _parameter(
        "finishedSince",
        "query",
        "Only runs that finished at this time or later. Not beside `active=true`.",
        "2026-11-01T00:00:00Z",
        format="date-time",
    ),
    "limit": _parameter(
        "limit", "query", "The most items of a page.", 50, type="integer", minimum=1, maximum=MAX_LIST, default=50
    ),
    "continuation": _parameter(
        "continuation",
        "query",
        "That of the page before. Also a page without items may have one.",
        examples.CONTINUATION,
    ),
    "version": _parameter(
        "version", "query", "The version of OpenAPI.", "2.0", enum=[*OPENAPI_VERSIONS], default="3.1"
    ),
    "discovery": _parameter(
        "continuation", "query", "That of an earlier report, to go on from there.", "e30=", maxLength=MAX_CONTINUATION
    ),
}
