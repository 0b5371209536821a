"""Says whether a response was right to let a request in, or to refuse it. It shares no code with the app's door."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from schemathesis import APIOperation

from tests.functions.app import Answer
from tests.fuzz.credentials import ADMIN, OPERATE, READ, Credential

_RANKS = {READ: 1, OPERATE: 2, ADMIN: 3}
Operation = APIOperation[Any, Any, Any, Any]


def fault_of_the_door(
    answer: Answer, sent: str, operation: Operation, credential: Credential, workspaces: Sequence[str]
) -> str | None:
    """Return what is wrong about a response to a request with this credential, or None.

    `sent` is the request's address and body. `workspaces` are the names of all workspaces of the app.
    """
    status, described = answer.status, operation.definition.raw
    if described.get("security") == []:
        return "an open route asks for a credential" if status in {401, 403} else None
    if credential.roles is None:
        return _fault_of_a_refusal(answer)
    if status == 401:
        return "a credential that is right is refused"
    needs, whole_app = _needed(operation), operation.path.startswith("/api/secrets/")
    if not described["description"].endswith(f"Role: {needs}{'' if whole_app else ', for the workspace'}."):
        return "the document names another role"
    allowed = {name for name in workspaces if _rank_in(name, credential.roles) >= _RANKS[needs]}
    if whole_app and _rank_in(None, credential.roles) < _RANKS[needs]:
        allowed = set()
    if status < 300 and not set(_workspaces_in(answer.json)) <= allowed:
        return "an answer about a workspace where the role is too small"
    if status < 300 and not allowed:
        return "let in with a role that is too small"
    if status == 403 and allowed == set(workspaces):
        return "a role that is great enough is refused"
    text = answer.body.decode()
    hidden = [name for name in workspaces if _rank_in(name, credential.roles) == 0 and name not in sent]
    return "names a workspace that the caller may not see" if any(name in text for name in hidden) else None


def _fault_of_a_refusal(answer: Answer) -> str | None:
    if answer.status != 401:
        return "let in without a credential that is right"
    has_challenge = answer.headers.get("www-authenticate", "").startswith("Bearer ")
    return "a 401 of the app without a challenge" if answer.body and not has_challenge else None


def _needed(operation: Operation) -> str:
    """Reading needs Read. What is done to runs needs Operate, and what is done to jobs and secrets needs Admin."""
    if operation.method.upper() == "GET":
        return READ
    return ADMIN if operation.path.startswith(("/api/jobs/", "/api/secrets/")) else OPERATE


def _rank_in(workspace: str | None, roles: Sequence[str]) -> int:
    """The rank of the greatest of these roles in a workspace, or in the whole app for None."""
    suffixes = ("",) if workspace is None else ("", f".{workspace}")
    return max((_RANKS.get(role.removesuffix(suffix), 0) for role in roles for suffix in suffixes), default=0)


def _workspaces_in(document: Any) -> Iterator[str]:
    """The workspaces whose runs, jobs or report the document shows."""
    for shown in (document, *document.get("items", ())):
        if "workspace" in shown:
            yield shown["workspace"]
