"""Saves the results of tries to deliver callbacks, many in one batch, while the pass goes on."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from polysync_core.adapters.storage.callback_store import CallbackStore, FinishedTry
from polysync_core.values.callback import Callback
from polysync_core.values.errors import PolysyncError, StorageUnavailable

_log = logging.getLogger("polysync.deliver")
_MOST_WRITERS, _MOST_AT_ONCE, _ENOUGH = 2, 24, 12
"""A result has three or four rows, and a batch of storage at most 100. A second thread saves only when enough wait,
because a batch of one costs as much time of the processor as one of eight.
"""


class TryWriter:
    """Saves results in the threads that bring them. What comes while a batch is saved goes into the next one.

    `saved` is called for each try: with the new callback, with None if the callback was ended or moved meanwhile, and
    with the error if storage did not save it.
    """

    def __init__(
        self, callbacks: CallbackStore, saved: Callable[[FinishedTry, Callback | PolysyncError | None], None]
    ) -> None:
        self._callbacks = callbacks
        self._saved = saved
        self._lock = threading.Lock()
        self._waiting: deque[FinishedTry] = deque()
        self._writers = 0

    def add(self, finished: FinishedTry) -> None:
        """Save the result now, with those that wait. If another thread is saving, that thread does it next."""
        with self._lock:
            self._waiting.append(finished)
            if self._writers and (len(self._waiting) < _ENOUGH or self._writers >= _MOST_WRITERS):
                return
            self._writers += 1
        while batch := self._take():
            self._write(batch)

    def _take(self) -> list[FinishedTry]:
        """The next results. When there are none, this thread stops being a writer."""
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(_MOST_AT_ONCE, len(self._waiting)))]
            if not batch:
                self._writers -= 1
            return batch

    def _write(self, batch: list[FinishedTry]) -> None:
        left = {id(finished): finished for finished in batch}
        try:
            for finished, after in self._callbacks.save_together(batch):
                del left[id(finished)]
                if after is None:
                    self._save_alone(finished)
                else:
                    self._saved(finished, after)
        except PolysyncError:
            self._save_each([*left.values()])
        except Exception:
            _log.exception("%s results of callbacks were not saved", len(left), extra={"action": "deliver"})

    def _save_each(self, left: list[FinishedTry]) -> None:
        """Save results one by one after a batch failed: a callback whose result is lost is sent again.

        Once storage gives no answer again, the others fail too.
        """
        trouble: StorageUnavailable | None = None
        for finished in left:
            if trouble is None:
                trouble = self._save_alone(finished)
            else:
                self._saved(finished, trouble)

    def _save_alone(self, finished: FinishedTry) -> StorageUnavailable | None:
        """Save one result. Returns the error if storage gave no answer."""
        try:
            self._saved(finished, self._callbacks.save_try(finished.claimed, finished.decide))
        except PolysyncError as error:
            self._saved(finished, error)
            return error if isinstance(error, StorageUnavailable) else None
        return None
