"""A stand-in of `az` that records its calls, and keeps registrations in a file as Microsoft Graph does.

Its state is the JSON file AZ_STATE. The rules of Graph that it plays have their source beside them.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

STATE = Path(os.environ["AZ_STATE"])
GRAPH = "https://graph.microsoft.com"
TENANT = "99999999-aaaa-4bbb-8ccc-dddddddddddd"
State = dict[str, Any]


def main(arguments: list[str]) -> None:
    state: State = json.loads(STATE.read_text())
    options = dict(pairwise(arguments))
    state["commands"].append(arguments[:2])
    try:
        if state["fail"]:
            refuse(state["fail"])
        if arguments[:2] == ["account", "show"]:
            sys.stdout.write(f"{TENANT}\n")
        elif arguments[:2] == ["cloud", "show"]:
            sys.stdout.write(f"{state['clouds'][options['--query']]}\n")
        else:
            rest(state, options)
    finally:
        STATE.write_text(json.dumps(state))


def rest(state: State, options: dict[str, str]) -> None:
    method, path = options["--method"], options["--url"].removeprefix(f"{GRAPH}/v1.0/")
    body: dict[str, Any] = {}
    if "--body" in options:
        body = json.loads(Path(options["--body"].removeprefix("@")).read_text())
    state["calls"].append([method, path])
    if method == "GET":
        sys.stdout.write(json.dumps({"value": find(state, path)}))
    elif path.endswith("/appRoleAssignedTo"):
        assign(state, body)
    elif method == "POST":
        entry = {**state["defaults"][path], "id": str(uuid.uuid4()), "appId": str(uuid.uuid4()), **body}
        check(entry, {}, body)
        state[path].append(entry)
        sys.stdout.write(json.dumps(entry))
    else:
        collection, _, entry_id = path.partition("/")
        if state["unknown_for"]:
            state["unknown_for"] -= 1
            refuse('Not Found({"error":{"code":"Request_ResourceNotFound"}})')
        entry = next(entry for entry in state[collection] if entry["id"] == entry_id)
        check(entry, json.loads(json.dumps(entry)), body)
        for name, value in body.items():
            entry[name] = {**entry[name], **value} if isinstance(value, dict) and entry.get(name) else value


def find(state: State, path: str) -> list[dict[str, Any]]:
    if assigned := re.match(r"servicePrincipals/([^/]+)/appRoleAssignedTo", path):
        return [held for held in state["assignments"] if held["resourceId"] == assigned[1]][: state["page"]]
    asked = re.fullmatch(r"(\w+)\?\$filter=(\w+) eq '([^']*)'&\$select=(.+)", unquote(path))
    assert asked is not None, path
    assert " " not in path
    collection, name, value, fields = asked[1], asked[2], asked[3], asked[4].split(",")
    found = [entry for entry in state[collection] if entry.get(name) == value]
    if collection == "servicePrincipals":
        roles = {app["appId"]: app.get("appRoles", []) for app in state["applications"]}
        found = [{**entry, "appRoles": roles.get(entry["appId"], [])} for entry in found]
    shown = [{field: entry.get(field) for field in fields} for entry in found]
    for entry in shown:
        for role in entry.get("appRoles") or []:
            role["origin"] = "Application"  # Graph adds it
    return shown


def assign(state: State, body: dict[str, Any]) -> None:
    if body in state["assignments"]:
        refuse('Bad Request({"error":{"message":"Permission being assigned already exists on the object"}})')
    state["assignments"].append(body)


def check(entry: dict[str, Any], before: dict[str, Any], body: dict[str, Any]) -> None:
    """Refuse what Graph refuses."""
    api, old_api = body.get("api", {}), before.get("api") or {}
    scopes = {scope["id"] for scope in old_api.get("oauth2PermissionScopes", [])}
    for client in api.get("preAuthorizedApplications", []):
        if not set(client["delegatedPermissionIds"]) <= scopes:  # microsoft-graph-docs-contrib#1395
            refuse("Bad Request(the permission id cannot be found in the AppPermissions sets)")
    kept = {role["id"] for role in body.get("appRoles", before.get("appRoles", []))}
    for role in before.get("appRoles", []):
        if role["isEnabled"] and role["id"] not in kept:
            refuse("Bad Request(CannotDeleteOrUpdateEnabledEntitlement)")
    if any("origin" in role for role in body.get("appRoles", [])):  # "must not be included in any POST or PATCH"
        refuse("Bad Request(origin)")
    uris = body.get("identifierUris", [])
    if any(entry["appId"] not in uri for uri in uris):
        refuse("Bad Request(the identifier URI must hold the app's id)")


def refuse(message: str) -> None:
    sys.stderr.write(f"ERROR: {message}\n")
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
