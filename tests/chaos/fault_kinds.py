"""The kinds of faults, each in the form in which its upstream would show it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from local.faults import Fault
from tests.chaos.stage import RECEIVER, START, STORAGE, WORKSPACE

Aim = Callable[[str, str | None, int], Fault]
"""Takes upstream, label, and how many such calls pass first. Returns the fault for the next such call."""

_JSON = {"Content-Type": "application/json"}
_HTML = {"Content-Type": "text/html"}
_PAGE = "<html><head><title>Gateway</title></head><body>Not today.</body></html>"
_STORAGE_CODES = {403: "AuthorizationFailure", 500: "InternalError", 503: "ServerBusy", 504: "OperationTimedOut"}
_WORKSPACE_CODES = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL_ERROR"}
_HANG_SECONDS = 60.0
"""Longer than any time-out of the app."""


def error_fault(
    status: int,
    when: str,
    upstream: str,
    label: str | None = None,
    *,
    after: int = 0,
    times: int | None = 1,
    retry_after: int | None = None,
) -> Fault:
    """An error response in the upstream's own format."""
    headers = _JSON if retry_after is None else _JSON | {"Retry-After": str(retry_after)}
    return _fault("status", when, upstream, label, after=after, times=times, status=status, headers=headers,
                  body=_error(upstream, status))  # fmt: skip


def page_fault(
    status: int, when: str, upstream: str, label: str | None = None, *, after: int = 0, times: int | None = 1
) -> Fault:
    """An HTML page, as a gateway sends it."""
    return _fault("status", when, upstream, label, after=after, times=times, status=status, headers=_HTML, body=_PAGE)


def _fault(kind: str, when: str, upstream: str, label: str | None, **more: object) -> Fault:
    return Fault(kind, when, upstream=upstream, label=label, **more)  # type: ignore[arg-type]


def _error(upstream: str, status: int) -> str:
    if upstream == STORAGE:
        code = _STORAGE_CODES.get(status, "InternalError")
        return json.dumps({"odata.error": {"code": code, "message": {"lang": "en-US", "value": "A fault."}}})
    return json.dumps({"error_code": _WORKSPACE_CODES.get(status, "TEMPORARILY_UNAVAILABLE"), "message": "A fault."})


def _plain(kind: str, when: str = "before", **more: object) -> Aim:
    return lambda upstream, label, after: _fault(kind, when, upstream, label, after=after, **more)


def _status(status: int, when: str, times: int = 1, retry_after: int | None = None) -> Aim:
    return lambda upstream, label, after: error_fault(
        status, when, upstream, label, after=after, times=times, retry_after=retry_after
    )


def _page(status: int, when: str) -> Aim:
    return lambda upstream, label, after: page_fault(status, when, upstream, label, after=after)


def _both(status: int, retry_after: int | None = None) -> Iterator[tuple[str, Aim]]:
    """Two kinds: the upstream never got the call, or it executed the call."""
    wait = "" if retry_after is None else ", Retry-After"
    for when in ("before", "after"):
        yield f"{status} {when}{wait}", _status(status, when, retry_after=retry_after)


KINDS: Mapping[str, Aim] = {
    "delay": _plain("delay", seconds=0.05),
    "reset before": _plain("reset"),
    "reset after": _plain("reset", "after"),
    "reset, executed later": _plain("late", seconds=0.15),
    "half an answer": _plain("half"),
    **dict(_both(403)),
    **dict(_both(429)),
    **dict(_both(500)),
    **dict(_both(503)),
    **dict(_both(503, retry_after=1)),
    **dict(_both(504)),
    "200 page before": _page(200, "before"),
    "200 page after": _page(200, "after"),
    "killed before": _plain("reset", then_down=True),
    "killed after": _plain("reset", "after", then_down=True),
}
"""Faults of all upstreams. A proxy on the way may answer with 200 and an HTML page."""

ONLY: Mapping[str, Mapping[str, Aim]] = {
    STORAGE: {
        "500 after, 3 times": _status(500, "after", times=3),
        "503 before, 9 times": _status(503, "before", times=9),
    },
    WORKSPACE: {
        "500 before, 9 times": _status(500, "before", times=9),
        "401 before": _status(401, "before"),
        **dict(_both(429, retry_after=1)),
        **dict(_both(502)),
        "404 page before": _page(404, "before"),
        "404 page after": _page(404, "after"),
        "502 page": _page(502, "after"),
    },
    RECEIVER: {},
}

HELD = "reset, executed after a sweep"
_HELD: Mapping[str, Aim] = {HELD: _plain("held")}
"""For calls that change something. They are executed after a sweep has looked for their effect and not found it."""

HANG = "no answer, executed"
_HANG: Mapping[str, Aim] = {HANG: _plain("hang", "after", seconds=_HANG_SECONDS)}
"""Lasts until the client's own time-out, in real time."""

_TAKES_PLACE_OF_A_DELIVERY = frozenset({"200 page before"})
"""Left out for the receiver, because the app cannot tell it from a delivery."""
LIES = frozenset({"403 after", "404 page after", "429 after", "429 after, Retry-After"})
"""Databricks denies that it executed a start that it did execute. The app believes this (docs/reliability.md)."""


def kinds_of(upstream: str, label: str | None) -> dict[str, Aim]:
    """Return the kinds of faults that are worth playing on such a call, except the one that hangs.

    A read changes nothing, so it makes no difference whether the upstream has seen it.
    """
    fault_kinds = {**KINDS, **ONLY[upstream]}
    if label is not None and label.startswith("GET"):
        return {name: aim for name, aim in fault_kinds.items() if " after" not in name}
    if label is not None and upstream != RECEIVER:
        fault_kinds |= _HELD
    left_out = _TAKES_PLACE_OF_A_DELIVERY if upstream == RECEIVER else LIES if label in {None, START} else frozenset()
    return {name: aim for name, aim in fault_kinds.items() if name not in left_out}


def aim_of(fault: str, upstream: str) -> Aim:
    """Return the kind with that name."""
    return {**KINDS, **ONLY[upstream], **_HELD, **_HANG}[fault]


def random_faults() -> list[Fault]:
    """Return one fault of each kind for each upstream, for any call. Kills and repeated failures are left out."""
    return [
        aim(upstream, None, 0)
        for upstream in (STORAGE, WORKSPACE, RECEIVER)
        for name, aim in kinds_of(upstream, None).items()
        if "killed" not in name and "times" not in name
    ]
