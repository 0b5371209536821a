"""What is answered: JSON, an error as a problem, the health. Pure: no web framework in here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polysync_core.values.errors import PolysyncError
from polysync_core.values.run import Check, JsonObject


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


def encode_health(checks: Sequence[Check]) -> Reply:
    """A line for each check; 503 when one of them failed."""
    ok = all(check.ok for check in checks)
    lines = [{"name": check.name, "ok": check.ok, "message": check.message} for check in checks]
    return Reply(status=200 if ok else 503, body={"status": "ok" if ok else "failing", "checks": lines})


def internal_error(reference: str, instance: str) -> Reply:
    """The answer to what is a bug of ours: nothing but where the log tells more."""
    told = f"This is a fault of the app; its log holds the details under the reference {reference}."
    members = problem_members("InternalError", "Something went wrong", 500, told, instance)
    return Reply(status=500, body=members | {"reference": reference}, content_type="application/problem+json")


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
