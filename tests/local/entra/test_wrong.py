"""Each wrong token is what its name says, and is wrong in this one way."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from local.entra import OTHER_TENANT, WRONG_TOKENS, SimulatedEntra
from tests.local.entra.conftest import Validate

REFUSALS: dict[str, type[jwt.PyJWTError]] = {
    "expired": jwt.ExpiredSignatureError,
    "not_yet_valid": jwt.ImmatureSignatureError,
    "other_tenant": jwt.InvalidIssuerError,
    "other_audience": jwt.InvalidAudienceError,
    "id_token_of_the_page": jwt.InvalidAudienceError,
    "other_issuer": jwt.InvalidIssuerError,
    "v1": jwt.PyJWTError,
    "alg_none": jwt.InvalidAlgorithmError,
    "hs256_with_the_public_key": jwt.InvalidAlgorithmError,
    "unknown_kid": jwt.PyJWKClientError,
    "no_kid": jwt.PyJWKClientError,
    "foreign_key": jwt.InvalidSignatureError,
    "key_in_header": jwt.InvalidSignatureError,
    "changed_roles": jwt.InvalidSignatureError,
    **dict.fromkeys(["no_exp", "no_nbf", "no_iat", "no_tid", "no_oid"], jwt.MissingRequiredClaimError),
    "garbage": jwt.DecodeError,
}
PAST_PYJWT = {"tid_of_another_tenant", "id_token", "id_token_with_roles", "other_scope", "too_long"}
"""Signature, issuer and audience are good. Only the app's own rules can refuse these."""


def test_every_wrong_token_has_its_refusal() -> None:
    assert set(WRONG_TOKENS) == set(REFUSALS) | PAST_PYJWT
    assert not set(REFUSALS) & PAST_PYJWT


@pytest.mark.parametrize("name", REFUSALS)
def test_pyjwt_refuses_a_wrong_token_for_the_reason_that_its_name_says(
    entra: SimulatedEntra, validate: Validate, name: str
) -> None:
    with pytest.raises(REFUSALS[name]):
        validate(entra.wrong_token(name))


@pytest.mark.parametrize("name", sorted(PAST_PYJWT))
def test_the_app_s_own_rules_must_refuse_the_others(entra: SimulatedEntra, validate: Validate, name: str) -> None:
    claims = validate(entra.wrong_token(name))
    accepted = "access" in claims.get("scp", "").split() or (
        "scp" not in claims and (claims.get("idtyp") == "app" or claims["oid"] == claims["sub"])
    )
    assert accepted == (name in {"tid_of_another_tenant", "too_long"})


def _claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def test_an_expired_token_ended_an_hour_ago(entra: SimulatedEntra) -> None:
    claims = _claims(entra.wrong_token("expired"))
    assert claims["iat"] < claims["exp"] <= time.time() - 3599


def test_a_token_of_another_tenant_is_good_there(entra: SimulatedEntra) -> None:
    claims = _claims(entra.wrong_token("other_tenant"))
    assert (claims["tid"], claims["iss"]) == (OTHER_TENANT, f"{entra.url}/{OTHER_TENANT}/v2.0")


def test_a_v1_token_has_the_issuer_and_the_claims_of_v1(entra: SimulatedEntra) -> None:
    claims = _claims(entra.wrong_token("v1"))
    assert (claims["iss"], claims["aud"]) == (f"https://sts.windows.net/{entra.tenant}/", f"api://{entra.audience}")
    assert (claims["ver"], "azp" in claims, "appid" in claims) == ("1.0", False, True)


@pytest.mark.parametrize("name", ["id_token", "id_token_with_roles", "id_token_of_the_page"])
def test_an_id_token_has_a_nonce_and_nothing_of_an_access_token(entra: SimulatedEntra, name: str) -> None:
    claims = _claims(entra.wrong_token(name))
    of_the_page = entra.environ()["POLYSYNC_ENTRA_PAGE_CLIENT"]
    audience = of_the_page if name == "id_token_of_the_page" else entra.audience
    assert (claims["aud"], "nonce" in claims) == (audience, True)
    assert not {"scp", "idtyp", "azp"} & set(claims)
    assert ("roles" in claims) == (name != "id_token")


def test_the_secret_of_hs256_is_the_public_key(entra: SimulatedEntra) -> None:
    token = entra.wrong_token("hs256_with_the_public_key")
    algorithm = jwt.get_algorithm_by_name("HS256")
    content, _, signature = token.rpartition(".")
    made = algorithm.sign(content.encode(), entra.keys.signing.public_pem)
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    assert jwt.utils.base64url_encode(made).decode() == signature


def test_alg_none_has_no_signature(entra: SimulatedEntra) -> None:
    token = entra.wrong_token("alg_none")
    assert jwt.get_unverified_header(token)["alg"] == "none"
    assert token.endswith(".")


def test_a_too_long_token_is_over_16_kb(entra: SimulatedEntra) -> None:
    assert len(entra.wrong_token("too_long")) > 16 * 1024
