"""Validates the access tokens of callers with PyJWT. It is used only where callers sign in with Entra ID.

Only v2 tokens of one tenant and one audience, signed with RS256, are accepted. Sources of the rules:
https://learn.microsoft.com/entra/identity-platform/access-tokens and …/claims-validation.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from polysync_core.adapters.clock import Clock
from polysync_core.adapters.entra_signing_keys import SigningKeys
from polysync_core.values.caller import SCOPE, Caller, CallerId, EntraDoor
from polysync_core.values.errors import NotSignedIn

MOST_TOKEN_BYTES = 16 * 1024
LEEWAY_SECONDS = 60
LOG_EVERY_SECONDS = 30.0
"""Each reason of a refusal is logged at most this often, whatever callers send."""
_BEARER = re.compile(r"bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REQUIRED = ("exp", "nbf", "iat", "iss", "aud", "tid", "oid")
_REASONS = {
    "ExpiredSignatureError": "the token has expired",
    "ImmatureSignatureError": "the token is not valid yet",
    "InvalidIssuedAtError": "the token's iat is no time",
    "InvalidAudienceError": "the token is for another audience than POLYSYNC_ENTRA_AUDIENCE",
    "InvalidIssuerError": "the token's issuer is not the tenant of POLYSYNC_ENTRA_TENANT at POLYSYNC_ENTRA_AUTHORITY",
    "InvalidSignatureError": "the token's signature is wrong",
    "InvalidAlgorithmError": "the token's algorithm is not RS256",
    "MissingRequiredClaimError": "the token lacks one of " + ", ".join(_REQUIRED),
}
"""What the log says for an error of PyJWT. The error's own text may hold what a caller sent."""
_log = logging.getLogger("polysync.door")


class EntraCallers:
    """Turns the Authorization header of a request into a caller. Safe to use from all threads."""

    def __init__(self, door: EntraDoor, clock: Clock) -> None:
        self._door = door
        self._clock = clock
        self._logged_at: dict[str, float] = {}
        self._keys = SigningKeys(door, clock)

    def check(self) -> str:
        """How the signing keys are. Raises SignInUnavailable, with the reason for the operator, if there are none."""
        return self._keys.check()

    def authenticate(self, authorization: str | None) -> Caller:
        """The caller whose token this is. Raises NotSignedIn, and SignInUnavailable where no key could be fetched.

        The log gets the reason. The caller does not, because it may be anybody.
        """
        import jwt  # imported on the first call with a token, so that an app with keys never waits for it

        token = self._token_in(authorization)
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.find(header.get("kid"))
            if key is None:
                raise self._refused("no key of the tenant has the token's key id")
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._door.audience,
                issuer=self._door.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": [*_REQUIRED]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            reason = _REASONS.get(type(error).__name__, "the token is malformed")
            raise self._refused(reason, self._remedy_for(token)) from None
        return self._caller_of(claims)

    def _token_in(self, authorization: str | None) -> str:
        """The token of one Bearer header. Several headers arrive joined by commas, which no token holds."""
        if authorization is None or authorization.strip().lower() in {"", "bearer"}:  # a shell variable may be empty
            self._note("no token was sent")
            raise NotSignedIn(
                "Sign in: send an access token of Entra ID as Authorization: Bearer.", self._challenge(None)
            )
        found = _BEARER.fullmatch(authorization.strip()) if len(authorization) <= MOST_TOKEN_BYTES else None
        if found is None:
            raise self._refused("the header is not Bearer and one token")
        return found[1]

    def _caller_of(self, claims: Mapping[str, Any]) -> Caller:
        object_id, roles = str(claims["oid"]).lower(), claims.get("roles", [])
        if str(claims["tid"]).lower() != self._door.tenant:
            raise self._refused("the token's tid is not POLYSYNC_ENTRA_TENANT")
        if claims.get("ver") != "2.0":
            raise self._refused("the token's version is not 2.0")
        if not _UUID.fullmatch(object_id):
            raise self._refused("the token's oid is not a UUID")
        if not _is_access_token(claims):
            raise self._refused(f"the token is an ID token, or it lacks the scope {SCOPE}")
        if not isinstance(roles, list):
            raise self._refused("the token's roles are no list")
        if object_id in self._door.denied:
            raise self._refused("POLYSYNC_ENTRA_DENIED names the caller")
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

    def _refused(self, reason: str, remedy: str = "") -> NotSignedIn:
        self._note(reason)
        return NotSignedIn(f"The access token is not accepted.{remedy}", self._challenge("invalid_token"))

    def _note(self, reason: str) -> None:
        """Log why a token is refused, and nothing of the token. There are few reasons, so few are remembered."""
        now = self._clock.monotonic()
        if now - self._logged_at.get(reason, float("-inf")) >= LOG_EVERY_SECONDS:
            self._logged_at[reason] = now
            _log.warning("sign-in refused: %s", reason, extra={"action": "sign_in"})

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
