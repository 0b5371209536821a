"""The core on stand-ins over loopback HTTP, wired as in Azure. The test sets its clock."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from local.workspace import SimulatedWorkspace
from polysync_core import services
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets
from polysync_core.rules.decisions.run_transitions import TransitionLimits
from polysync_core.rules.wire import start_contract
from polysync_core.rules.wire.http_contract import Call
from polysync_core.settings import Settings
from polysync_core.use_cases import cancelling, reading, starting, sweeping
from polysync_core.use_cases.cancelling import Cancelled
from polysync_core.use_cases.reading import RunView
from polysync_core.values.caller import KEY_CALLER
from polysync_core.values.deadline import Deadline
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run, Started, StartRequest, SweepReport


class ManualClock(Clock):
    """A clock that starts at a fixed moment. A sleep only moves the clock. Safe to use from all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._passed = timedelta()
        self._began = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._began + self._passed

    def monotonic(self) -> float:
        return self._passed.total_seconds()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._passed += timedelta(seconds=seconds)

    def pass_time(self, **duration: float) -> None:
        """Move the clock. The arguments are those of timedelta."""
        self.sleep(timedelta(**duration).total_seconds())


class Rig:
    """One app on one storage. `urls` maps its workspaces' names to their addresses. The first one is the default.

    A test in real time may set `sweep_times`, so that its sweeps are shorter.
    """

    def __init__(
        self, tables: str, urls: Mapping[str, str], workspace: SimulatedWorkspace, clock: Clock, **settings: str
    ) -> None:
        workspaces = {name: {"url": url} for name, url in urls.items()}
        environ = {"POLYSYNC_WORKSPACES": json.dumps(workspaces), "POLYSYNC_TABLES": tables, **settings}
        self.settings = Settings.from_environ(environ)
        self.workspace = workspace
        self.clock = clock
        self.sweep_times = budgets.SWEEP_TIMES
        self.services = services.build(self.settings, os.environ, clock)

    @property
    def ws(self) -> WorkspaceServices:
        return self.services.at(None)

    @property
    def limits(self) -> TransitionLimits:
        return self.settings.sweep_limits.transitions

    def client(self, seconds: float = 20) -> BoundedClient:
        """A client of the default workspace. Its deadline is `seconds` from now."""
        return self.ws.databricks.client(Deadline.after(self.clock, seconds))

    @property
    def partition(self) -> str:
        """The partition of the default workspace's rows."""
        return self.ws.workspace.partition

    @property
    def name(self) -> str:
        """The default workspace's name."""
        return self.ws.workspace.name

    def request(self, pipeline_id: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> StartRequest:
        """A decoded start, as if a caller had sent it."""
        call = Call(
            method="POST",
            url="http://app.example/api/pipelines/x/updates",
            headers={} if key is None else {"idempotency-key": key},
            route={"pipeline_id": pipeline_id},
            body=json.dumps(body or {}).encode(),
        )
        return start_contract.decode_start(call, self.services.workspace_names, options=self.settings.start_options)

    def start(self, pipeline_id: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> Started:
        return starting.start_update(
            self.request(pipeline_id, body, key),
            self.ws,
            Deadline.after(self.clock, budgets.START),
            default_timeout_minutes=self.settings.run_timeout_minutes,
        )

    def sweep(self) -> SweepReport:
        (report, *_) = self.sweep_all()
        return report

    def sweep_all(self) -> tuple[SweepReport, ...]:
        limits = replace(self.settings.sweep_limits, times=self.sweep_times)
        return sweeping.sweep_workspaces([*self.services.workspaces.values()], limits)

    def read(self, run_id: RunId) -> RunView:
        return reading.read_run(
            run_id,
            [*self.services.workspaces.values()],
            max_age_seconds=self.settings.status_max_age_seconds,
            limits=self.limits,
        )

    def cancel(self, run_id: RunId) -> Cancelled:
        return cancelling.cancel_run(run_id, self.ws, KEY_CALLER.id)

    def stored(self, run_id: RunId) -> Run:
        """The run as it is stored now."""
        run = self.ws.runs.find(run_id)
        assert run is not None
        return run

    def is_reserved(self, pipeline_id: str) -> bool:
        """Whether the pipeline has a reservation."""
        held = self.ws.runs.list_reservations().rows
        return pipeline_id in {start.value.pipeline_id for start in held}

    def active_ids(self) -> set[str]:
        return {str(tracked.value.run_id) for tracked in self.ws.runs.list_active().rows}
