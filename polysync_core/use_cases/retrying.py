"""Repeats a call after an error. The caller's rule decides which errors are repeated, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from polysync_core.adapters.clock import Clock
from polysync_core.values.errors import PolysyncError

_T = TypeVar("_T")


def retried(call: Callable[[], _T], pause_after: Callable[[PolysyncError, int], float | None], clock: Clock) -> _T:
    """Return what `call` returns. After an error, repeat it as `pause_after` says.

    `pause_after` takes the error and the number of tries so far. It returns the seconds to wait before the next try, or
    None to raise the error.
    """
    tries = 0
    while True:
        tries += 1
        try:
            return call()
        except PolysyncError as error:
            pause = pause_after(error, tries)
            if pause is None:
                raise
        clock.sleep(pause)
