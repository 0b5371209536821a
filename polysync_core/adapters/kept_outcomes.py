"""The outcome of a call, shared by all who ask for it at once, and kept for a few seconds after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeVar

from polysync_core.adapters.clock import Clock
from polysync_core.values.errors import PolysyncError

_T = TypeVar("_T")


@dataclass(slots=True)
class _Kept(Generic[_T]):
    """The outcome of a call. It counts until `until`, and as long as the call is under way."""

    outcome: Future[_T] = field(default_factory=Future)
    until: float = inf


class KeptOutcomes(Generic[_T]):
    """One outcome for each key. An error is kept too, so that callers in trouble cause no more calls than others.

    At most `most` outcomes are kept. Beyond that, the one whose call began first is forgotten before its time. A call
    that is under way is never forgotten, or the next caller would make it again.
    """

    def __init__(self, clock: Clock, seconds: float, most: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept[_T]] = {}

    def get(self, key: Hashable, make: Callable[[], _T], *, wait_seconds: float) -> _T:
        """The result of `make`, called by this caller or by another one. Raises what `make` raises.

        Raises TimeoutError when a call of another caller takes longer than `wait_seconds`.
        """
        mine = _Kept[_T]()
        with self._lock:
            now = self._clock.monotonic()
            kept = self._kept.get(key)
            if kept is None or kept.until <= now:
                kept = mine
                self._make_room(now)
                self._kept[key] = mine
        if kept is mine:
            self._make(mine, make)
        error = kept.outcome.exception(wait_seconds)
        if error is None:
            return kept.outcome.result()
        raise error.with_traceback(None)  # else each raise would lengthen the traceback of the kept error

    def _make(self, mine: _Kept[_T], make: Callable[[], _T]) -> None:
        """Fill in the outcome. An exception that Polysync does not raise on purpose is a bug, and is not kept."""
        try:
            value = make()
        except PolysyncError as error:
            mine.until = self._clock.monotonic() + self._seconds
            mine.outcome.set_exception(error)
        except BaseException as bug:
            mine.until = -inf
            mine.outcome.set_exception(bug)
            raise
        else:
            mine.until = self._clock.monotonic() + self._seconds
            mine.outcome.set_result(value)

    def _make_room(self, now: float) -> None:
        """Forget what is too old, and the oldest outcome if there is no room for another."""
        kept = {key: kept for key, kept in self._kept.items() if now < kept.until}
        ended = [key for key, each in kept.items() if each.until != inf]
        for key in ended[: max(0, len(kept) - self._most + 1)]:
            del kept[key]
        self._kept = kept
