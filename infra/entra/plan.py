"""The commands that `infra/entra/register` runs between its calls of `az`. Each reads files and prints JSON or a text.

It prints nothing when there is nothing to write. It exits with 2, and the remedy on standard error, for a bad input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import registration
from registration import Refused


def load(file: str) -> dict[str, Any]:
    """The JSON object of a file. An empty file is an empty object: Graph answers a PATCH with nothing."""
    text = Path(file).read_text(encoding="utf-8")
    document = json.loads(text) if text.strip() else {}
    return document if isinstance(document, dict) else {}


def only(file: str, what: str) -> dict[str, Any]:
    """The only element of a list of Graph, or {}. Raises Refused for several."""
    found = load(file).get("value") or []
    if len(found) > 1:
        raise Refused(f"there are {len(found)} registrations with {what}. Name the right one: --audience APP_ID.")
    return dict(found[0]) if found else {}


def merge(state: str, body: str, answer: str) -> dict[str, Any]:
    """What Graph has after a write: its fields, with those that were written, and those that it answered."""
    return _merged(_merged(load(state), load(body)), load(answer))


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in new.items():
        known = old.get(name)
        old[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return old


def field(file: str, name: str) -> str:
    return str(load(file).get(name) or "")


def credentials(file: str) -> str:
    """How many secrets and certificates a registration has, or nothing."""
    app = load(file)
    return str(len(app.get("passwordCredentials") or []) + len(app.get("keyCredentials") or []) or "")


def workspaces(are_given: str, names: str, setting: str) -> list[str] | None:
    return registration.decode_workspaces(names if are_given == "true" else None, setting)


def api(state: str, name: str, known: str) -> dict[str, Any]:
    return registration.plan_api(load(state), name, json.loads(known))


def access(state: str, page_app_id: str) -> dict[str, Any]:
    return registration.plan_access(load(state), page_app_id or None)


def page(state: str, name: str, api_state: str, *redirects: str) -> dict[str, Any]:
    return registration.plan_page(load(state), name, redirects, load(api_state))


def principal(state: str, app_id: str, assignment_required: str) -> dict[str, Any]:
    return registration.plan_principal(load(state), app_id, assignment_required=assignment_required == "true")


def assignment(state: str, caller_id: str, role: str, assignments: str) -> dict[str, Any]:
    return registration.plan_assignment(load(state), caller_id, role, load(assignments).get("value") or [])


COMMANDS: Mapping[str, Callable[..., Any]] = {
    command.__name__: command
    for command in (only, merge, field, credentials, workspaces, api, access, page, principal, assignment)
}
_ALWAYS_PRINTED = {"only", "merge", "workspaces"}


def main(command: str, *arguments: str) -> int:
    try:
        result = COMMANDS[command](*arguments)
    except Refused as refused:
        sys.stderr.write(f"register: {refused}\n")
        return 2
    if result or command in _ALWAYS_PRINTED:
        sys.stdout.write(result if isinstance(result, str) else json.dumps(result, indent=2))
        sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
