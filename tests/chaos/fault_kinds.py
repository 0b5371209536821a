"""What is done to a call: each kind of fault, as its upstream would show it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from local.faults import Fault
from tests.chaos.stage import RECEIVER, START, STORAGE, WORKSPACE

Aim = Callable[[str, str | None, int], Fault]
"""(upstream, label, how many such calls pass first) -> the fault of that call."""

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
    """An error in the upstream's own words."""
    headers = _JSON if retry_after is None else _JSON | {"Retry-After": str(retry_after)}
    return _fault("status", when, upstream, label, after=after, times=times, status=status, headers=headers,
                  body=_error(upstream, status))  # fmt: skip


def page_fault(
    status: int, when: str, upstream: str, label: str | None = None, *, after: int = 0, times: int | None = 1
) -> Fault:
    """A page of HTML, as a gateway answers."""
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
    """The call never got through, and it did."""
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
"""All sides. A success that is a page of HTML is what a proxy on the way answers."""

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
"""Of calls that change something: they are executed once a sweep has looked for what they did, in vain."""

HANG = "no answer, executed"
_HANG: Mapping[str, Aim] = {HANG: _plain("hang", "after", seconds=_HANG_SECONDS)}
"""Takes the client's own time-out, in real time."""

_TAKES_PLACE_OF_A_DELIVERY = frozenset({"200 page before"})
"""Nobody could tell it from a delivery, so it is left out for the receiver."""
LIES = frozenset({"403 after", "404 page after", "429 after", "429 after, Retry-After"})
"""Databricks says of a start that it did nothing, and did it: these are believed (docs/reliability.md)."""


def kinds_of(upstream: str, label: str | None) -> dict[str, Aim]:
    """The kinds that tell something about such a call, one that hangs left out.

    A read changes nothing: whether the other side has seen it is all the same.
    """
    fault_kinds = {**KINDS, **ONLY[upstream]}
    if label is not None and label.startswith("GET"):
        return {name: aim for name, aim in fault_kinds.items() if " after" not in name}
    if label is not None and upstream != RECEIVER:
        fault_kinds |= _HELD
    left_out = _TAKES_PLACE_OF_A_DELIVERY if upstream == RECEIVER else LIES if label in {None, START} else frozenset()
    return {name: aim for name, aim in fault_kinds.items() if name not in left_out}


def aim_of(fault: str, upstream: str) -> Aim:
    """The kind of that name."""
    return {**KINDS, **ONLY[upstream], **_HELD, **_HANG}[fault]


def random_faults() -> list[Fault]:
    """One of each kind for each side, for any call; but nobody is killed, and none fails several times on end."""
    return [
        aim(upstream, None, 0)
        for upstream in (STORAGE, WORKSPACE, RECEIVER)
        for name, aim in kinds_of(upstream, None).items()
        if "killed" not in name and "times" not in name
    ]
