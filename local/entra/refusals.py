"""What Entra ID answers when it refuses a call of authorize or token: the OAuth error, its own number, and a sentence.

Source of the form and of the numbers: Microsoft, "Microsoft Entra authentication and authorization error codes".
Numbers that are not there were read in public reports of clients that met them.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

ERROR_HEADER = "x-ms-clitelem"
"""Entra names the number of the error in this header of an answer: `1,50011,0,,`."""


class Refusal(Exception):
    """A call is refused.

    error: the OAuth error, like invalid_grant. number: Entra's, without AADSTS. suberror: only some answers have one.
    """

    def __init__(self, error: str, number: int, text: str, *, suberror: str | None = None) -> None:
        super().__init__(f"AADSTS{number}: {text}")
        self.error, self.number, self.suberror = error, number, suberror

    @property
    def headers(self) -> dict[str, str]:
        return {ERROR_HEADER: f"1,{self.number},0,,"}


def missing(name: str) -> Refusal:
    """A parameter that must be there is missing or empty."""
    return Refusal("invalid_request", 900144, f"The request body must contain the following parameter: '{name}'.")


def unknown_tenant(tenant: str) -> Refusal:
    return Refusal(
        "invalid_tenant",
        90002,
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the"
        " correct cloud.",
    )


def unknown_client(client_id: str, tenant: str) -> Refusal:
    return Refusal(
        "unauthorized_client",
        700016,
        f"Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen if the"
        " application has not been installed by the administrator of the tenant.",
    )


def wrong_method(used: str, accepted: str) -> Refusal:
    return Refusal(
        "invalid_request", 900561, f"The endpoint only accepts {accepted} requests. Received a {used} request."
    )


def error_document(refusal: Refusal, now: float) -> dict[str, object]:
    """The JSON of the token endpoint. `now` is in epoch seconds."""
    trace, correlation, timestamp = _made_up(now)
    document: dict[str, object] = {
        **_described(refusal, trace, correlation, timestamp),
        "error_codes": [refusal.number],
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": correlation,
    }
    return document if refusal.suberror is None else document | {"suberror": refusal.suberror}


def error_parameters(refusal: Refusal, now: float) -> dict[str, str]:
    """The parameters that authorize adds to the page's address. `now` is in epoch seconds."""
    return _described(refusal, *_made_up(now))


def _described(refusal: Refusal, trace: str, correlation: str, timestamp: str) -> dict[str, str]:
    lines = (str(refusal), f"Trace ID: {trace}", f"Correlation ID: {correlation}", f"Timestamp: {timestamp}")
    return {
        "error": refusal.error,
        "error_description": "\r\n".join(lines),
        "error_uri": f"https://login.microsoftonline.com/error?code={refusal.number}",
    }


def _made_up(now: float) -> tuple[str, str, str]:
    timestamp = datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return str(uuid.uuid4()), str(uuid.uuid4()), timestamp
