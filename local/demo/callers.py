"""Who calls in the demo, and what each caller sends: a token of its role, or the function key.

A reader, an operator and an administrator call. With `keys` they all send the same key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from local.entra import PORT, SimulatedEntra
from local.entra.claims import caller
from polysync_core.rules.decisions.roles import Role
from polysync_core.rules.wire.entra_settings import AUTHORITY

VARIABLES = MappingProxyType({Role.READ: "READER", Role.OPERATE: "OPERATOR", Role.ADMIN: "ADMIN"})
"""The shell variable that holds the token of each caller, in the commands that the demo prints."""


class Callers(Protocol):
    """What the callers of one mode send, and how a shell command shows it."""

    def headers(self, role: Role, /) -> dict[str, str]:
        """The headers that let this caller in."""

    def curl_option(self, role: Role, /) -> str:
        """The same for curl, quoted for a shell."""

    def token_command(self, role: Role, /) -> str | None:
        """The shell command that sets the variable of `curl_option`. None if it uses no variable."""

    def recorded(self, role: Role, /) -> object:
        """What a run document says in `startedBy` when this caller has started the run."""

    @property
    def page_hint(self) -> str:
        """How to get in on the app's page."""


@dataclass(frozen=True, kw_only=True)
class TokenCallers:
    """Callers that sign in at `entra`. `names_issuer`: the commands for tokens must name the issuer's address."""

    entra: SimulatedEntra
    names_issuer: bool

    def headers(self, role: Role, /) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.entra.issue([role])}"}

    def curl_option(self, role: Role, /) -> str:
        return f'-H "Authorization: Bearer ${VARIABLES[role]}"'

    def token_command(self, role: Role, /) -> str:
        issuer = f" --issuer {self.entra.url}" if self.names_issuer else ""
        return f"{VARIABLES[role]}=$(.venv/bin/python -m local.token --role {role.removeprefix('Polysync.')}{issuer})"

    def recorded(self, role: Role, /) -> object:
        who = caller("app", [role])
        return {"objectId": who.object_id, "applicationId": who.client_id}

    @property
    def page_hint(self) -> str:
        return "It lets you sign in as a reader, an operator or an administrator."


@dataclass(frozen=True, kw_only=True)
class KeyCallers:
    """Callers with the function key. It opens every route, and does not say who calls."""

    key: str

    def headers(self, _role: Role, /) -> dict[str, str]:
        return {"x-functions-key": self.key}

    def curl_option(self, _role: Role, /) -> str:
        return f"-H 'x-functions-key: {self.key}'"

    def token_command(self, _role: Role, /) -> None:
        return None

    def recorded(self, _role: Role, /) -> object:
        return "key"

    @property
    def page_hint(self) -> str:
        return f"It asks for the function key: {self.key}"


def default_issuer() -> str:
    """The address that `python -m local.token` asks without --issuer, in this environment."""
    return os.environ.get(AUTHORITY) or f"http://127.0.0.1:{PORT}"
