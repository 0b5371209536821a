"""RSA keys that sign tokens, and which of them are published.

Source: Microsoft, "Signing key rollover in the Microsoft identity platform". Entra publishes several keys, one of them
signs, and it may sign with a new key at any time. A key's kid and x5t are the thumbprint of its certificate.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

_BITS = 2048
_VALID = timedelta(days=5 * 365)


def encode_base64url(content: bytes) -> str:
    """Base64url without padding, as RFC 7515 has it."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class SigningKey:
    """One RSA key with its certificate. `made_at` is the beginning of the certificate's validity."""

    def __init__(self, made_at: datetime) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
        self._made_at = made_at

    @cached_property
    def certificate(self) -> bytes:
        """The key's own certificate, in DER."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "accounts.accesscontrol.windows.net")])
        unsigned = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._made_at)
            .not_valid_after(self._made_at + _VALID)
        )
        return unsigned.sign(self._private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    @cached_property
    def kid(self) -> str:
        return encode_base64url(hashlib.sha1(self.certificate, usedforsecurity=False).digest())

    @cached_property
    def public_pem(self) -> bytes:
        public = self._private.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, content: bytes) -> bytes:
        """Return the RS256 signature of `content`."""
        return self._private.sign(content, padding.PKCS1v15(), hashes.SHA256())

    def jwk(self) -> dict[str, object]:
        """The public key as Entra's v2 key set has it. It has no `alg`, and Entra's has none either."""
        numbers = self._private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": _encode_integer(numbers.n),
            "e": _encode_integer(numbers.e),
            "x5c": [base64.b64encode(self.certificate).decode()],
        }


class KeyRing:
    """The published keys and the one that signs. It begins with two keys, and the second one never signs."""

    def __init__(self, made_at: datetime | None = None) -> None:
        self._made_at = made_at or datetime.now(UTC) - timedelta(days=1)
        self.signing = SigningKey(self._made_at)
        self._spare = SigningKey(self._made_at)
        self._old: list[SigningKey] = []

    @property
    def published(self) -> tuple[SigningKey, ...]:
        return (self.signing, self._spare, *self._old)

    def unpublished(self) -> SigningKey:
        """Return a new key that is in no key set."""
        return SigningKey(self._made_at)

    def rotate(self) -> None:
        """Sign with a new key from now on. Nobody has fetched it before. The old key stays published."""
        self._old.append(self.signing)
        self.signing = SigningKey(self._made_at)

    def forget_old(self) -> tuple[SigningKey, ...]:
        """Stop publishing the keys that signed before the last rotate(), and return them."""
        forgotten, self._old = tuple(self._old), []
        return forgotten


def _encode_integer(value: int) -> str:
    return encode_base64url(value.to_bytes((value.bit_length() + 7) // 8))
