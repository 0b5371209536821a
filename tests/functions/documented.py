"""Checks a response against the OpenAPI document: its status, headers, media type and every field."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from openapi_schema_validator import OAS31Validator, oas31_format_checker

from polysync_core.rules.wire.openapi.document import openapi_document

_PAGE = re.compile(r"/api/page(/[^/]+)?")


@functools.cache
def document() -> Mapping[str, Any]:
    """The document as a client reads it."""
    read: Mapping[str, Any] = json.loads(json.dumps(openapi_document("https://app.example")))
    return read


@functools.cache
def operations() -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """The document's operations by method and path template."""
    return {
        (method.upper(), template): operation
        for template, item in document()["paths"].items()
        for method, operation in item.items()
    }


def operations_at(method: str, path: str) -> list[tuple[str, str]]:
    """Return all operations that match a request. The host sends it to the first function by name."""
    return [
        (taken, template)
        for taken, template in operations()
        if taken == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template) + "/?", path, re.IGNORECASE)
    ]


def check_documented(method: str, address: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Assert that a response is documented. An address that matches no operation must give the host's own 404.

    The names in `headers` are in lower case, and headers of the connection are left out.
    """
    path = urlsplit(address).path
    if _PAGE.fullmatch(path):
        return  # its files are for browsers, and tests/page checks them
    found = operations_at(method, path)
    if not found:
        assert (status, body) == (404, b""), f"{method} {path} is not documented"
        return
    responses = operations()[found[0]]["responses"]
    assert str(status) in responses, f"{found[0]} answers {status}, which is not documented"
    response = responses[str(status)]
    content = response.get("content", {})
    if status in {401, 404} and not body:
        return
    media_type = headers["content-type"]
    assert media_type in content, f"{found[0]} answers {status} as {media_type}, which is not documented"
    schema = json.dumps(content[media_type]["schema"])
    errors = [f"{error.json_path}: {error.message}" for error in _validator(schema).iter_errors(json.loads(body))]
    assert not errors, f"{found[0]} {status}: {errors}"
    told = {name.lower(): header for name, header in response.get("headers", {}).items()}
    assert set(headers) - {"content-type"} <= set(told), f"{found[0]} {status}: {headers}"
    assert {name for name, header in told.items() if header.get("required")} <= set(headers), f"{found[0]}: {headers}"


@functools.cache
def _validator(schema: str) -> OAS31Validator:
    return OAS31Validator(
        {**json.loads(schema), "components": document()["components"]}, format_checker=oas31_format_checker
    )
