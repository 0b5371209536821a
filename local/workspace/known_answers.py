"""Answers that Databricks, and gateways, proxies and sign-in pages before it, were seen to give; each has a name.

A test that plays one reads like its case: `workspace.answer_with("feature_disabled", route="/pipelines/{id}")`.
The texts and ids are made up.
"""

from __future__ import annotations

import json
from typing import Any

from local.messages import Reply

_HTML = "text/html; charset=utf-8"
_SIGN_IN = "<!DOCTYPE html><html><head><title>Sign In</title></head><body>Sign in to Databricks</body></html>"


def _error(status: int, error_code: str | int, message: str, **more: Any) -> dict[str, Any]:
    return {"status": status, "body": json.dumps({"error_code": error_code, "message": message}), **more}


ANSWERS: dict[str, dict[str, Any]] = {
    # An unknown route
    "bad_target": {"status": 404, "body": json.dumps({"error": "Bad Target: /api/2.0/pipelines"})},
    "endpoint_not_found": _error(404, "ENDPOINT_NOT_FOUND", "No API found for 'POST /pipelines'"),
    "not_found": _error(404, "NOT_FOUND", "Not found."),
    "gateway_not_found": {"status": 404, "body": json.dumps({"statusCode": 404, "message": "Resource not found"})},
    "bad_request_for_route": _error(400, "BAD_REQUEST", "Unsupported operation."),
    "method_not_allowed": {"status": 405, "body": "Method Not Allowed", "content_type": "text/plain"},
    "not_implemented": {"status": 501, "body": "Not Implemented", "content_type": "text/plain"},
    # A 404 that is not about the pipeline
    "feature_disabled": _error(404, "FEATURE_DISABLED", "The feature is disabled for this workspace."),
    "workspace_not_found": _error(
        404, "RESOURCE_DOES_NOT_EXIST", "The workspace with resource ID /subscriptions/0/x could not be found."
    ),
    # A refused token
    "invalid_issuer": _error(
        400,
        "BAD_REQUEST",
        "io.jsonwebtoken.IncorrectClaimException: Expected iss claim to be: https://sts.windows.net/1/, but was: 2.",
    ),
    "invalid_token_text": {"status": 400, "body": "Invalid Token", "content_type": "text/plain"},
    "bad_request_page": {"status": 400, "body": "<html><body>Bad Request</body></html>", "content_type": _HTML},
    "token_expiring": _error(403, "PERMISSION_DENIED", "Token is expiring within 30 seconds."),
    "invalid_access_token_page": {"status": 403, "body": "<html>Invalid access token.</html>", "content_type": _HTML},
    # A refused network
    "private_link": {
        "status": 302,
        "body": "",
        "headers": {"Location": "/login.html?error=private-link-validation-error:1"},
        "content_type": _HTML,
    },
    "ip_blocked": _error(
        403, 403, "Source IP address: 203.0.113.7 is blocked by Databricks IP ACL for workspace: 1122334455667788"
    ),
    "invalid_access_to_org": {"status": 403, "body": "Invalid access to Org: 1", "content_type": "text/plain"},
    # Other refusals
    "forbidden": _error(403, "PERMISSION_DENIED", "User does not have View permission on the pipeline."),
    "throttled": _error(429, "REQUEST_LIMIT_EXCEEDED", "Too many requests."),
    "unavailable": _error(503, "TEMPORARILY_UNAVAILABLE", "The service is temporarily unavailable."),
    "page_token_gone": _error(404, "RESOURCE_DOES_NOT_EXIST", "The page token does not exist."),
    # A success that is none
    "sign_in_page": {"status": 200, "body": _SIGN_IN, "content_type": _HTML},
    "page_without_updates": {"status": 200, "body": json.dumps({"next_page_token": "x"})},
    "pipeline_without_spec": {"status": 200, "body": "{}"},
    "empty_body": {"status": 200, "body": ""},
}


def find(name: str) -> dict[str, Any]:
    """The status, body, headers and content type of that answer. Raises ValueError for a name that there is not."""
    if name not in ANSWERS:
        raise ValueError(f"no such answer: {name!r}; there are {', '.join(ANSWERS)}")
    return ANSWERS[name]


def reply(name: str) -> Reply:
    """That answer as a whole. Raises ValueError for a name that there is not."""
    answer = find(name)
    return Reply(
        status=answer["status"],
        headers=answer.get("headers", {}),
        body=answer["body"].encode(),
        content_type=answer.get("content_type", "application/json"),
    )
