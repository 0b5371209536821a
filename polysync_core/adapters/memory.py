"""What a process keeps in memory, so that many callers cause no more calls than one."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import Future
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

    def get(self, make: Callable[[], _T]) -> _T:
        with self._lock:
            if self._made is not None and self._clock.monotonic() - self._made[0] < self._seconds:
                return self._made[1]
            awaited, mine = self._making, Future[_T]()
            if awaited is None:
                self._making = mine
        return self._make(make, mine) if awaited is None else awaited.result()

    def _make(self, make: Callable[[], _T], mine: Future[_T]) -> _T:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                self._making = None
            mine.set_exception(error)
            raise
        with self._lock:
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
