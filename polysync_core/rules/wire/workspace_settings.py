"""Read the workspaces from DATABRICKS_HOST or POLYSYNC_WORKSPACES. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from polysync_core.rules.wire.setting_values import parse_address, split_address
from polysync_core.rules.wire.strict_json import decode_json
from polysync_core.values.workspace import Workspace

HOST, SEVERAL = "DATABRICKS_HOST", "POLYSYNC_WORKSPACES"
DEFAULT_WORKSPACE = "default"
_WORKSPACE_NAME = re.compile(r"[a-z0-9-]{1,40}")
_RESOURCE_ID = re.compile(
    r"/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/Microsoft\.Databricks/workspaces/[^/\s]+", re.IGNORECASE
)
_AZURE_ZONES = ("azuredatabricks.net", "databricks.azure.us", "databricks.azure.cn")
_ZONES = (*_AZURE_ZONES, "databricks.com", "databricks.us")
"""The domains of Databricks: those of Azure's three clouds, then those of AWS and Google."""
_ACCOUNT_CONSOLES = frozenset({"accounts", "accounts-dod"})
_OWN_ADDRESS = "give the workspace's own, like https://adb-1234567890123456.7.azuredatabricks.net"
Wrong = Callable[[str, str], None]
"""A function that takes the name of a setting and what is wrong with it."""


def read_workspaces(environ: Mapping[str, str], wrong: Wrong, *, needs_one: bool) -> tuple[Workspace, ...]:
    """Return the usable workspaces, the default one first. `wrong` is called for every fault.

    If `needs_one` is true, it is a fault that no workspace is set.
    """
    host, listed = environ.get(HOST, "").strip(), environ.get(SEVERAL, "").strip()
    if host and listed:
        wrong(f"{HOST} and {SEVERAL}", "set only one of them")
    elif host:
        try:
            return (Workspace(name=DEFAULT_WORKSPACE, url=parse_workspace_address(host)),)
        except ValueError as malformed:
            wrong(HOST, str(malformed))
    elif listed:
        return _read_several(listed, wrong)
    elif needs_one:
        wrong(
            HOST,
            "is missing; set the workspace's address, like https://adb-1234567890123456.7.azuredatabricks.net "
            f"(or {SEVERAL} for several)",
        )
    return ()


def _read_several(listed: str, wrong: Wrong) -> tuple[Workspace, ...]:
    """Two names for one address are a fault. Rows are stored by address, so both would share runs and jobs."""
    workspaces: dict[str, Workspace] = {}
    try:
        entries = parse_workspaces(listed)
    except ValueError as malformed:
        wrong(SEVERAL, str(malformed))
        return ()
    for name, entry in entries.items():
        try:
            workspace = parse_workspace(name, entry)
        except ValueError as malformed:
            wrong(f"{SEVERAL}['{name}']", str(malformed))
            continue
        first = workspaces.setdefault(workspace.url, workspace)
        if first is not workspace:
            wrong(f"{SEVERAL}['{name}']", f"has the same address as '{first.name}'; give a workspace one name")
    return tuple(workspaces.values())


def parse_workspaces(given: str) -> dict[str, object]:
    """Return the entries of POLYSYNC_WORKSPACES by name. parse_workspace reads each entry. Raises ValueError."""
    try:
        entries = decode_json(given)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"must be JSON, name to {{url, resourceId?}} ({error})") from None
    if not isinstance(entries, dict) or not entries:
        raise ValueError('must be a JSON object like {"sales": {"url": "https://adb-….azuredatabricks.net"}}')
    return entries


def parse_workspace(name: str, entry: object) -> Workspace:
    if not _WORKSPACE_NAME.fullmatch(name):
        raise ValueError("a workspace's name is 1 to 40 of a-z, 0-9 and '-'")
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str) or set(entry) - {"url", "resourceId"}:
        raise ValueError("must be an object with url and, if needed, resourceId")
    resource_id = entry.get("resourceId")
    if resource_id is not None and not (isinstance(resource_id, str) and _RESOURCE_ID.fullmatch(resource_id)):
        raise ValueError(
            "resourceId must be like /subscriptions/…/resourceGroups/…/providers/Microsoft.Databricks/workspaces/…"
        )
    try:
        url = parse_workspace_address(entry["url"])
    except ValueError as wrong:
        raise ValueError(f"url {wrong}") from None
    return Workspace(name=name, url=url, resource_id=resource_id)


def parse_workspace_address(given: str) -> str:
    """Return the address of one workspace. Raises ValueError.

    Databricks' addresses of regions and account consoles are refused: they answer, but they are not workspaces. A host
    outside Databricks' domains is accepted, because a workspace may have a domain name of its owner.
    """
    try:
        host = (split_address(given).hostname or "").rstrip(".")
    except ValueError:
        host = ""
    zone = next((zone for zone in _ZONES if f".{host}".endswith(f".{zone}")), None)
    if zone is not None:
        first = host.split(".")[0]
        if first in _ACCOUNT_CONSOLES:
            raise ValueError(f"is the address of an account console, not of a workspace; {_OWN_ADDRESS}")
        if zone in _AZURE_ZONES and not first.startswith("adb-"):
            raise ValueError(f"is the address of a region, not of a workspace; {_OWN_ADDRESS}")
    return parse_address(given)
