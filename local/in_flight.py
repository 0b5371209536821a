"""Counts what is running now, so that a stop can wait for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class InFlight:
    """Counts running pieces of work across threads."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def begin(self) -> None:
        with self._changed:
            self.count += 1

    def end(self) -> None:
        with self._changed:
            self.count -= 1
            self._changed.notify_all()

    @contextlib.contextmanager
    def work(self) -> Iterator[None]:
        self.begin()
        try:
            yield
        finally:
            self.end()

    def wait_until_idle(self, timeout_seconds: float) -> bool:
        """Wait until nothing is running. Return False if something still runs after `timeout_seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self.count == 0, timeout_seconds)
