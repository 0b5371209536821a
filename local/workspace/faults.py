"""Faults on demand: which call meets which one. How a fault is played out on the connection is in server.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from local.workspace.api import ROUTES
from local.workspace.identity import ROUTE as IDENTITY_ROUTE
from local.workspace.wire import Reply

Kind = Literal["status", "reset", "hang", "delay", "trickle", "half", "garbage"]
When = Literal["before", "after"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to the calls it matches.

    kind:
        status: an answer of `status`, `headers`, and a body: `body` with `content_type` when given, else Databricks'
            JSON of `error_code` (a string or a number) and `message`.
        reset: the connection is reset without an answer.
        hang: nothing for `seconds`, then as reset.
        delay: the true answer, `seconds` late. `when="before"` also executes it that late: a caller who has given up
            meanwhile does not stop it.
        trickle: the true answer, its body dripping over `seconds`.
        half: the headers and half the body of the true answer, then the connection is closed.
        garbage: `status` (200) with `body`: any text.
    when: "before" the call takes effect (it never does, delay excepted), or "after" it did. trickle and half are
        always after.
    method, route: None matches every call of the API. The identity endpoint is matched by its route only, "/msi/token".
    after: so many matching calls pass first. times: so many then meet the fault; None: all.
    """

    kind: Kind
    when: When = "before"
    method: str | None = None
    route: str | None = None
    times: int | None = 1
    after: int = 0
    status: int = 500
    error_code: str | int = "INTERNAL_ERROR"
    message: str = "A fault that was asked for."
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    content_type: str = "application/json"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is one of {', '.join(get_args(Kind))}, not {self.kind!r}")
        if self.when not in get_args(When):
            raise ValueError(f"when is one of {', '.join(get_args(When))}, not {self.when!r}")
        if self.route is not None and self.route not in (*ROUTES, IDENTITY_ROUTE):
            raise ValueError(f"route is one of {', '.join((*ROUTES, IDENTITY_ROUTE))}, not {self.route!r}")

    @property
    def executes(self) -> bool:
        """Whether the call takes effect."""
        return self.when == "after" or self.kind in ("delay", "trickle", "half")

    def reply(self) -> Reply:
        """The answer of a status or garbage fault."""
        text = self.body
        if text is None:
            text = json.dumps({"error_code": self.error_code, "message": self.message})
        return Reply(status=self.status, body=text.encode(), content_type=self.content_type, headers=self.headers)


class Faults:
    """The faults that are set. A call meets the oldest one that matches it and is due; no call meets two."""

    def __init__(self) -> None:
        self._set: list[Fault] = []
        self._seen: list[int] = []

    def add(self, fault: Fault) -> None:
        self._set.append(fault)
        self._seen.append(0)

    def clear(self) -> None:
        self._set.clear()
        self._seen.clear()

    def meet(self, method: str, route: str) -> Fault | None:
        """The fault of this call, counted; None for a call that goes through."""
        for index, fault in enumerate(self._set):
            if fault.method not in (None, method):
                continue
            if fault.route != route and (fault.route is not None or route == IDENTITY_ROUTE):
                continue
            self._seen[index] += 1
            number = self._seen[index] - fault.after
            if number >= 1 and (fault.times is None or number <= fault.times):
                return fault
        return None
