"""Sweeps single active runs: observe each one, decide, and save what follows."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Mapping
from concurrent.futures import Future, wait
from enum import Enum, auto
from types import TracebackType
from typing import Self

from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.storage.unreadable import MOST_LOGGED
from polysync_core.adapters.threads import ContextPool
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions.run_transitions import (
    Decision,
    TransitionLimits,
    decide,
    decide_unseen,
)
from polysync_core.use_cases.observing import observe_run
from polysync_core.use_cases.transition_writer import Transition, TransitionWriter
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import PolysyncError
from polysync_core.values.run import Run
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.sweep")
_THREADS, _THREADS_FOR_SILENT, _THREADS_FOR_STOPS = 16, 4, 4
"""What gave no answer in the last sweep has a few threads of its own, so that it cannot hold up the others.

So have the stops: behind the looks of a whole sweep, no stop would be sent before the sweep is over.
"""


class Outcome(Enum):
    """What became of a run in a sweep."""

    UNCHANGED = auto()
    CHANGED = auto()
    FINISHED = auto()
    OVERTAKEN = auto()
    """Another change of the run was first, so the observation was not saved."""
    FAILED = auto()
    NO_ANSWER = auto()
    """Databricks accepted the request and did not answer."""


NOT_SEEN = frozenset({Outcome.FAILED, Outcome.NO_ANSWER})


class RunSweeper:
    """Sweeps runs of one workspace side by side, inside a `with` block. `silent` are run ids without an answer before.

    Only the thread of the block hands it runs. `finish` returns what became of them.
    """

    def __init__(
        self,
        ws: WorkspaceServices,
        limits: TransitionLimits,
        client: BoundedClient,
        deadline: Deadline,
        silent: Collection[str],
    ) -> None:
        self._ws = ws
        self._limits = limits
        self._client = client
        self._deadline = deadline
        self._silent = silent
        self._failures_logged = 0
        self._outcomes: dict[str, Outcome] = {}
        self._looks: list[Future[None]] = []
        self._pool = ContextPool(max_workers=_THREADS)
        self._silent_pool = ContextPool(max_workers=_THREADS_FOR_SILENT)
        self._stop_pool = ContextPool(max_workers=_THREADS_FOR_STOPS)
        self._stops: list[Future[None]] = []
        self._writer = TransitionWriter(ws.runs, deadline, self._saved)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for pool in (self._pool, self._silent_pool, self._stop_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def take(self, active: Locked[Run], listed: SeenUpdate) -> None:
        """Sweep a run whose update the list of pipelines shows."""
        try:
            decision = decide(active.value, listed, self._ws.clock.now(), self._limits)
        except Exception:
            self._fail(active.value)
        else:
            self._apply(active, decision)

    def look(self, active: Locked[Run]) -> None:
        """Sweep a run by a GET of its own, in another thread."""
        is_silent = str(active.value.run_id) in self._silent
        self._looks.append((self._silent_pool if is_silent else self._pool).submit(self._look, active))

    def finish(self) -> Mapping[str, Outcome]:
        """Wait for what is under way, until the deadline. Returns the outcomes. A run that was not reached has none."""
        wait(self._looks, timeout=self._deadline.seconds_left())
        self._writer.finish()
        wait(self._stops, timeout=self._deadline.seconds_left())
        return dict(self._outcomes)

    def _look(self, active: Locked[Run]) -> None:
        run = active.value
        try:
            with storage_deadline(self._deadline):
                observation = observe_run(run, self._ws, self._client)
                now = self._ws.clock.now()
                decision = decide(run, observation.seen, now, self._limits, observation.failure_context)
        except PolysyncError as error:
            self._log_failure(run, error)
            if isinstance(error, DatabricksError):
                self._keep_time_out(active)
            is_silent = isinstance(error, DatabricksUnreachable) and error.was_sent
            self._note(run, Outcome.NO_ANSWER if is_silent else Outcome.FAILED)
        except Exception:
            self._fail(run)
        else:
            self._apply(active, decision)

    def _apply(self, active: Locked[Run], decision: Decision) -> None:
        if decision.write:
            self._writer.add(active, decision)
            return
        self._note(active.value, Outcome.UNCHANGED)
        if decision.stop:
            self._stop_soon(decision.run)

    def _saved(self, transition: Transition, saved: bool | PolysyncError) -> None:
        """Note what became of a transition. A stop is sent only once the wish for it is stored."""
        active, decision = transition
        if isinstance(saved, PolysyncError):
            self._log_failure(active.value, saved)
            self._note(active.value, Outcome.FAILED)
            return
        if not saved:
            self._note(active.value, Outcome.OVERTAKEN)
            return
        self._note(active.value, Outcome.FINISHED if decision.run.is_finished else Outcome.CHANGED)
        if decision.stop:
            self._stop_soon(decision.run)

    def _fail(self, run: Run) -> None:
        _log.exception("run %s", run.run_id, extra={"run_id": str(run.run_id), "action": "sweep"})
        self._note(run, Outcome.FAILED)

    def _note(self, run: Run, outcome: Outcome) -> None:
        self._outcomes[str(run.run_id)] = outcome

    def _keep_time_out(self, active: Locked[Run]) -> None:
        """Store and ask for a stop that is due, also where Databricks does not show the update, as after a 403."""
        try:
            decision = decide_unseen(active.value, self._ws.clock.now())
            with storage_deadline(self._deadline):
                saved = decision.write and self._ws.runs.save_transition(active, decision.run) is not None
        except PolysyncError as error:
            self._log_failure(active.value, error)
            return
        if decision.stop and (saved or not decision.write):
            self._stop(decision.run)

    def _stop_soon(self, run: Run) -> None:
        """Ask for a stop in another thread. Where the sweep is over, the next one asks."""
        with contextlib.suppress(RuntimeError):
            self._stops.append(self._stop_pool.submit(self._stop, run))

    def _stop(self, run: Run) -> None:
        """Ask Databricks to stop the run. A failure does not undo the observation; the next sweep asks again."""
        try:
            self._client.stop(run.current_id)
        except PolysyncError as error:
            self._log_failure(run, error)

    def _log_failure(self, run: Run, error: PolysyncError) -> None:
        """Write a line for a run that could not be swept or stopped; at most 20 in a sweep."""
        self._failures_logged += 1
        if self._failures_logged <= MOST_LOGGED:
            _log.warning("run %s: %s", run.run_id, error.detail, extra={"run_id": str(run.run_id), "action": "sweep"})
