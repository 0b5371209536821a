"""Who calls the app: somebody who has signed in with Entra ID, or somebody with a function key."""

from __future__ import annotations

from dataclasses import dataclass

from polysync_core.values.stored import Kept

SCOPE = "access"
"""The delegated permission of the API's registration (infra/entra/registration.py)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallerId(Kept):
    """Who did something. Both ids are None for a caller with a function key.

    `object_id` is that of the user or service principal, `application_id` that of its application.
    """

    object_id: str | None = None
    application_id: str | None = None

    def __str__(self) -> str:
        """The caller as log lines name it."""
        if self.object_id is None:
            return "key"
        return f"object {self.object_id} of application {self.application_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """A caller and its roles, as its token names them. `roles` is None for a function key, which opens everything."""

    id: CallerId
    roles: frozenset[str] | None


KEY_ID = CallerId()
"""The caller of a request with a function key: nobody knows who it is."""
KEY_CALLER = Caller(id=KEY_ID, roles=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class EntraDoor:
    """Whom the app lets in by a token of Entra ID: the tenant, the audience (a client id), and who is denied.

    `authority` is the address of the cloud's sign-in service. `denied` are object ids. `page_client` is the client id
    with which the page signs people in. None: they cannot sign in there.
    """

    tenant: str
    audience: str
    authority: str
    denied: frozenset[str]
    page_client: str | None = None

    @property
    def issuer(self) -> str:
        """The `iss` of the tenant's v2 tokens: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference."""
        return f"{self.authority}/{self.tenant}/v2.0"

    @property
    def keys_url(self) -> str:
        return f"{self.authority}/{self.tenant}/discovery/v2.0/keys"

    @property
    def authorization_url(self) -> str:
        return f"{self.authority}/{self.tenant}/oauth2/v2.0/authorize"
