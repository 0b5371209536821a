"""What a request of the fuzzer sends to be let in: mostly what opens every route, and otherwise anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.entra import WRONG_TOKENS, SimulatedEntra
from tests.functions.app import KEY, ServedApp

ADMIN = "Polysync.Admin"
RIGHT = "what opens everything"
_ROLES = ("Polysync.Read", "Polysync.Operate", ADMIN)
_NOT_ROLES = ("polysync.admin", "Polysync.Admins", "Polysync.Admin.", "Polysync.*", "Polysync.Admin.nowhere")


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A kind of credential, and its details. `roles` is None for one that must not let anybody in."""

    kind: str
    detail: str = ""
    roles: tuple[str, ...] | None = None


def of_keys() -> Sequence[Credential]:
    """Credentials for an app whose host checks keys, each as often as it shall be sent."""
    refused = [Credential(kind="a wrong key", detail=key) for key in ("wrong", "", f"{KEY}, {KEY}")]
    refused += [Credential(kind="no credential"), Credential(kind="junk", detail=f"Bearer {KEY}")]
    return [*[Credential(kind=RIGHT, roles=(ADMIN,))] * 30, *refused]


def of_tokens(workspaces: Sequence[str]) -> Sequence[Credential]:
    """Credentials for an app whose callers sign in, each as often as it shall be sent."""
    first, second = workspaces
    held: list[tuple[str, ...]] = [(role,) for role in _ROLES[:-1]]
    held += [(f"{role}.{workspace}",) for role in _ROLES for workspace in workspaces]
    held += [(f"Polysync.Read.{first}", f"{ADMIN}.{second}"), (f"{ADMIN}.{first}", "Polysync.Read"), (), _NOT_ROLES]
    return [
        *[Credential(kind=RIGHT, roles=(ADMIN,))] * 50,
        *[Credential(kind="a token of other roles", roles=roles) for roles in held] * 2,
        *(Credential(kind="a wrong token", detail=name) for name in WRONG_TOKENS),
        *[Credential(kind="no credential")] * 5,
        Credential(kind="a function key", detail=KEY),
        *(Credential(kind="junk", detail=header) for header in _JUNK),
    ]


_JUNK = (
    "",
    "Bearer",
    "Bearer null",
    "Bearer a.b.c",
    "Basic eDp5",
    "{token}",
    "Token {token}",
    "Bearer {token}x",
    "Bearer {token} {token}",
    "Bearer {token},Bearer {token}",
    "Basic eDp5,Bearer {token}",
)
"""Authorization headers. `{token}` is the token of an administrator. Two headers arrive joined by a comma."""


def headers_of(credential: Credential, app: ServedApp, entra: SimulatedEntra | None) -> Mapping[str, str]:
    """The headers that a request with this credential has. A token is made anew, because it ends after an hour."""
    if credential.kind == RIGHT and entra is None:
        return app.headers
    if credential.kind in {"a wrong key", "a function key"}:
        return {"x-functions-key": credential.detail}
    if credential.kind == "no credential":
        return {}
    if entra is None:
        return {"Authorization": credential.detail}
    if credential.kind == "junk":
        return {"Authorization": credential.detail.format(token=entra.issue([ADMIN]))}
    if credential.kind == "a wrong token":
        return {"Authorization": f"Bearer {entra.wrong_token(credential.detail)}"}
    return {"Authorization": f"Bearer {entra.issue(credential.roles or ())}"}
