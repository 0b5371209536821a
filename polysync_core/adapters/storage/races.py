"""Optimistic locking: when another change was first, read the stored rows again and repeat the change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from polysync_core.values.errors import TooBusy

_T = TypeVar("_T")


def retry_lost_races(attempt: Callable[[], _T], most: int) -> _T:
    """Return what `attempt` returns. It reads, changes and saves, and raises TooBusy when another change was first.

    It is called at most `most` times; then its TooBusy is raised.
    """
    for _ in range(most - 1):
        try:
            return attempt()
        except TooBusy:
            continue
    return attempt()
