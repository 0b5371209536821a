"""The claims of each form of token that Entra ID issues. Pure.

Source: Microsoft, "Access token claims reference" and "ID token claims reference". In a v2 token `aud` is the API's
client id and `azp` is the caller's. A v1 token has `appid`, another issuer, and an `aud` that may be a URI.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

TENANT = "7a1c6f0e-2b34-4d58-9e60-5f8c1d2e3a4b"
OTHER_TENANT = "c0ffee00-1111-4222-8333-944455556666"
AUDIENCE = "5d0b1c2a-3e4f-4a6b-8c7d-9e0f1a2b3c4d"
"""The client id of the API's registration."""
PAGE_CLIENT = "e7f3a9b1-6c2d-4e8f-a0b1-c2d3e4f5a6b7"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
SCOPE = "access"
SECONDS = 3600.0
_MADE_IDS = uuid.UUID("3f0e6c1d-8a27-4c55-b1a9-0d4f7e2c9b68")

Kind = Literal["app", "user"]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who calls. `object_id` is the caller's in the directory. `client_id` is the program with which it calls.

    Only a person has a name.
    """

    kind: Kind
    object_id: str
    client_id: str
    roles: tuple[str, ...]
    name: str = "Ada Example"

    @property
    def username(self) -> str:
        """What a person signs in with. The page may send it as login_hint."""
        return f"{self.object_id[:8]}@example.com"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a token is issued and for whom: the issuer's address, the tenant, and the API's client id."""

    url: str
    tenant: str
    audience: str

    @property
    def issuer(self) -> str:
        return f"{self.url}/{self.tenant}/v2.0"


@dataclass(frozen=True, kw_only=True)
class Life:
    """From when to when a token is valid, in epoch seconds, and its unique id (uti)."""

    begins: int
    ends: int
    token_id: str


def role_name(role: str, workspace: str | None = None) -> str:
    """`Polysync.Operate`, or `Polysync.Operate.finance` for one workspace."""
    return f"Polysync.{role}" if workspace is None else f"Polysync.{role}.{workspace}"


def caller(kind: str, roles: Sequence[str], object_id: str | None = None, client_id: str | None = None) -> Caller:
    """Return a caller. Without ids, the same kind and roles always get the same ids. Raises ValueError for a kind."""
    if kind not in get_args(Kind):
        raise ValueError(f"kind is one of {', '.join(get_args(Kind))}, not {kind!r}")
    known: Kind = "user" if kind == "user" else "app"
    seed = f"{known} {' '.join(roles)}"
    own = AZURE_CLI if known == "user" else _made_id(f"client of {seed}")
    return Caller(kind=known, object_id=object_id or _made_id(seed), client_id=client_id or own, roles=tuple(roles))


def access_claims(who: Caller, place: Place, life: Life) -> dict[str, object]:
    """The claims of a v2 access token. An application has `idtyp`, as the registration asks for; a person has `scp`."""
    claims = _common(who, place, life) | {"azp": who.client_id, "azpacr": "2" if who.kind == "app" else "0"}
    if who.roles:
        claims["roles"] = list(who.roles)
    return claims | ({"idtyp": "app"} if who.kind == "app" else {"scp": SCOPE, **_person(who)})


def v1_claims(who: Caller, place: Place, life: Life) -> dict[str, object]:
    """The claims of a v1 access token of the same caller. A registration without a version issues such tokens."""
    claims = access_claims(who, place, life)
    del claims["azp"], claims["azpacr"]
    return claims | {
        "iss": f"https://sts.windows.net/{place.tenant}/",
        "aud": f"api://{place.audience}",
        "appid": who.client_id,
        "appidacr": "2",
        "idp": f"https://sts.windows.net/{place.tenant}/",
        "ver": "1.0",
    }


def id_claims(who: Caller, place: Place, life: Life) -> dict[str, object]:
    """The claims of an ID token. `aud` is the client that signed a person in. Roles are those in that registration."""
    claims = _common(who, place, life) | {"nonce": f"nonce-{life.token_id}", **_person(who)}
    return claims | ({"roles": list(who.roles)} if who.roles else {})


def _common(who: Caller, place: Place, life: Life) -> dict[str, object]:
    return {
        "aud": place.audience,
        "iss": place.issuer,
        "iat": life.begins,
        "nbf": life.begins,
        "exp": life.ends,
        "oid": who.object_id,
        "sub": who.object_id if who.kind == "app" else _pairwise(who.object_id, place.audience),
        "tid": place.tenant,
        "uti": life.token_id,
        "ver": "2.0",
    }


def _person(who: Caller) -> dict[str, object]:
    return {"name": who.name, "preferred_username": who.username}


def _pairwise(object_id: str, audience: str) -> str:
    """A person's `sub` differs from the `oid`, and is another one for each API."""
    digest = hashlib.sha256(f"{object_id} {audience}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _made_id(seed: str) -> str:
    return str(uuid.uuid5(_MADE_IDS, seed))
