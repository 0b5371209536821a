"""What can happen to a call, and which call it happens to. Safe to use from all threads."""

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
    """What happens to the calls it matches.

    kind:
        delay: the true answer, `seconds` late; "before": the upstream gets the call that late, "after": at once.
        reset: the connection is reset without an answer.
        late: reset at once, and the upstream executes the call `seconds` later all the same.
        held: reset at once, and the upstream executes the call at the plan's release(), if that ever comes.
        hang: no answer; the connection stays open until the caller gives up, `seconds` at the most.
        half: half of the true answer, then the connection is closed.
        trickle: the true answer, its body dripping over `seconds`.
        status: an answer of `status`, `headers` and `body`.
    when: "before" the upstream has seen the call (reset, hang, status: it never does), or "after" it has executed it.
    upstream, label: None matches all; a label may hold `*`. after: this many matching calls pass first. times: this
        many then meet the fault; None: all.
    then_down: with this call the caller dies. Nothing of it gets through any more, until the plan's up().
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
        """Whether the upstream gets the call, sooner or later."""
        return self.when == "after" or self.kind in {"delay", "late", "held", "half", "trickle"}

    def wait_before(self, closing: threading.Event) -> None:
        """Wait as long as the upstream is to get the call later."""
        if self.kind == "delay" and self.when == "before":
            closing.wait(self.seconds)

    def wait_after(self, request: Request, closing: threading.Event) -> None:
        """Wait as long as the answer is to come later, or until the caller gives up."""
        if self.kind == "delay" and self.when == "after":
            closing.wait(self.seconds)
        elif self.kind == "hang":
            request.wait_for_the_caller_to_leave(self.seconds, closing)

    def reply(self, true_reply: Reply | None) -> Reply:
        """What the caller gets in place of the true reply, which is None where the upstream gave none."""
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
    """One call as the proxy saw it; `fault` is what happened to it."""

    upstream: str
    label: str
    fault: Fault | None


class FaultPlan:
    """The faults of one or several proxies, and the calls they all saw, in order of arrival.

    A call meets the oldest fault that matches it and is due, else, when `rate` is set, one of the random ones. `down`
    is what a call meets after its caller died, by upstream; a reset where it names none. Only `keep` calls are
    remembered.
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
        """From now on each call meets one of `choices` with the probability `rate`, none of them at 0."""
        with self._lock:
            self._rate, self._choices, self._random = rate, choices, random.Random(seed)

    def hold(self, execute: Callable[[], None]) -> None:
        """Keep a call that the upstream is to execute at release()."""
        with self._lock:
            self._held.append(execute)

    @property
    def is_holding(self) -> bool:
        return bool(self._held)

    def release(self) -> None:
        """Let the held calls go on to their upstreams; a proxy counts them as under way from now on."""
        with self._lock:
            held, self._held = self._held, []
        for execute in held:
            execute()

    def clear(self) -> None:
        """No more faults, and up again. The calls stay, and what is held stays so."""
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
        """How many calls there were, and how many of them met a fault, since the beginning."""
        with self._lock:
            return dict(self._counts)

    def meet(self, upstream: str, label: str) -> Fault | None:
        """Remember a call, and give what is to happen to it."""
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
