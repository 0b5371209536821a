"""How many calls one receiver may have under way, by how fast it answers."""

from __future__ import annotations


class HostPace:
    """Counts the calls to one receiver, and says how many more may begin. The caller locks it.

    A receiver gets one call at first, and twice as many after each answer within `QUICK_SECONDS`. While one of its
    calls takes longer, none begins beyond `MOST_WHILE_SLOW`. So a receiver that stops answering gets no further calls.
    """

    MOST = 20
    MOST_WHILE_SLOW = 4
    QUICK_SECONDS = 1.0

    def __init__(self) -> None:
        self._share = 1
        self._began: list[float] = []
        self.under_way = 0
        """The calls that were taken and not released."""

    def is_slow(self, now: float) -> bool:
        """Whether the receiver lets a call wait too long."""
        return bool(self._began) and now - min(self._began) > self.QUICK_SECONDS

    def room(self, now: float) -> int:
        """How many calls may be taken. 0 until half of the share is free, so that many can be prepared together."""
        most = min(self._share, self.MOST_WHILE_SLOW) if self.is_slow(now) else self._share
        free = most - self.under_way
        return free if 2 * free >= most else 0

    def take(self, count: int) -> None:
        self.under_way += count

    def release(self, count: int) -> None:
        self.under_way -= count

    def begin(self, now: float) -> None:
        """Note that the receiver is called now."""
        self._began.append(now)

    def end(self, began: float, now: float, *, answered: bool) -> None:
        """Note that the call ended that began at `began`. `answered`: whether there was a response."""
        self._began.remove(began)
        if answered and now - began <= self.QUICK_SECONDS:
            self._share = min(self.MOST, 2 * self._share)
        else:
            self._share = max(1, self._share // 2)
