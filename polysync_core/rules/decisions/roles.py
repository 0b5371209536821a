"""Which role opens which route. Pure.

Polysync.Read ⊂ Polysync.Operate ⊂ Polysync.Admin. With a suffix, as in Polysync.Operate.finance, a role holds for that
workspace alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from polysync_core.values.caller import Caller


class Role(StrEnum):
    """The roles, each with the rights of those before it."""

    READ = "Polysync.Read"
    OPERATE = "Polysync.Operate"
    ADMIN = "Polysync.Admin"


ROLE_OF_ROUTE: Mapping[str, Role | None] = MappingProxyType(
    {
        "start_update": Role.OPERATE,
        "cancel_pipeline": Role.OPERATE,
        "list_runs": Role.READ,
        "get_run": Role.READ,
        "run_events": Role.READ,
        "await_run": None,
        "cancel_run": Role.OPERATE,
        "redeliver": Role.OPERATE,
        "abandon_run": Role.OPERATE,
        "discover_jobs": Role.ADMIN,
        "sync_parameters": Role.ADMIN,
        "list_jobs": Role.READ,
        "get_job": Role.READ,
        "set_parameter": Role.ADMIN,
        "rotate_await_key": Role.ADMIN,
        "alive": None,
        "health": None,
        "openapi": None,
    }
)
"""The role of each route, by the name of its function. None: the route is open to everybody."""
WHOLE_APP = frozenset({"rotate_await_key"})
"""Routes that act on the whole app. They need their role without a suffix."""
_ORDER = (Role.READ, Role.OPERATE, Role.ADMIN)


def has_role(caller: Caller, role: Role, workspace: str | None) -> bool:
    """Whether the caller has `role`, or a higher one, in `workspace`. None stands for the whole app."""
    if caller.roles is None:
        return True
    enough = _ORDER[_ORDER.index(role) :]
    suffixes = ("",) if workspace is None else ("", f".{workspace}")
    return any(f"{each}{suffix}" in caller.roles for each in enough for suffix in suffixes)


def visible_workspaces(caller: Caller, workspaces: Iterable[str]) -> tuple[str, ...]:
    """Return the workspaces whose runs and jobs the caller may see, in their order."""
    return tuple(name for name in workspaces if has_role(caller, Role.READ, name))


def own_key(caller: Caller, idempotency_key: str | None) -> str | None:
    """Return the Idempotency-Key as the caller's own. The same key of another caller is another key.

    A function key does not say who calls, so there all callers share their keys.
    """
    object_id = caller.id.object_id
    return idempotency_key if idempotency_key is None or object_id is None else f"{object_id}\n{idempotency_key}"


def role_name(role: Role, workspace: str | None) -> str:
    """Return the role as an error names it."""
    return str(role) if workspace is None else f"{role} or {role}.{workspace}"
