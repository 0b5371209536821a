"""What a request of the fuzzer sends to be let in: mostly what opens every route, and otherwise anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.entra import WRONG_TOKENS, SimulatedEntra
from tests.functions.app import KEY

READ, OPERATE, ADMIN = "Polysync.Read", "Polysync.Operate", "Polysync.Admin"
RIGHT = "what opens everything"
_TOKEN = {"Authorization": "Bearer {token}"}
_NOT_ROLES = ("polysync.admin", "Polysync.Admins", "Polysync.Admin.", "Polysync.*", "Polysync.Admin.nowhere")
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
"""Values of the Authorization header. Two headers arrive joined by a comma."""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """Headers in which `{token}` stands for a token: that of WRONG_TOKENS named `wrong`, or one of an administrator.

    With `roles`, the token has these roles. They are None for a credential that must not let anybody in.
    """

    kind: str
    headers: Mapping[str, str]
    wrong: str | None = None
    roles: tuple[str, ...] | None = None

    def made(self, entra: SimulatedEntra | None) -> dict[str, str]:
        """The headers of one request. Each one has a token of its own, because a token ends after an hour."""
        if entra is None:
            return dict(self.headers)
        token = entra.issue((ADMIN,) if self.roles is None else self.roles)
        if self.wrong is not None:
            token = entra.wrong_token(self.wrong)
        return {name: value.format(token=token) for name, value in self.headers.items()}


NOTHING = Credential(kind="no credential", headers={})


def of_keys() -> Sequence[Credential]:
    """Credentials for an app whose host checks keys, each as often as it shall be sent."""
    wrong_keys = [{"x-functions-key": key} for key in ("wrong", "", f"{KEY}, {KEY}")]
    return [
        *[Credential(kind=RIGHT, headers={"x-functions-key": KEY}, roles=(ADMIN,))] * 30,
        *(Credential(kind="a wrong key", headers=headers) for headers in wrong_keys),
        Credential(kind="junk", headers={"Authorization": f"Bearer {KEY}"}),
        NOTHING,
    ]


def of_tokens(workspaces: Sequence[str]) -> Sequence[Credential]:
    """Credentials for an app whose callers sign in, each as often as it shall be sent."""
    first, second = workspaces
    held: list[tuple[str, ...]] = [(READ,), (OPERATE,), (), _NOT_ROLES]
    held += [(f"{role}.{workspace}",) for role in (READ, OPERATE, ADMIN) for workspace in workspaces]
    held += [(f"{READ}.{first}", f"{ADMIN}.{second}"), (f"{ADMIN}.{first}", READ)]
    return [
        *[Credential(kind=RIGHT, headers=_TOKEN, roles=(ADMIN,))] * 50,
        *[Credential(kind="a token of other roles", headers=_TOKEN, roles=roles) for roles in held] * 2,
        *(Credential(kind="a wrong token", headers=_TOKEN, wrong=name) for name in WRONG_TOKENS),
        *(Credential(kind="junk", headers={"Authorization": value}) for value in _JUNK),
        Credential(kind="a function key", headers={"x-functions-key": KEY}),
        *[NOTHING] * 5,
    ]
