"""Sweep one active run: observe it, decide, and save what follows."""

from __future__ import annotations

import logging
from enum import Enum, auto

from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.storage.unreadable import MOST_LOGGED
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions.run_transitions import (
    NO_FAILURE_CONTEXT,
    TransitionLimits,
    decide,
    decide_unseen,
)
from polysync_core.use_cases.observing import Observation, observe_run
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import PolysyncError
from polysync_core.values.run import Run
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.sweep")


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
    """Sweeps the runs of one workspace. Safe to use from all threads."""

    def __init__(
        self, ws: WorkspaceServices, limits: TransitionLimits, client: BoundedClient, deadline: Deadline
    ) -> None:
        self._ws = ws
        self._limits = limits
        self._client = client
        self._deadline = deadline
        self._failures_logged = 0

    def sweep(self, active: Locked[Run], listed: SeenUpdate | None) -> Outcome:
        """Sweep one run: `listed` is its update as the listing shows it, or None for a look of its own."""
        run = active.value
        try:
            with storage_deadline(self._deadline):
                observation = (
                    observe_run(run, self._ws, self._client)
                    if listed is None
                    else Observation(seen=listed, failure_context=NO_FAILURE_CONTEXT)
                )
                decision = decide(
                    run, observation.seen, self._ws.clock.now(), self._limits, observation.failure_context
                )
                saved = decision.write and self._ws.runs.save_transition(active, decision.run) is not None
                if decision.stop and (saved or not decision.write):  # a stop is sent only once its wish is stored
                    self._stop(decision.run)
        except PolysyncError as error:
            self._log_failure(run, error)
            if isinstance(error, DatabricksError):
                self._keep_time_out(active)
            is_silent = isinstance(error, DatabricksUnreachable) and error.was_sent
            return Outcome.NO_ANSWER if is_silent else Outcome.FAILED
        except Exception:
            _log.exception("run %s", run.run_id, extra={"run_id": str(run.run_id), "action": "sweep"})
            return Outcome.FAILED
        if not saved:
            return Outcome.OVERTAKEN if decision.write else Outcome.UNCHANGED
        return Outcome.FINISHED if decision.run.is_finished else Outcome.CHANGED

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
