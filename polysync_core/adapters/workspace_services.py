"""Everything that a use case needs for one workspace, in one value. services.py builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from polysync_core.adapters.clock import Clock
from polysync_core.adapters.databricks.client import Databricks
from polysync_core.adapters.kept_outcomes import KeptOutcomes
from polysync_core.adapters.memory import FreshCalls, LookGate, RefreshTurns
from polysync_core.adapters.storage.callback_store import CallbackStore
from polysync_core.adapters.storage.job_store import JobStore
from polysync_core.adapters.storage.run_cleaner import RunCleaner
from polysync_core.adapters.storage.run_store import RunStore
from polysync_core.values.databricks import EventsPage, SeenUpdate
from polysync_core.values.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceServices:
    """One workspace: its client, its stores, the clock, new random ids, and the turns to observe its runs.

    `kept_events` is the same for all workspaces of the process.
    """

    databricks: Databricks
    runs: RunStore
    callbacks: CallbackStore
    jobs: JobStore
    cleaner: RunCleaner
    clock: Clock
    refresh_turns: RefreshTurns
    gate: LookGate
    fresh_looks: FreshCalls[SeenUpdate]
    kept_events: KeptOutcomes[EventsPage]
    new_id: Callable[[], str]

    @property
    def workspace(self) -> Workspace:
        return self.databricks.workspace
