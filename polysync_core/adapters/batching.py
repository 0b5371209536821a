"""Work in batches that form by themselves: what comes while a batch is worked on goes into the next one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from polysync_core.adapters.threads import ContextPool
from polysync_core.values.deadline import Deadline

_T = TypeVar("_T")


class Batches(Generic[_T]):
    """Hands what is added to `work`, at most `most` at once, in `workers` threads. Safe to use from all threads.

    `work` raises nothing.
    """

    def __init__(self, work: Callable[[list[_T]], None], *, most: int, workers: int) -> None:
        self._work = work
        self._most = most
        self._waiting: deque[_T] = deque()
        self._pool = ContextPool(max_workers=workers)
        self._futures: list[Future[None]] = []

    def add(self, item: _T) -> None:
        """Work on the item soon. After `finish`, this thread works on it at once."""
        self._waiting.append(item)
        try:
            self._futures.append(self._pool.submit(self._next))
        except RuntimeError:  # the pool takes nothing more
            self._next()

    def finish(self, deadline: Deadline, *, cancel: bool) -> None:
        """Wait until all is done, or until `deadline`. With `cancel`, what has not begun by then is not done."""
        wait([*self._futures], timeout=deadline.seconds_left())
        self._pool.shutdown(wait=False, cancel_futures=cancel)

    def _next(self) -> None:
        batch: list[_T] = []
        while len(batch) < self._most:
            try:
                batch.append(self._waiting.popleft())
            except IndexError:
                break
        if batch:
            self._work(batch)
