"""The errors that every route may raise, and the decoding of JSON bodies."""

from __future__ import annotations

import json
from typing import Any

from local.messages import Reply, json_reply


class Refusal(Exception):
    """An error of the Databricks API: an HTTP status with the body `{"error_code", "message"}`."""

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
    """Decode a body that must be a JSON object. Raises Refusal 400 MALFORMED_REQUEST."""
    try:
        value = json.loads(body)
    except ValueError:
        raise malformed("Invalid JSON given in the body of the request - failed to parse given JSON") from None
    if not isinstance(value, dict):
        raise malformed("Invalid JSON given in the body of the request - expected a map")
    return value
