"""Saves the transitions that a sweep decides, many in one batch, while the sweep goes on."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait

from polysync_core.adapters.storage.run_store import RunStore
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.threads import ContextPool
from polysync_core.rules.decisions.run_transitions import Decision
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import PolysyncError
from polysync_core.values.run import Run
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.sweep")
_WRITERS = 2
_MOST_AT_ONCE = 32
"""Three rows each, as a rule: a little less than a batch of storage takes."""

Transition = tuple[Locked[Run], Decision]


class TransitionWriter:
    """Saves transitions in the background until `deadline`.

    `saved` is called for each transition: with True if it was saved, with False if another one of that run was first,
    and with the error if storage did not save it.
    """

    def __init__(
        self, runs: RunStore, deadline: Deadline, saved: Callable[[Transition, bool | PolysyncError], None]
    ) -> None:
        self._runs = runs
        self._deadline = deadline
        self._saved = saved
        self._waiting: deque[Transition] = deque()
        self._pool = ContextPool(max_workers=_WRITERS)
        self._writes: list[Future[None]] = []

    def add(self, active: Locked[Run], decision: Decision) -> None:
        """Save the transition soon. Safe to call from all threads. After `finish` it is left to the next sweep."""
        self._waiting.append((active, decision))
        with contextlib.suppress(RuntimeError):
            self._writes.append(self._pool.submit(self._write))

    def finish(self) -> None:
        """Wait until all is saved, or until the deadline. What has not begun by then is not saved."""
        wait([*self._writes], timeout=self._deadline.seconds_left())
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> list[Transition]:
        batch: list[Transition] = []
        with contextlib.suppress(IndexError):
            while len(batch) < _MOST_AT_ONCE:
                batch.append(self._waiting.popleft())
        return batch

    def _write(self) -> None:
        """Save what waits. Each transition has a call of this, but one call saves many: the later ones find nothing."""
        batch = self._take()
        left = deque(batch)
        try:
            with storage_deadline(self._deadline):
                for _, was_saved in self._runs.save_transitions((active, decision.run) for active, decision in batch):
                    self._saved(left.popleft(), was_saved)
        except PolysyncError as error:
            for transition in left:
                self._saved(transition, error)
        except Exception:
            _log.exception("%s transitions were not saved", len(left), extra={"action": "sweep"})
