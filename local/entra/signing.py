"""Make a token of a header and claims: signed as Entra does, or in the forms with which an attacker would try.

PyJWT refuses to sign HS256 with a public key. So these functions build the text themselves (RFC 7515, section 3.1).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping

from local.entra.keys import SigningKey, encode_base64url


def sign_rs256(claims: Mapping[str, object], key: SigningKey, *, header: Mapping[str, object] | None = None) -> str:
    """Return a token as Entra signs it. `header` adds to the header or replaces a part of it."""
    content = _content({"typ": "JWT", "alg": "RS256", "kid": key.kid, **(header or {})}, claims)
    return _joined(content, key.sign(content))


def sign_rs256_without_kid(claims: Mapping[str, object], key: SigningKey) -> str:
    """Return a token with a good signature whose header does not name the key."""
    content = _content({"typ": "JWT", "alg": "RS256"}, claims)
    return _joined(content, key.sign(content))


def sign_hs256(claims: Mapping[str, object], key: SigningKey) -> str:
    """Return a token whose HMAC secret is the PEM of the public key, which everybody knows."""
    content = _content({"typ": "JWT", "alg": "HS256", "kid": key.kid}, claims)
    return _joined(content, hmac.digest(key.public_pem, content, hashlib.sha256))


def leave_unsigned(claims: Mapping[str, object], key: SigningKey) -> str:
    """Return a token with alg none and an empty signature."""
    return _joined(_content({"typ": "JWT", "alg": "none", "kid": key.kid}, claims), b"")


def _content(header: Mapping[str, object], claims: Mapping[str, object]) -> bytes:
    return ".".join(encode_base64url(json.dumps(part).encode()) for part in (header, claims)).encode()


def _joined(content: bytes, signature: bytes) -> str:
    return f"{content.decode()}.{encode_base64url(signature)}"
