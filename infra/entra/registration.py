"""What an app registration in Entra ID must become. `infra/entra/register` asks and applies; this decides. Pure.

Source: Microsoft Graph v1.0, the resources application, appRole, permissionScope and servicePrincipal. A role or scope
cannot be deleted while it is enabled, and a deleted role takes its assignments along. So an unwanted one is disabled.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
SCOPE = "access"
LEVELS = {
    "Read": "see the runs and jobs",
    "Operate": "see the runs and jobs, and start, cancel, redeliver and abandon runs",
    "Admin": "do everything",
}
_PREFIX = "Polysync."
_WORKSPACE = re.compile(r"[a-z0-9-]{1,40}")
_IDS = uuid.UUID("b0d6a3a4-52f5-4b8e-9a53-6f0b8f1c7e21")
"""The namespace of the ids of roles and of the scope. To change it would make every role a new one."""

Document = Mapping[str, Any]


class Refused(Exception):
    """The input or the tenant is not as it must be. The message holds the remedy."""


def made_id(value: str) -> str:
    """The id of a role or scope: the same for the same value, in every registration."""
    return str(uuid.uuid5(_IDS, value))


def decode_workspaces(names: str | None, setting: str | None) -> list[str] | None:
    """Return the names from a list with commas, or else from POLYSYNC_WORKSPACES (JSON, name to address).

    None: they are not known. Raises Refused for a name that no workspace can have.
    """
    if names is not None:
        found = [name.strip() for name in names.split(",")] if names.strip() else []
    elif setting is not None and setting.strip():
        try:
            entries = json.loads(setting)
        except ValueError:
            entries = None
        if not isinstance(entries, dict) or not entries:
            raise Refused("POLYSYNC_WORKSPACES of the azd environment is not a JSON object: give --workspaces.")
        found = list(entries)
    else:
        return None
    for name in found:
        if not _WORKSPACE.fullmatch(name):
            raise Refused(f"--workspaces: {name!r} is not a workspace's name. It is 1 to 40 of a-z, 0-9 and '-'.")
    return sorted(set(found))


def plan_roles(existing: Iterable[Document], workspaces: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return the roles as they must be, in Graph's order. A role that exists keeps its id.

    Roles of workspaces that are not wanted are disabled. Without `workspaces` they stay as they are, and so does every
    role that is not Polysync's.
    """
    wanted = {role["value"]: role for role in _wanted_roles(workspaces or ())}
    planned: list[dict[str, Any]] = []
    for role in (_writable(role) for role in existing):
        value = str(role.get("value"))
        is_unwanted = workspaces is not None and value.startswith(_PREFIX)
        planned.append({**role, **wanted.pop(value, {"isEnabled": False} if is_unwanted else {}), "id": role["id"]})
    return [*planned, *wanted.values()]


def _writable(entry: Document) -> dict[str, Any]:
    """A role or scope without `origin`, which Graph returns and does not accept."""
    return {name: value for name, value in entry.items() if name != "origin"}


def _wanted_roles(workspaces: Sequence[str]) -> Iterable[dict[str, Any]]:
    for workspace in (None, *workspaces):
        for level, may in LEVELS.items():
            where = "" if workspace is None else f" in the workspace {workspace}"
            value = f"{_PREFIX}{level}" if workspace is None else f"{_PREFIX}{level}.{workspace}"
            yield {
                "allowedMemberTypes": ["Application", "User"],
                "description": f"May {may}{where or ' in all workspaces'}.",
                "displayName": f"Polysync: {level}{where}",
                "id": made_id(value),
                "isEnabled": True,
                "value": value,
            }


def plan_scopes(existing: Iterable[Document]) -> list[dict[str, Any]]:
    """Return the delegated scopes, in Graph's order: `access` is enabled, and every other one is disabled."""
    wanted = {
        SCOPE: {
            "adminConsentDescription": "Call Polysync as the person who signed in, with that person's roles.",
            "adminConsentDisplayName": "Call Polysync",
            "id": made_id(SCOPE),
            "isEnabled": True,
            "type": "Admin",
            "value": SCOPE,
        }
    }
    planned = [
        {**scope, **wanted.pop(str(scope.get("value")), {"isEnabled": False}), "id": scope["id"]}
        for scope in (_writable(scope) for scope in existing)
    ]
    return [*planned, *wanted.values()]


def plan_api(app: Document, name: str, workspaces: Sequence[str] | None) -> dict[str, Any]:
    """Return what to write first: all but what needs the app's id or a scope that exists. Empty: nothing."""
    api = app.get("api") or {}
    return _changes(
        app,
        {
            **_closed(name),
            "spa": {"redirectUris": []},
            "appRoles": plan_roles(app.get("appRoles") or [], workspaces),
            "optionalClaims": _plan_optional_claims(app.get("optionalClaims") or {}),
            "api": {
                "requestedAccessTokenVersion": 2,
                "oauth2PermissionScopes": plan_scopes(api.get("oauth2PermissionScopes") or []),
                "preAuthorizedApplications": api.get("preAuthorizedApplications") or [],
            },
        },
    )


def plan_access(app: Document, page_app_id: str | None) -> dict[str, Any]:
    """Return what to write next: the identifier URI, and who may ask for the scope without a consent.

    Graph refuses a client in the same request that adds its scope (microsoft-graph-docs-contrib#1395).
    """
    api = app["api"]
    scope = _scope_id(app)
    clients = {client["appId"]: client for client in api.get("preAuthorizedApplications") or []}
    for client in (AZURE_CLI, *([page_app_id] if page_app_id else ())):
        known = clients.get(client, {}).get("delegatedPermissionIds", [])
        clients[client] = {"appId": client, "delegatedPermissionIds": [*known, *([] if scope in known else [scope])]}
    uri = f"api://{app['appId']}"
    uris = app.get("identifierUris") or []
    wanted = {
        "identifierUris": uris if uri in uris else [*uris, uri],
        "api": {
            "requestedAccessTokenVersion": 2,
            "oauth2PermissionScopes": [_writable(scope) for scope in api["oauth2PermissionScopes"]],
            "preAuthorizedApplications": list(clients.values()),
        },
    }
    return _changes(app, wanted)


def plan_page(app: Document, name: str, redirects: Sequence[str], api: Document) -> dict[str, Any]:
    """Return what to write to the page's registration: single-page redirects, the scope of the API, no role."""
    wanted = {
        **_closed(name),
        "spa": {"redirectUris": sorted(redirects)},
        "api": {"requestedAccessTokenVersion": 2},
        "requiredResourceAccess": [
            {"resourceAppId": api["appId"], "resourceAccess": [{"id": _scope_id(api), "type": "Scope"}]},
        ],
    }
    found = sorted((app.get("spa") or {}).get("redirectUris") or [])
    return _changes({**app, "spa": {"redirectUris": found}}, wanted)


def _scope_id(api: Document) -> str:
    return str(next(scope["id"] for scope in api["api"]["oauth2PermissionScopes"] if scope["value"] == SCOPE))


def _closed(name: str) -> dict[str, Any]:
    """Both registrations: this tenant only, no web redirect, no token from the authorize endpoint, no public client."""
    return {
        "displayName": name,
        "signInAudience": "AzureADMyOrg",
        "isFallbackPublicClient": False,
        "publicClient": {"redirectUris": []},
        "web": {
            "redirectUris": [],
            "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
        },
    }


def _plan_optional_claims(existing: Document) -> dict[str, Any]:
    """Return the optional claims, with `idtyp` among those of access tokens."""
    claims = existing.get("accessToken") or []
    if any(claim.get("name") == "idtyp" for claim in claims):
        return dict(existing)
    return {**existing, "accessToken": [*claims, {"name": "idtyp", "essential": False}]}


def plan_principal(principal: Document, app_id: str, *, assignment_required: bool) -> dict[str, Any]:
    """Return what to write to the service principal. Empty: nothing."""
    wanted: dict[str, Any] = {"appRoleAssignmentRequired": assignment_required}
    return _changes(principal, wanted) if principal else {"appId": app_id, **wanted}


def plan_assignment(principal: Document, caller_id: str, role: str, assignments: Iterable[Document]) -> dict[str, Any]:
    """Return the assignment that gives a caller a role, or nothing when the caller has it.

    Raises Refused, with the roles that there are, for a role that is not among them or is disabled.
    """
    roles = {role["value"]: role["id"] for role in principal.get("appRoles") or [] if role.get("isEnabled")}
    if role not in roles:
        raise Refused(f"--role {role!r} is not one of: {', '.join(sorted(roles)) or 'none'}. Run register first.")
    if any(held["principalId"] == caller_id and held["appRoleId"] == roles[role] for held in assignments):
        return {}
    return {"principalId": caller_id, "resourceId": principal["id"], "appRoleId": roles[role]}


def _changes(existing: Document, wanted: Document) -> dict[str, Any]:
    """The wanted fields that differ. A field that is an object is written whole if anything in it differs."""
    return {name: value for name, value in wanted.items() if not _holds(existing.get(name), value)}


def _holds(existing: Any, wanted: Any) -> bool:
    """Whether Graph's value is the wanted one. Graph adds fields of its own to objects, and null for what is unset."""
    if isinstance(wanted, dict):
        return all(_holds((existing or {}).get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        given = existing or []
        return len(given) == len(wanted) and all(map(_holds, given, wanted))
    return bool(existing == wanted) or (existing is None and wanted is False)
