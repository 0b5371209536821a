"""Validates the access tokens of callers with PyJWT. It is used only where callers sign in with Entra ID.

Only v2 tokens of one tenant and one audience, signed with RS256, are accepted. Sources of the rules:
https://learn.microsoft.com/entra/identity-platform/access-tokens and …/claims-validation.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import requests

from polysync_core.adapters.clock import Clock
from polysync_core.values.caller import Caller, CallerId, EntraDoor
from polysync_core.values.errors import NotSignedIn, SignInUnavailable

if TYPE_CHECKING:
    from jwt import PyJWK

MOST_TOKEN_BYTES = 16 * 1024
LEEWAY_SECONDS = 60
KEYS_KEPT_SECONDS = 24 * 3600.0
FETCH_EVERY_SECONDS = 30.0
"""The keys are fetched at most this often, whatever key ids callers send, and whether the last fetch worked or not."""
_FETCH_TIMEOUT_SECONDS = 5.0
SCOPE = "access"
_BEARER = re.compile(r"bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.IGNORECASE)
_REQUIRED = ("exp", "nbf", "iat", "iss", "aud", "tid", "oid")


class EntraCallers:
    """Turns the Authorization header of a request into a caller. Safe to use from all threads."""

    def __init__(self, door: EntraDoor, clock: Clock) -> None:
        self._door = door
        self._keys = _SigningKeys(door, clock)

    def authenticate(self, authorization: str | None) -> Caller:
        """The caller whose token this is. Raises NotSignedIn, and SignInUnavailable where no key could be fetched."""
        import jwt  # imported on the first call with a token, so that an app with keys never waits for it

        token = self._token_in(authorization)
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.find(header.get("kid"))
            if key is None:
                raise self._refused()
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._door.audience,
                issuer=self._door.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": [*_REQUIRED]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise self._refused(self._remedy_for(token)) from None
        return self._caller_of(claims)

    def _token_in(self, authorization: str | None) -> str:
        """The token of one Bearer header. Several headers arrive joined by commas, which no token holds."""
        if authorization is None or authorization.strip().lower() in {"", "bearer"}:  # a shell variable may be empty
            raise NotSignedIn(
                "Sign in: send an access token of Entra ID as Authorization: Bearer.", self._challenge(None)
            )
        found = _BEARER.fullmatch(authorization.strip()) if len(authorization) <= MOST_TOKEN_BYTES else None
        if found is None:
            raise self._refused()
        return found[1]

    def _caller_of(self, claims: Mapping[str, Any]) -> Caller:
        object_id, tenant = str(claims["oid"]).lower(), str(claims["tid"]).lower()
        roles = claims.get("roles", [])
        is_right = (
            tenant == self._door.tenant
            and claims.get("ver") == "2.0"
            and _is_access_token(claims)
            and object_id not in self._door.denied
            and isinstance(roles, list)
        )
        if not is_right:
            raise self._refused()
        application_id = claims.get("azp")
        return Caller(
            id=CallerId(
                object_id=object_id, application_id=application_id if isinstance(application_id, str) else None
            ),
            roles=frozenset(role for role in roles if isinstance(role, str)),
        )

    def _remedy_for(self, token: str) -> str:
        """What to change about a token of the old form, which only its sender can see; otherwise nothing."""
        import jwt

        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return ""
        if claims.get("ver") != "1.0":
            return ""
        return (
            " It is a v1 token: set requestedAccessTokenVersion to 2 in the app's registration (infra/entra/register)."
        )

    def _refused(self, remedy: str = "") -> NotSignedIn:
        return NotSignedIn(f"The access token is not accepted.{remedy}", self._challenge("invalid_token"))

    def _challenge(self, error: str | None) -> str:
        """The value of WWW-Authenticate: https://www.rfc-editor.org/rfc/rfc6750#section-3."""
        challenge = f'Bearer authorization_uri="{self._door.authorization_url}"'
        return challenge if error is None else f'{challenge}, error="{error}"'


def _is_access_token(claims: Mapping[str, Any]) -> bool:
    """Whether the token is for the app's API. An ID token of the same registration has the same issuer and audience.

    A user's token has our scope. An application's token has none.
    """
    scopes = claims.get("scp")
    if scopes is not None:
        return isinstance(scopes, str) and SCOPE in scopes.split()
    return claims.get("idtyp") == "app" or claims.get("oid") == claims.get("sub")


class _SigningKeys:
    """The tenant's public keys by their ids, kept for a day.

    An unknown id leads to a fetch, at most one in 30 s. When a fetch fails, the earlier keys go on being used.
    """

    def __init__(self, door: EntraDoor, clock: Clock) -> None:
        self._door = door
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")

    def find(self, key_id: object) -> PyJWK | None:
        """The key, or None if the tenant has none with this id. Raises SignInUnavailable while there are no keys."""
        found = self._keys.get(key_id) if isinstance(key_id, str) else None
        if found is not None and self._clock.monotonic() - self._fetched_at < KEYS_KEPT_SECONDS:
            return found
        if self._lock.acquire(blocking=found is None):  # a caller with a known key does not wait for a fetch
            try:
                if self._clock.monotonic() - self._tried_at >= FETCH_EVERY_SECONDS:
                    self._tried_at = self._clock.monotonic()
                    self._fetch()
            finally:
                self._lock.release()
        if not self._keys:
            raise SignInUnavailable("Entra ID's signing keys cannot be fetched now.", retry_after_seconds=30)
        return self._keys.get(key_id) if isinstance(key_id, str) else None

    def _fetch(self) -> None:
        import jwt

        try:
            answer = requests.get(self._door.keys_url, timeout=_FETCH_TIMEOUT_SECONDS, allow_redirects=False)
            answer.raise_for_status()
            found = jwt.PyJWKSet.from_dict(answer.json())
        except (requests.RequestException, jwt.PyJWTError, ValueError, TypeError, AttributeError):
            return
        self._keys = {key.key_id: key for key in found.keys if key.key_id and key.key_type == "RSA"}
        self._fetched_at = self._clock.monotonic()
