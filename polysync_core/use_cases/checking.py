"""The health checks: one for each thing that the app depends on. Their messages hold no addresses and no secrets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from polysync_core.adapters.databricks.entra import EntraTokens
from polysync_core.adapters.entra_callers import EntraCallers
from polysync_core.adapters.threads import ContextPool
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, sweep_rules
from polysync_core.rules.wire.sweep_message import QUEUE
from polysync_core.values.databricks_errors import DatabricksError
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import PolysyncError
from polysync_core.values.ids import RunId
from polysync_core.values.run import Check, Health, LastSweep, Run

SWEEP_OVERDUE = timedelta(minutes=5)
UNSEEN_TOO_LONG = timedelta(hours=1)
_MOST_NAMED = 5
_LATE = (
    f"the timer swept it, because nobody took its group from the queue {QUEUE}. Check that the app's identity has the "
    "role Storage Queue Data Contributor and that AzureWebJobsStorage names the queue endpoint"
)
_SILENT = (
    "the timer {} does not fire. Synchronise the triggers (restart or redeploy the app), and check the roles on "
    "the storage account (Storage Blob Data Owner for the host)"
)


def check_all(
    workspaces: Sequence[WorkspaceServices],
    tokens: EntraTokens,
    notes: Sequence[str],
    callers: EntraCallers | None = None,
) -> Health:
    """Check settings, storage, the token, each workspace and each workspace's last sweep, in parallel.

    With `callers`, check too whether their tokens can be checked. The messages then name no run and no pipeline:
    anybody may read the health, and a caller must not learn from it what it may not see.
    """
    last_sweeps: dict[str, LastSweep | None] = {ws.workspace.name: None for ws in workspaces}
    settings = Check(name="settings", ok=not notes, message=" ".join(notes) or "valid")
    work: list[Callable[[], Check]] = [
        lambda: _check("storage", lambda: _storage(workspaces[0])),
        lambda: _check("token", lambda: _token(tokens)),
    ]
    if callers is not None:
        work.append(lambda: _check("sign-in", callers.check))
    for ws in workspaces:
        work += [_workspace_check(ws), _sweep_check(ws, last_sweeps, tells_ids=callers is None)]
    with ContextPool(max_workers=min(32, len(work))) as pool:
        checks = (settings, *pool.map(lambda check: check(), work))
    return Health(checks=checks, last_sweeps=last_sweeps)


def _workspace_check(ws: WorkspaceServices) -> Callable[[], Check]:
    return lambda: _check(f"workspace {ws.workspace.name}", lambda: _workspace(ws))


def _sweep_check(
    ws: WorkspaceServices, last_sweeps: dict[str, LastSweep | None], *, tells_ids: bool
) -> Callable[[], Check]:
    """A check of the last sweep, which is also put into `last_sweeps`."""
    name = ws.workspace.name

    def look() -> str:
        last_sweeps[name] = ws.runs.last_sweep()
        return _describe_sweep(ws, last_sweeps[name], tells_ids=tells_ids)

    return lambda: _check(f"sweep {name}", look)


def _check(name: str, look: Callable[[], str]) -> Check:
    """Run one check. Databricks' own message is left out: it can name people, and anybody may read the health."""
    try:
        return Check(name=name, ok=True, message=look())
    except DatabricksError as error:
        message = f"Databricks answered {error.databricks_status}. {error.hint}".rstrip()
        return Check(name=name, ok=False, message=message)
    except PolysyncError as error:
        return Check(name=name, ok=False, message=error.detail)


def _storage(ws: WorkspaceServices) -> str:
    ws.runs.last_sweep()
    return "answers"


def _token(tokens: EntraTokens) -> str:
    tokens.token()
    return "Entra ID issues one"


def _workspace(ws: WorkspaceServices) -> str:
    ws.databricks.client(Deadline.after(ws.clock, budgets.HEALTH_CHECK)).fetch_pipelines_page(page_size=1)
    return "answers"


def _describe_sweep(ws: WorkspaceServices, last: LastSweep | None, *, tells_ids: bool) -> str:
    """Describe the last sweep, or "none yet".

    Raises _Unhealthy if callbacks are due or active runs have waited for more than 5 minutes. It is also raised if no
    active run could be observed for that long, or if rows are unreadable.
    """
    now = ws.clock.now()
    due_since = next((callback.value.due_at for callback in ws.callbacks.due(now)), now)
    if now - due_since > SWEEP_OVERDUE:
        raise _Unhealthy(
            f"callbacks are due since {due_since:%Y-%m-%d %H:%M UTC}: {_SILENT.format('deliver_callbacks')}"
        )
    if last is None:
        active_since = min((active.value.accepted_at for active in ws.runs.list_active().rows), default=now)
        if now - active_since > SWEEP_OVERDUE:
            raise _Unhealthy(
                f"none yet, and runs are active since {active_since:%Y-%m-%d %H:%M UTC}: {_SILENT.format('sweep_runs')}"
            )
        return "none yet"
    age = now - last.swept_at
    summary = f"{int(age.total_seconds())} s ago, {last.report.active} active, {last.report.failed} not seen"
    if last.report.unreadable:
        pipelines = f" (pipelines: {', '.join(last.unreadable_pipelines)})" if tells_ids else ""
        raise _Unhealthy(f"{summary}; {last.report.unreadable} rows cannot be read{pipelines}; see the log")
    is_blind = last.blind_since is not None and now - last.blind_since > SWEEP_OVERDUE
    blind = "; no active run could be looked at for more than 5 minutes" if is_blind else ""
    unseen = _unseen_for_long(ws, last, now, tells_ids=tells_ids)
    late = f"; {_LATE}" if last.stood_in else ""
    if blind or unseen or late:
        raise _Unhealthy(f"{summary}{blind}{unseen}{late}")
    if age > SWEEP_OVERDUE and ws.runs.list_active().rows:
        raise _Unhealthy(f"{summary}; active runs are waiting: {_SILENT.format('sweep_runs')}")
    return summary


def _unseen_for_long(ws: WorkspaceServices, last: LastSweep, now: datetime, *, tells_ids: bool) -> str:
    """The runs that Databricks has not shown for more than an hour, and the remedy; "" when there are none."""
    candidates = sorted(run_id for run_id, seen_at in last.not_seen.items() if now - seen_at > UNSEEN_TOO_LONG)
    named = []
    for run_id in candidates[:_MOST_NAMED]:
        run = _find(run_id, ws)
        if run is not None and now - sweep_rules.seen_at(run, last) > UNSEEN_TOO_LONG:
            named.append(f"{run_id} since {sweep_rules.seen_at(run, last):%Y-%m-%d %H:%M UTC}")
    if not named:
        return ""
    more = f" and {len(candidates) - len(named)} more" if len(candidates) > len(named) else ""
    runs = f"run {', '.join(named)}{more}" if tells_ids else "some active runs; the log names them"
    return (
        f"; Databricks does not show {runs}. Give the app access again. If nothing else can "
        "end a run, POST /api/runs/{run_id}/abandon does"
    )


def _find(run_id: str, ws: WorkspaceServices) -> Run | None:
    """The run; None where an unreadable row was not seen, whose key holds no run id."""
    try:
        return ws.runs.find(RunId.parse(run_id))
    except ValueError:
        return None


class _Unhealthy(PolysyncError):
    code = "Unhealthy"
