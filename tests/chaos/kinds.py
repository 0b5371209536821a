"""What is done to a call: each kind of fault, as its upstream would show it."""

from __future__ import annotations

import json
from collections.abc import Callable

from local.faults import Fault
from tests.chaos.stage import RECEIVER, STORAGE, WORKSPACE

Aim = Callable[[str, str | None, int], Fault]
"""(upstream, label, how many such calls pass first) -> the fault of that call."""

_JSON = {"Content-Type": "application/json"}
_HTML = {"Content-Type": "text/html"}
_PAGE = "<html><head><title>Gateway</title></head><body>Not today.</body></html>"
_STORAGE_CODES = {403: "AuthorizationFailure", 500: "InternalError", 503: "ServerBusy", 504: "OperationTimedOut"}
_WORKSPACE_CODES = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL_ERROR"}


def _error(upstream: str, status: int) -> str:
    if upstream == STORAGE:
        code = _STORAGE_CODES.get(status, "InternalError")
        return json.dumps({"odata.error": {"code": code, "message": {"lang": "en-US", "value": "A fault."}}})
    return json.dumps({"error_code": _WORKSPACE_CODES.get(status, "TEMPORARILY_UNAVAILABLE"), "message": "A fault."})


def _plain(kind: str, when: str = "before", seconds: float = 0.0, then_down: bool = False) -> Aim:
    def aim(upstream: str, label: str | None, after: int) -> Fault:
        return Fault(
            kind,  # type: ignore[arg-type]
            when,  # type: ignore[arg-type]
            upstream=upstream,
            label=label,
            after=after,
            seconds=seconds,
            then_down=then_down,
        )

    return aim


def _status(status: int, when: str, times: int = 1) -> Aim:
    def aim(upstream: str, label: str | None, after: int) -> Fault:
        headers = _JSON | ({"Retry-After": "1"} if status == 429 else {})
        return Fault(
            "status",
            when,  # type: ignore[arg-type]
            upstream=upstream,
            label=label,
            after=after,
            times=times,
            status=status,
            headers=headers,
            body=_error(upstream, status),
        )

    return aim


def _page(status: int, when: str) -> Aim:
    def aim(upstream: str, label: str | None, after: int) -> Fault:
        return Fault(
            "status",
            when,  # type: ignore[arg-type]
            upstream=upstream,
            label=label,
            after=after,
            status=status,
            headers=_HTML,
            body=_PAGE,
        )

    return aim


KINDS: dict[str, Aim] = {
    "delay": _plain("delay", seconds=0.05),
    "reset before": _plain("reset"),
    "reset after": _plain("reset", "after"),
    "reset, executed later": _plain("late", seconds=0.15),
    "half an answer": _plain("half"),
    "500 before": _status(500, "before"),
    "500 after": _status(500, "after"),
    "503 before": _status(503, "before"),
    "503 after": _status(503, "after"),
    "504 after": _status(504, "after"),
    "403 before": _status(403, "before"),
    "200 page before": _page(200, "before"),
    "200 page after": _page(200, "after"),
    "killed before": _plain("reset", then_down=True),
    "killed after": _plain("reset", "after", then_down=True),
}
"""All sides. A success that is a page of HTML is what a proxy on the way answers."""

ONLY: dict[str, dict[str, Aim]] = {
    STORAGE: {
        "500 after, 3 times": _status(500, "after", times=3),
        "503 before, 9 times": _status(503, "before", times=9),
    },
    WORKSPACE: {
        "401 before": _status(401, "before"),
        "429 before": _status(429, "before"),
        "404 page before": _page(404, "before"),
        "502 page after": _page(502, "after"),
    },
}


def kinds_of(upstream: str) -> dict[str, Aim]:
    """A success that the receiver never saw is left out for it: nobody could tell it from a delivery."""
    if upstream == RECEIVER:
        return {name: aim for name, aim in KINDS.items() if name != "200 page before"}
    return KINDS | ONLY[upstream]


def random_faults() -> list[Fault]:
    """One of each kind for each side, for any call; but nobody is killed, and none fails several times on end."""
    return [
        aim(upstream, None, 0)
        for upstream in (STORAGE, WORKSPACE, RECEIVER)
        for name, aim in kinds_of(upstream).items()
        if "killed" not in name and "times" not in name
    ]
