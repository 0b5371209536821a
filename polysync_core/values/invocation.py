"""The invocation of a function, as the Functions host names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """`id` is the host's id of the invocation, also in its own log lines. It is empty outside a host.

    `traceparent` and `tracestate` are the trace that the host is in: https://www.w3.org/TR/trace-context/. With an HTTP
    request, it is the caller's trace if the caller has sent one.
    """

    id: str = ""
    traceparent: str = ""
    tracestate: str = ""


NO_INVOCATION = Invocation()
