"""The calls of authorize, token and logout, as tests read them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from local.entra.refusals import ERROR_HEADER
from local.messages import Reply, Request


@dataclass(frozen=True, kw_only=True)
class SignInCall:
    """One call.

    route: authorize, token or logout. origin: the header Origin, or None.
    parameters: those of the query, or of the body of a POST. A repeated one has its last value.
    status: what was sent. None when the connection was closed without a status.
    error: Entra's number, like 50011, or None.
    """

    route: str
    method: str
    origin: str | None
    parameters: Mapping[str, str]
    status: int | None
    error: int | None


def record(route: str, request: Request, reply: Reply) -> SignInCall:
    sent = request.body.decode(errors="replace") if request.method == "POST" else request.query
    found = dict(reply.pairs).get(ERROR_HEADER)
    return SignInCall(
        route=route,
        method=request.method,
        origin=request.headers.get("origin"),
        parameters=dict(parse_qsl(sent, keep_blank_values=True)),
        status=None if reply.manner == "reset" else reply.status,
        error=None if found is None else int(found.split(",")[1]),
    )
