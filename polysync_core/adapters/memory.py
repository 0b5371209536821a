"""What a process keeps in memory.

Many callers cause no more calls than one, and a workspace or a host that does not answer holds up no other.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from math import inf
from typing import Generic, TypeVar

from polysync_core.adapters.clock import Clock

_FORGET_OVER = 10_000
_T = TypeVar("_T")


class CachedValue(Generic[_T]):
    """A value that is made again only when it is older than `seconds`.

    Callers that arrive during the computation wait for it and share its result or its error. So no caller waits longer
    than one computation takes.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._made: tuple[float, _T] | None = None
        self._making: Future[_T] | None = None

    def get(self, make: Callable[[], _T], *, max_age_seconds: float | None = None) -> _T:
        """The value, or what `make` returns. With `max_age_seconds`, this caller accepts only such a young value."""
        seconds = self._seconds if max_age_seconds is None else max_age_seconds
        with self._lock:
            if self._made is not None and self._clock.monotonic() - self._made[0] < seconds:
                return self._made[1]
            awaited, mine = self._making, Future[_T]()
            if awaited is None:
                self._making = mine
        return self._make(make, mine) if awaited is None else awaited.result()

    def last(self) -> _T | None:
        """The value, of any age. None if it was never made."""
        with self._lock:
            return None if self._made is None else self._made[1]

    def expire(self) -> None:
        """Let the next caller make the value again. A computation under way counts only for those that wait for it."""
        with self._lock:
            self._making = None
            if self._made is not None:
                self._made = (-inf, self._made[1])

    def _make(self, make: Callable[[], _T], mine: Future[_T]) -> _T:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                if self._making is mine:
                    self._making = None
            mine.set_exception(error)
            raise
        with self._lock:
            if self._making is mine:
                self._making, self._made = None, (self._clock.monotonic(), value)
        mine.set_result(value)
        return value


class RefreshTurns:
    """Lets one caller at a time observe a run, and only once in an interval. A failed observation counts too.

    The other callers may wait for the observation in progress.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._taken_at: dict[str, float] = {}
        self._under_way: dict[str, threading.Event] = {}

    def take_turn(self, run_id: str, every_seconds: float) -> bool:
        """Whether the caller may observe the run now: nobody in this process took the turn in the last `every_seconds`.

        A caller that gets the turn calls `over` when its observation has ended.
        """
        now = self._clock.monotonic()
        with self._lock:
            taken_at = self._taken_at.get(run_id)
            if taken_at is not None and now - taken_at < every_seconds:
                return False
            if len(self._taken_at) >= _FORGET_OVER:
                self._taken_at.clear()
            self._taken_at[run_id] = now
            self._under_way[run_id] = threading.Event()
            return True

    def is_taken(self, run_id: str, every_seconds: float) -> bool:
        """Whether another caller of this process took the turn in `every_seconds`."""
        with self._lock:
            taken_at = self._taken_at.get(run_id)
        return taken_at is not None and self._clock.monotonic() - taken_at < every_seconds

    def over(self, run_id: str) -> None:
        with self._lock:
            under_way = self._under_way.pop(run_id, None)
        if under_way is not None:
            under_way.set()

    def await_other(self, run_id: str, seconds: float) -> None:
        """Wait up to `seconds` for the observation of the run that is in progress, if there is one."""
        with self._lock:
            under_way = self._under_way.get(run_id)
        if under_way is not None:
            under_way.wait(seconds)


class LookGate:
    """Bounds how many readers ask one workspace at a time, so that a silent one does not hold all of the app's threads.

    While the workspace gives no answer, only one reader asks it in `PROBE_SECONDS`. Sweeps come more often, so while
    they report that it is still silent, no reader asks.
    """

    MOST = 8
    PROBE_SECONDS = 30.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._inside = 0
        self._is_silent = False
        self._probed_at = 0.0

    def try_enter(self) -> bool:
        """Whether the caller may ask the workspace now. If so, it must `leave`."""
        now = self._clock.monotonic()
        with self._lock:
            if self._inside >= self.MOST or (self._is_silent and now - self._probed_at < self.PROBE_SECONDS):
                return False
            self._inside += 1
            self._probed_at = now
            return True

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1

    def note(self, *, answered: bool) -> None:
        """Note whether the workspace answered the last call."""
        with self._lock:
            self._is_silent = not answered
            self._probed_at = self._clock.monotonic()


class SilentHosts:
    """Hosts that gave no answer to their last call, for 10 minutes after it. Safe to use from all threads."""

    FOR_SECONDS = 600.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}

    def note(self, host: str, *, answered: bool) -> None:
        with self._lock:
            if answered:
                self._since.pop(host, None)
                return
            if len(self._since) >= _FORGET_OVER:
                self._since.clear()
            self._since[host] = self._clock.monotonic()

    def is_silent(self, host: str) -> bool:
        with self._lock:
            since = self._since.get(host)
        return since is not None and self._clock.monotonic() - since < self.FOR_SECONDS


class FreshCalls(Generic[_T]):
    """Shares a call among the callers that wait for it. Each gets an answer to a call that began after it asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, tuple[Future[_T], Future[_T] | None]] = {}

    def get(self, key: str, make: Callable[[], _T], *, timeout_seconds: float) -> _T:
        """The result of `make`, called by this caller or by another one that waits too. Raises what `make` raises.

        Raises TimeoutError when a call of another caller takes longer than `timeout_seconds`.
        """
        mine = Future[_T]()
        with self._lock:
            before, shared = self._under_way.get(key, (None, None))
            if shared is None:
                self._under_way[key] = (mine, None) if before is None else (before, mine)
        if shared is not None:
            return shared.result(timeout_seconds)
        try:
            if before is not None and not wait([before], timeout_seconds).done:
                raise TimeoutError("the call under way took too long")
            value = make()
        except BaseException as error:
            self._end(key, mine)
            mine.set_exception(error)
            raise
        self._end(key, mine)
        mine.set_result(value)
        return value

    def _end(self, key: str, ended: Future[_T]) -> None:
        """Let the next call begin. It comes before the result, so that nobody joins a call that has begun."""
        with self._lock:
            running, following = self._under_way[key]
            if following is None:
                del self._under_way[key]
            elif running is ended:
                self._under_way[key] = (following, None)
            else:  # this caller did not wait for the one before, which is still under way
                self._under_way[key] = (running, None)


def keep_what_is_built() -> None:
    """Exclude all existing objects from garbage collection, so that `clear_cycles` does not visit them."""
    gc.collect()
    gc.freeze()


def clear_cycles() -> None:
    """Free objects that only reference cycles hold. azure-data-tables leaves the rows of every listing in a cycle.

    Python's own full collections are rare. Until the next one, the rows would accumulate and fragment the process's
    memory.
    """
    gc.collect()
