"""The callbacks of one receiver in a delivery pass, and how many of them are under way at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.values.callback import OwedCallback, Waiter
from polysync_core.values.run import Run
from polysync_core.values.stored import Locked

MOST_AT_ONCE, MOST_WHILE_SLOW = 12, 4
QUICK_SECONDS = 1.0
"""A receiver has one thread at first, and twice as many after each answer that came within this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A callback that is due, and the workspace of its run. `number` is its place in the order of the pass."""

    number: int
    ws: WorkspaceServices
    callback: Locked[OwedCallback]

    @property
    def owed(self) -> OwedCallback:
        return self.callback.value


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyDelivery:
    """A callback that is claimed, with all that is needed to send it."""

    delivery: Delivery
    run: Locked[Run]
    waiter: Waiter


class HostQueue:
    """Callbacks of one receiver: those that wait, and those that are claimed and ready to be sent.

    The faster the receiver answers, the more calls it gets at a time. While one of them takes longer than a second, no
    call begins beyond the fourth. So a receiver that stops answering holds few threads.
    """

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._ready: deque[ReadyDelivery] = deque()
        self._is_claiming = False
        self._began: deque[float] = deque()
        self._share = 1

    def add(self, delivery: Delivery) -> None:
        """Let a callback wait for its turn."""
        self._waiting.append(delivery)

    @property
    def number(self) -> int:
        """The number of the next callback. Receivers with low numbers have their turn first."""
        return self._ready[0].delivery.number if self._ready else self._waiting[0].number

    @property
    def under_way(self) -> int:
        """The calls to the receiver that have begun and not ended."""
        return len(self._began)

    def is_slow(self, now: float) -> bool:
        """Whether a call has been under way for longer than a second."""
        return bool(self._began) and now - self._began[0] > QUICK_SECONDS

    def may_send(self, now: float) -> bool:
        """Whether another delivery may begin."""
        most = min(self._share, MOST_WHILE_SLOW) if self.is_slow(now) else self._share
        return bool(self._ready) and self.under_way < most

    def may_claim(self, now: float) -> bool:
        """Whether to claim the next callbacks. Of a receiver that answers fast, they are claimed ahead."""
        if self._is_claiming or not self._waiting or self.is_slow(now):
            return False
        return len(self._ready) < self._share if self._share > 1 else not self._ready and not self._began

    def begin_claim(self) -> list[Delivery]:
        """Take the next callbacks: so many as the receiver may get at a time."""
        self._is_claiming = True
        return [self._waiting.popleft() for _ in range(min(self._share, len(self._waiting)))]

    def end_claim(self, ready: Sequence[ReadyDelivery]) -> None:
        self._is_claiming = False
        self._ready.extend(ready)

    def begin_send(self, now: float) -> ReadyDelivery:
        """Take the next claimed callback, whose delivery begins `now`."""
        self._began.append(now)
        return self._ready.popleft()

    def end_send(self, began: float, answer_seconds: float | None) -> None:
        """End the delivery that began at `began`. `answer_seconds` is None where no answer came."""
        self._began.remove(began)
        if answer_seconds is not None and answer_seconds <= QUICK_SECONDS:
            self._share = min(MOST_AT_ONCE, 2 * self._share)
        else:
            self._share = max(1, self._share // 2)
