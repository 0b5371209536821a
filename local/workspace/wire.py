"""Requests and replies as values, and the refusal every route may raise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request. `query` keeps repeated values in order; the names of `headers` are lower-case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def parse(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        parts = urlsplit(target)
        return cls(
            method=method,
            path=unquote(parts.path),
            query=parse_qs(parts.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in headers.items()},
            body=body,
        )

    def query_value(self, name: str) -> str | None:
        """The last value of a query parameter, None when it is absent."""
        values = self.query.get(name)
        return values[-1] if values else None


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(value: object, *, status: int = 200) -> Reply:
    return Reply(status=status, body=json.dumps(value).encode())


class Refusal(Exception):
    """An error of the Databricks API: `{"error_code", "message"}` under an HTTP status."""

    def __init__(self, status: int, error_code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code

    def reply(self) -> Reply:
        return json_reply({"error_code": self.error_code, "message": str(self)}, status=self.status)


def bad_parameter(message: str) -> Refusal:
    return Refusal(400, "INVALID_PARAMETER_VALUE", message)


def malformed(message: str) -> Refusal:
    return Refusal(400, "MALFORMED_REQUEST", message)


def json_object(body: bytes) -> dict[str, Any]:
    """Decodes a body that has to be a JSON object. Raises Refusal 400 MALFORMED_REQUEST."""
    try:
        value = json.loads(body)
    except ValueError:
        raise malformed("Invalid JSON given in the body of the request - failed to parse given JSON") from None
    if not isinstance(value, dict):
        raise malformed("Invalid JSON given in the body of the request - expected a map")
    return value
