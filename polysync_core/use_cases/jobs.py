"""The use cases of jobs: discover (for a caller or by the timer), sync, read, and set full_refresh."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from datetime import datetime

from polysync_core.adapters.threads import ContextPool
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, discovery_rules
from polysync_core.rules.decisions.parameters import ImportRules
from polysync_core.use_cases.discovering import CONNECTIONS, discover
from polysync_core.use_cases.fetching import Fetcher, OutOfTime
from polysync_core.use_cases.syncing import FetchedPipeline, JobSyncer
from polysync_core.values.databricks_errors import DatabricksUnreachable
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import (
    AllWorkspacesFailed,
    JobNotFound,
    PolysyncError,
    RowUnreadable,
    StorageUnavailable,
)
from polysync_core.values.job import DiscoveryPass, DiscoveryReport, FullRefresh, Job, LastDiscovery
from polysync_core.values.workspace import Workspace

_log = logging.getLogger("polysync.discovery")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobView:
    """A job as callers see it. `synced_at` is when it was last known to match its pipeline (None: never)."""

    job: Job
    workspace: Workspace
    synced_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobList:
    views: tuple[JobView, ...]
    continuation: str | None


# --- discovery


def discover_over_http(ws: WorkspaceServices, rules: ImportRules, go_on_from: DiscoveryPass | None) -> DiscoveryReport:
    """Discover while a caller waits. The report comes within 48 s, and its `rest` is what is left.

    Raises what `discover` raises, and StorageUnavailable when storage was too slow.
    """
    pool = ContextPool(max_workers=1)
    try:
        running = pool.submit(
            discover, ws, rules, go_on_from, deadline=Deadline.after(ws.clock, budgets.DISCOVERY_HTTP)
        )
        return running.result(timeout=budgets.DISCOVERY_ANSWER)
    except TookTooLong:
        raise StorageUnavailable("Table Storage was too slow for a discovery to end in time; repeat it.") from None
    finally:
        pool.shutdown(wait=False)


def discover_on_schedule(workspaces: Sequence[WorkspaceServices], rules: ImportRules) -> None:
    """Discover every workspace in one tick of the timer, in parallel. The next tick continues what is left.

    An error of one workspace is only logged. Raises AllWorkspacesFailed if `discover` raised an error in each:
    nothing was done before it, or what was done could not be written down at the end. The next tick repeats that.
    """
    if not workspaces:
        return
    connections = max(1, CONNECTIONS // len(workspaces))
    with ContextPool(max_workers=len(workspaces)) as pool:
        troubles = [*pool.map(lambda ws: _discover_in_a_tick(ws, rules, connections), workspaces)]
    if all(troubles):
        names = [ws.workspace.name for ws in workspaces]
        raise AllWorkspacesFailed(dict(zip(names, troubles, strict=True)))


def _discover_in_a_tick(ws: WorkspaceServices, rules: ImportRules, connections: int) -> str:
    """Returns the error that ended the discovery, or ""."""
    name = ws.workspace.name
    try:
        rest = ws.jobs.discoveries().under_way
        discover(
            ws,
            rules,
            rest,
            deadline=Deadline.after(ws.clock, budgets.DISCOVERY_SCHEDULED),
            connections=connections,
            scheduled=True,
        )
    except PolysyncError as error:
        _log.error("workspace %s could not be discovered: %s", name, error.detail, extra={"action": "discover"})
        return error.detail
    except Exception:
        _log.exception("workspace %s could not be discovered", name, extra={"action": "discover"})
        return "a fault of the app; its log holds the details"
    return ""


def sync_parameters(pipeline_id: str, ws: WorkspaceServices, rules: ImportRules) -> DiscoveryReport:
    """Sync one job. Returns the report.

    Raises JobNotFound when the job is not imported, and JobTooLarge. Raises what Databricks raises when it cannot be
    read.
    """
    name, clock = ws.workspace.name, ws.clock
    began_at = clock.monotonic()
    stored = ws.jobs.find(pipeline_id)
    if stored is None:
        raise JobNotFound(pipeline_id, name)
    client = ws.databricks.client(Deadline.after(clock, budgets.DISCOVERY_HTTP))
    with Fetcher(client, clock, 1) as fetcher:
        try:
            seen = fetcher.fetch(pipeline_id)
        except OutOfTime as late:
            raise late.because or DatabricksUnreachable("The time for asking ran out.", was_sent=False) from None
    keeper = JobSyncer(ws, rules, ws.jobs.discoveries().last, always_write=True)
    looked_at = FetchedPipeline(pipeline_id=pipeline_id, seen=seen, listed_name=None, stored=stored)
    outcome = keeper.sync([looked_at])[pipeline_id]
    if isinstance(outcome, PolysyncError):
        raise outcome
    tally, changes = discovery_rules.tally(outcome.before, outcome.after)
    return DiscoveryReport(
        workspace=name,
        tally=tally,
        changes=changes[: discovery_rules.MAX_CHANGES],
        calls=client.calls,
        seconds=round(clock.monotonic() - began_at, 3),
    )


# --- jobs


def find_job(pipeline_id: str, ws: WorkspaceServices) -> JobView:
    """The job. Raises JobNotFound when it is not imported, and RowUnreadable when its row cannot be read."""
    stored = ws.jobs.find(pipeline_id)
    if stored is None:
        raise JobNotFound(pipeline_id, ws.workspace.name)
    if stored.job is None:
        raise RowUnreadable(f"The row of job {pipeline_id} cannot be read. Sync Parameters writes it again.")
    return view_after(stored.job, ws, ws.jobs.discoveries().last)


def list_jobs(ws: WorkspaceServices, *, limit: int, continuation: str | None) -> JobList:
    """A page of one workspace's jobs, in order of pipeline id.

    Raises InvalidRequest when the continuation is not from an earlier page.
    """
    page = ws.jobs.list_page(limit=limit, continuation=continuation)
    last = ws.jobs.discoveries().last
    return JobList(views=tuple(view_after(job, ws, last) for job in page.jobs), continuation=page.continuation)


def set_full_refresh(pipeline_id: str, full_refresh: FullRefresh, ws: WorkspaceServices) -> JobView:
    """Store the user's own full_refresh of a job. Returns the job. Raises JobNotFound when it is not imported."""
    if not ws.jobs.set_full_refresh(pipeline_id, full_refresh):
        raise JobNotFound(pipeline_id, ws.workspace.name)
    return find_job(pipeline_id, ws)


def view_after(job: Job, ws: WorkspaceServices, last: LastDiscovery | None) -> JobView:
    """The job as callers see it. `last` is the workspace's last discovery."""
    synced_at = discovery_rules.synced_at(job, last)
    return JobView(job=job, workspace=ws.workspace, synced_at=synced_at)
