"""Tokens that the app must refuse, by name. Each one is a good token of Polysync.Admin with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from local.entra.claims import OTHER_TENANT, PAGE_CLIENT, Caller, Life, Place, access_claims, id_claims, v1_claims
from local.entra.keys import KeyRing, SigningKey
from local.entra.signing import leave_unsigned, sign_hs256, sign_rs256, sign_rs256_without_kid

OTHER_AUDIENCE = "0ddba11a-0000-4000-8000-00000000a0d0"
_HOUR = 3600
_TOO_LONG_BYTES = 17 * 1024

Claims = Callable[[Caller, Place, Life], dict[str, object]]
Sign = Callable[[Mapping[str, object], SigningKey], str]
Make = Callable[[Caller, Place, Life, KeyRing], str]


def _signed(claims: Claims, sign: Sign = sign_rs256) -> Make:
    """The claims, signed with the key that signs now."""
    return lambda who, place, life, keys: sign(claims(who, place, life), keys.signing)


def _with(**changed: object) -> Make:
    return _signed(lambda who, place, life: access_claims(who, place, life) | changed)


def _without(claim: str) -> Make:
    def claims(who: Caller, place: Place, life: Life) -> dict[str, object]:
        return {name: value for name, value in access_claims(who, place, life).items() if name != claim}

    return _signed(claims)


def _at(seconds: int) -> Make:
    """Issued `seconds` after now, or before now when it is negative."""

    def claims(who: Caller, place: Place, life: Life) -> dict[str, object]:
        return access_claims(who, place, replace(life, begins=life.begins + seconds, ends=life.ends + seconds))

    return _signed(claims)


def _of_other_tenant(who: Caller, place: Place, life: Life) -> dict[str, object]:
    """Entra signs the tokens of all tenants with the same keys."""
    return access_claims(who, replace(place, tenant=OTHER_TENANT), life)


def _of_id_token(who: Caller, place: Place, life: Life) -> dict[str, object]:
    return id_claims(replace(who, kind="user"), place, life)


def _of_bare_id_token(who: Caller, place: Place, life: Life) -> dict[str, object]:
    return _of_id_token(replace(who, roles=()), place, life)


def _of_page_id_token(who: Caller, place: Place, life: Life) -> dict[str, object]:
    """What the page gets beside its access token: it says who has signed in there, with the page as audience."""
    return _of_id_token(who, replace(place, audience=PAGE_CLIENT), life)


def _of_other_scope(who: Caller, place: Place, life: Life) -> dict[str, object]:
    return access_claims(replace(who, kind="user"), place, life) | {"scp": "profile access_as_guest"}


def _foreign_key(who: Caller, place: Place, life: Life, keys: KeyRing) -> str:
    """The header names a published key, and another key has signed."""
    return sign_rs256(access_claims(who, place, life), keys.unpublished(), header={"kid": keys.signing.kid})


def _key_in_header(who: Caller, place: Place, life: Life, keys: KeyRing) -> str:
    """The header brings its own key (RFC 7515, section 4.1.3)."""
    own = keys.unpublished()
    header = {"kid": keys.signing.kid, "jwk": own.jwk(), "x5c": own.jwk()["x5c"]}
    return sign_rs256(access_claims(who, place, life), own, header=header)


def _unknown_kid(who: Caller, place: Place, life: Life, keys: KeyRing) -> str:
    return sign_rs256(access_claims(who, place, life), keys.unpublished())


def _changed_roles(who: Caller, place: Place, life: Life, keys: KeyRing) -> str:
    """The claims were replaced after the signature was made."""
    weak = sign_rs256(access_claims(replace(who, roles=("Polysync.Read",)), place, life), keys.signing)
    strong = sign_rs256(access_claims(who, place, life), keys.signing)
    return f"{strong.rpartition('.')[0]}.{weak.rpartition('.')[2]}"


_MAKERS: Mapping[str, Make] = {
    "expired": _at(-2 * _HOUR),
    "not_yet_valid": _at(_HOUR),
    "other_tenant": _signed(_of_other_tenant),
    "other_audience": _with(aud=OTHER_AUDIENCE),
    "other_issuer": _with(iss="https://login.example.com/common/v2.0"),
    "tid_of_another_tenant": _with(tid=OTHER_TENANT),
    "v1": _signed(v1_claims),
    "id_token": _signed(_of_bare_id_token),
    "id_token_with_roles": _signed(_of_id_token),
    "id_token_of_the_page": _signed(_of_page_id_token),
    "other_scope": _signed(_of_other_scope),
    "alg_none": _signed(access_claims, leave_unsigned),
    "hs256_with_the_public_key": _signed(access_claims, sign_hs256),
    "unknown_kid": _unknown_kid,
    "no_kid": _signed(access_claims, sign_rs256_without_kid),
    "foreign_key": _foreign_key,
    "key_in_header": _key_in_header,
    "changed_roles": _changed_roles,
    "no_exp": _without("exp"),
    "no_nbf": _without("nbf"),
    "no_iat": _without("iat"),
    "no_tid": _without("tid"),
    "no_oid": _without("oid"),
    "garbage": lambda *_: "not.a.token",
    "too_long": _with(padding="x" * _TOO_LONG_BYTES),
}
WRONG_TOKENS = tuple(_MAKERS)
"""The names that wrong_token takes."""


def make_wrong(name: str, who: Caller, place: Place, life: Life, keys: KeyRing) -> str:
    """Return the wrong token of that name. Raises ValueError for an unknown name."""
    if name not in _MAKERS:
        raise ValueError(f"name is one of {', '.join(_MAKERS)}, not {name!r}")
    return _MAKERS[name](who, place, life, keys)
