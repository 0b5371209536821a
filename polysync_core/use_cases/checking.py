"""The health answer: one line for each thing the app depends on. Names no address and no secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from polysync_core.adapters.databricks.entra import EntraTokens
from polysync_core.adapters.workspace_services import WorkspaceAccess
from polysync_core.values.errors import PERMISSION_HINT, DatabricksError, PermissionRefused, PolysyncError
from polysync_core.values.run import Check

SWEEP_OVERDUE = timedelta(minutes=5)
_ASK_SECONDS = 8.0


def check_all(accesses: Sequence[WorkspaceAccess], tokens: EntraTokens, notes: Sequence[str]) -> tuple[Check, ...]:
    """Check settings, storage, the token, each workspace and each workspace's last sweep, side by side."""
    settings = Check(name="settings", ok=not notes, message=" ".join(notes) or "valid")
    work: list[Callable[[], Check]] = [
        lambda: _check("storage", lambda: _storage(accesses[0])),
        lambda: _check("token", lambda: _token(tokens)),
    ]
    for access in accesses:
        work += [_workspace_check(access), _sweep_check(access)]
    with ThreadPoolExecutor(max_workers=min(32, len(work))) as pool:
        return (settings, *pool.map(lambda check: check(), work))


def _workspace_check(access: WorkspaceAccess) -> Callable[[], Check]:
    return lambda: _check(f"workspace {access.workspace.name}", lambda: _workspace(access))


def _sweep_check(access: WorkspaceAccess) -> Callable[[], Check]:
    return lambda: _check(f"sweep {access.workspace.name}", lambda: _last_sweep(access))


def _check(name: str, look: Callable[[], str]) -> Check:
    """Run one check. What Databricks itself says is kept out: anybody may read the health, and it can name people."""
    try:
        return Check(name=name, ok=True, message=look())
    except DatabricksError as error:
        hint = f" {PERMISSION_HINT}" if isinstance(error, PermissionRefused) else ""
        return Check(name=name, ok=False, message=f"Databricks answered {error.databricks_status}.{hint}")
    except PolysyncError as error:
        return Check(name=name, ok=False, message=error.detail)


def _storage(access: WorkspaceAccess) -> str:
    access.store.last_sweep(access.workspace.name)
    return "answers"


def _token(tokens: EntraTokens) -> str:
    tokens.token()
    return "Entra ID gives one"


def _workspace(access: WorkspaceAccess) -> str:
    access.databricks.converse(_ASK_SECONDS).fetch_pipelines_page(page_size=1)
    return "answers"


def _last_sweep(access: WorkspaceAccess) -> str:
    """No sweep yet is fine; an old one is not while runs are active. Rows set aside are told."""
    last = access.store.last_sweep(access.workspace.name)
    if last is None:
        return "none yet"
    age = access.clock.now() - last.swept_at
    told = f"{int(age.total_seconds())} s ago, {last.report.active} active, {last.report.failed} not seen"
    if last.set_aside:
        raise _Unhealthy(
            f"{told}; {last.report.set_aside} rows cannot be read and are set aside, one is {last.set_aside[0]}"
        )
    if last.blind_since is not None and access.clock.now() - last.blind_since > SWEEP_OVERDUE:
        raise _Unhealthy(f"{told}; no active run could be looked at for more than 5 minutes")
    if age > SWEEP_OVERDUE and access.store.active_runs(access.workspace.name).runs:
        raise _Unhealthy(f"{told}; active runs are waiting for the timer sweep_runs")
    return told


class _Unhealthy(PolysyncError):
    code = "Unhealthy"
