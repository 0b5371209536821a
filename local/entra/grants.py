"""The codes and the refresh tokens that are under way. Safe to use from all threads. Times are epoch seconds.

Source: Microsoft, "Refresh tokens in the Microsoft identity platform". A refresh token of a single-page app ends 24
hours after the sign-in. Each use of it returns a new one, which ends at the same time. The old one goes on working.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from local.entra.claims import Caller
from local.entra.refusals import Refusal


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a person has allowed a client."""

    who: Caller
    client_id: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Code:
    """An authorization code, and everything that it is bound to."""

    grant: Grant
    redirect_uri: str
    challenge: str
    nonce: str | None
    ends: float


@dataclass(frozen=True, kw_only=True)
class RefreshToken:
    """`begins` is the time of the sign-in."""

    grant: Grant
    begins: float
    ends: float


class Grants:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._codes: dict[str, Code] = {}
        self._used: set[str] = set()
        self._refresh_tokens: dict[str, RefreshToken] = {}
        self._revoked: set[str] = set()

    def add_code(self, code: Code) -> str:
        """Keep a new code, and return its text."""
        text = secrets.token_urlsafe(48)
        with self._lock:
            self._codes[text] = code
        return text

    def use_code(self, text: str, *, client_id: str, redirect_uri: str, verifier: str | None, now: float) -> Code:
        """Return the code and use it up. A refused attempt does not use it up."""
        with self._lock:
            code = self._codes.get(text)
            if code is None:
                raise _malformed()
            if code.grant.client_id != client_id:
                raise Refusal("invalid_grant", 70000, "The provided value for the 'code' parameter is not valid.")
            if text in self._used:
                raise Refusal(
                    "invalid_grant",
                    54005,
                    "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an"
                    " existing refresh token.",
                )
            if now >= code.ends:
                raise Refusal(
                    "invalid_grant",
                    70008,
                    "The provided authorization code or refresh token has expired due to inactivity. Send a new"
                    " interactive authorization request for this user and resource.",
                )
            if code.redirect_uri != redirect_uri:
                raise Refusal(
                    "invalid_client",
                    500112,
                    f"The reply address '{redirect_uri}' does not match the reply address '{code.redirect_uri}'"
                    " provided when requesting Authorization code.",
                )
            _check_verifier(verifier, code.challenge)
            self._used.add(text)
        return code

    def add_refresh_token(self, token: RefreshToken) -> str:
        """Keep a new refresh token, and return its text."""
        text = secrets.token_urlsafe(64)
        with self._lock:
            self._refresh_tokens[text] = token
        return text

    def use_refresh_token(self, text: str, *, client_id: str, now: float) -> RefreshToken:
        with self._lock:
            token = self._refresh_tokens.get(text)
            is_revoked = text in self._revoked
        if token is None:
            raise _malformed()
        if token.grant.client_id != client_id:
            raise Refusal("invalid_grant", 70000, "The provided value for the 'refresh_token' parameter is not valid.")
        if is_revoked:
            raise Refusal(
                "invalid_grant",
                50173,
                "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might"
                f" have changed or reset their password. The grant was issued on '{_time(token.begins)}'.",
                suberror="bad_token",
            )
        if now >= token.ends:
            raise Refusal(
                "invalid_grant",
                700084,
                "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime"
                f" of {_span(token.ends - token.begins)}, which cannot be extended. It is now expired and"
                " a new sign in request must be sent by the SPA to the sign in page. The token was issued on"
                f" {_time(token.begins)}.",
                suberror="bad_token",
            )
        return token

    def revoke(self, object_id: str | None) -> int:
        """Revoke the refresh tokens of one person, or of all, and return how many have just been revoked."""
        with self._lock:
            found = {
                text
                for text, token in self._refresh_tokens.items()
                if object_id is None or token.grant.who.object_id == object_id
            }
            new = found - self._revoked
            self._revoked |= new
        return len(new)


def _malformed() -> Refusal:
    return Refusal("invalid_grant", 9002313, "Invalid request. Request is malformed or invalid.")


def _check_verifier(verifier: str | None, challenge: str) -> None:
    """RFC 7636, section 4.6. Raises Refusal."""
    if verifier is None:
        raise Refusal(
            "invalid_grant",
            50148,
            "The code_verifier does not match the code_challenge supplied in the authorization request for PKCE.",
        )
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    if digest != challenge:
        raise Refusal(
            "invalid_grant",
            501481,
            "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
        )


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")


def _span(seconds: float) -> str:
    """A time span as .NET writes it: 1.00:00:00 is a day."""
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}.{hours:02}:{minutes:02}:{left:02}"
