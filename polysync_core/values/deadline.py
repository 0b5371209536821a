"""A deadline: one moment on one clock, handed down from whoever must answer to everything that is done for them.

A deadline is measured on the clock that made it, which tests move by hand. A socket knows real seconds only: what is
left when a call begins becomes that call's time-out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self


class MonotonicClock(Protocol):
    """Anything that counts seconds which never go back."""

    def monotonic(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which something must have ended: `at` is in seconds on `clock`."""

    clock: MonotonicClock
    at: float

    @classmethod
    def after(cls, clock: MonotonicClock, seconds: float) -> Self:
        """The moment `seconds` from now."""
        return cls(clock, clock.monotonic() + seconds)

    def seconds_left(self) -> float:
        """Seconds until the deadline; 0 once it is over."""
        return max(0.0, self.at - self.clock.monotonic())

    def is_over(self) -> bool:
        """Whether the moment has passed; at the moment itself there is still time to begin something."""
        return self.clock.monotonic() > self.at

    def within(self, seconds: float) -> Deadline:
        """The earlier of this deadline and `seconds` from now."""
        return Deadline(self.clock, min(self.at, self.clock.monotonic() + seconds))

    def earlier_by(self, seconds: float) -> Deadline:
        """A deadline `seconds` before this one."""
        return Deadline(self.clock, self.at - seconds)
