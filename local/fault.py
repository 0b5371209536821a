"""The faults that a proxy or the simulated workspace plays, and a plan of them. Safe to use from all threads."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal, get_args

from local.messages import RESET, Reply, Request

Kind = Literal["delay", "reset", "late", "held", "hang", "half", "trickle", "status"]
When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the calls that match.

    kind:
        delay: the true response comes `seconds` late. With "before" the upstream gets the call late, with "after" at
            once.
        reset: the connection is reset without a response.
        late: the connection is reset at once. The upstream still executes the call `seconds` later.
        held: the connection is reset at once. The upstream executes the call at the plan's release(), if it is called.
        hang: there is no response. The connection stays open until the caller gives up, at most for `seconds`.
        half: half of the true response is sent, then the connection is closed.
        trickle: the true response is sent, its body in small pieces over `seconds`.
        status: the response is made of `status`, `headers` and `body`.
    when: "before": the fault happens before the upstream has seen the call. With reset, hang and status the upstream
        never sees it. "after": the fault happens after the upstream has executed the call.
    upstream, label: the fault matches only calls with these names. None matches all. A label may contain `*`.
    after: so many matching calls pass without the fault.
    times: so many calls then get the fault. None means all.
    then_down: the caller is taken for dead from this call on. None of its calls get through until the plan's up().
    """

    kind: Kind
    when: When = "before"
    upstream: str | None = None
    label: str | None = None
    after: int = 0
    times: int | None = 1
    seconds: float = 0.0
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    body: str = ""
    content_type: str | None = None
    then_down: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.when not in get_args(When):
            raise ValueError(f"no such fault: {self.kind!r} {self.when!r}")

    @property
    def executes(self) -> bool:
        """Whether the upstream executes the call, now or later."""
        return self.when == "after" or self.kind in {"delay", "late", "held", "half", "trickle"}

    def wait_before(self, closing: threading.Event) -> None:
        """Wait, if the fault delays the call before the upstream gets it."""
        if self.kind == "delay" and self.when == "before":
            closing.wait(self.seconds)

    def wait_after(self, request: Request, closing: threading.Event) -> None:
        """Wait, if the fault delays the response. A hang ends early when the caller closes the connection."""
        if self.kind == "delay" and self.when == "after":
            closing.wait(self.seconds)
        elif self.kind == "hang":
            request.wait_for_the_caller_to_leave(self.seconds, closing)

    def reply(self, true_reply: Reply | None) -> Reply:
        """What the caller gets instead of the true reply. `true_reply` is None when the upstream gave no reply."""
        if self.kind == "status":
            return Reply(
                status=self.status,
                headers=self.headers,
                body=self.body.encode(),
                content_type=self.content_type,
                reason="Fault",
            )
        if true_reply is None or self.kind in {"reset", "late", "held", "hang"}:
            return RESET
        if self.kind == "half":
            return replace(true_reply, manner="half")
        if self.kind == "trickle":
            return replace(true_reply, manner="trickle", seconds=self.seconds)
        return true_reply


@dataclass(frozen=True, slots=True)
class SeenCall:
    """One call as the proxy saw it. `fault` is the fault that it got, or None."""

    upstream: str
    label: str
    fault: Fault | None


class FaultPlan:
    """The faults of one or several proxies, and the calls that they saw, in order of arrival.

    A call gets the oldest fault that matches it and is due. If there is none and `rate` is over 0, it may get a random
    fault. While the caller is taken for dead, a call gets the fault in `down` for its upstream, or else a reset. Only
    the first `keep` calls are remembered.
    """

    def __init__(self, *, down: Mapping[str, Fault] | None = None, keep: int = 100_000) -> None:
        self._down = down or {}
        self._keep = keep
        self._lock = threading.Lock()
        self._faults: list[tuple[Fault, list[int]]] = []
        self._calls: list[SeenCall] = []
        self._counts = {"calls": 0, "faults": 0}
        self._is_down = False
        self._held: list[Callable[[], None]] = []
        self._rate, self._random = 0.0, random.Random(0)
        self._choices: Sequence[Fault] = ()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append((fault, [0]))

    def at_random(self, rate: float, choices: Sequence[Fault], seed: int) -> None:
        """From now on each call gets one of `choices` with the probability `rate`. A rate of 0 turns this off."""
        with self._lock:
            self._rate, self._choices, self._random = rate, choices, random.Random(seed)

    def hold(self, execute: Callable[[], None]) -> None:
        """Keep a held call. release() executes it."""
        with self._lock:
            self._held.append(execute)

    @property
    def is_holding(self) -> bool:
        return bool(self._held)

    def release(self) -> None:
        """Execute the held calls. Their proxies count them as in flight from now on."""
        with self._lock:
            held, self._held = self._held, []
        for execute in held:
            execute()

    def clear(self) -> None:
        """Remove all faults and end the downtime. The remembered calls and the held calls stay."""
        with self._lock:
            self._faults.clear()
            self._rate, self._is_down = 0.0, False

    def up(self) -> None:
        with self._lock:
            self._is_down = False

    @property
    def is_down(self) -> bool:
        return self._is_down

    def calls(self) -> list[SeenCall]:
        with self._lock:
            return list(self._calls)

    def clear_calls(self) -> None:
        with self._lock:
            self._calls.clear()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many calls there were, and how many of them got a fault, since the plan was made."""
        with self._lock:
            return dict(self._counts)

    def meet(self, upstream: str, label: str) -> Fault | None:
        """Remember a call, and return the fault that it gets, or None."""
        with self._lock:
            fault = self._next(upstream, label)
            self._is_down = self._is_down or (fault is not None and fault.then_down)
            self._counts["calls"] += 1
            self._counts["faults"] += fault is not None
            if len(self._calls) < self._keep:
                self._calls.append(SeenCall(upstream, label, fault))
            return fault

    def _next(self, upstream: str, label: str) -> Fault | None:
        if self._is_down:
            return self._down.get(upstream, _RESET)
        for fault, seen in self._faults:
            if fault.upstream not in (None, upstream):
                continue
            if fault.label is not None and not fnmatchcase(label, fault.label):
                continue
            seen[0] += 1
            number = seen[0] - fault.after
            if number >= 1 and (fault.times is None or number <= fault.times):
                return fault
        fits = [fault for fault in self._choices if fault.upstream in (None, upstream)] if self._rate else []
        return self._random.choice(fits) if fits and self._random.random() < self._rate else None


_RESET = Fault("reset")
