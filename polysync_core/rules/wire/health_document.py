"""The answer of health: one line for each thing that the app depends on, and the last sweep of each workspace."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from polysync_core.rules.wire.http_answers import Instant, Reply
from polysync_core.rules.wire.run_document import iso
from polysync_core.values.run import Health, LastSweep


class CheckDocument(TypedDict):
    """One thing that the app depends on."""

    name: str
    ok: bool
    message: str


class LastSweepDocument(TypedDict):
    """When the last sweep began. `version` is that of the app that made it, or null before version 1.0.0."""

    at: Instant
    version: str | None


class WorkspaceHealthDocument(TypedDict):
    """`lastSweep` is null if there was none yet, or if its row cannot be read."""

    lastSweep: LastSweepDocument | None


class HealthDocument(TypedDict):
    """Everything that the app depends on. `version` is that of the app that answers."""

    status: Literal["ok", "failing"]
    version: str
    checks: list[CheckDocument]
    workspaces: Annotated[
        dict[str, WorkspaceHealthDocument],
        Field(description="By name. Empty while a setting is wrong."),
    ]


def encode_health(health: Health, version: str) -> Reply:
    """Return one line for each check. The status is 503 if a check failed, else 200."""
    ok = all(check.ok for check in health.checks)
    document: HealthDocument = {
        "status": "ok" if ok else "failing",
        "version": version,
        "checks": [{"name": check.name, "ok": check.ok, "message": check.message} for check in health.checks],
        "workspaces": {name: {"lastSweep": _encode_sweep(last)} for name, last in health.last_sweeps.items()},
    }
    return Reply(status=200 if ok else 503, body=document)


def _encode_sweep(last: LastSweep | None) -> LastSweepDocument | None:
    return None if last is None else {"at": iso(last.swept_at), "version": last.version}
