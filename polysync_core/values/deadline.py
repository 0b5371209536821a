"""A deadline is one moment on one clock. It is passed down from a request to every call that is made for it.

A deadline is measured on the clock that made it. Tests move that clock by hand. A socket counts real seconds, so the
seconds that are left when a call begins become the time-out of that call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self


class MonotonicClock(Protocol):
    """A clock whose seconds never go back."""

    def monotonic(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which something must have ended. `at` is in seconds on `clock`."""

    clock: MonotonicClock
    at: float

    @classmethod
    def after(cls, clock: MonotonicClock, seconds: float) -> Self:
        """The moment `seconds` from now."""
        return cls(clock, clock.monotonic() + seconds)

    def seconds_left(self) -> float:
        """Return the seconds until the deadline, or 0 when it has passed."""
        return max(0.0, self.at - self.clock.monotonic())

    def is_over(self) -> bool:
        """Whether the moment has passed. At the exact moment the deadline is not over yet."""
        return self.clock.monotonic() > self.at

    def within(self, seconds: float) -> Deadline:
        """The earlier of this deadline and `seconds` from now."""
        return Deadline(self.clock, min(self.at, self.clock.monotonic() + seconds))

    def earlier_by(self, seconds: float) -> Deadline:
        """A deadline `seconds` before this one."""
        return Deadline(self.clock, self.at - seconds)
