"""The metadata, the key set, good tokens and faults of the simulated Entra ID tenant."""

from __future__ import annotations

import time

import jwt
import pytest
import requests
from cryptography import x509

from local.entra import KEYS, METADATA, OTHER_TENANT, SimulatedEntra
from tests.local.entra.conftest import Validate


def _get(entra: SimulatedEntra, path: str, tenant: str | None = None) -> requests.Response:
    return requests.get(f"{entra.url}/{tenant or entra.tenant}{path}", timeout=10)


def _control(entra: SimulatedEntra, method: str, body: str = "{}") -> requests.Response:
    return requests.post(f"{entra.url}/_sim/{method}", data=body, timeout=10)


def test_the_metadata_leads_to_the_key_set(entra: SimulatedEntra) -> None:
    metadata = _get(entra, "/v2.0/.well-known/openid-configuration").json()
    assert metadata["issuer"] == f"{entra.url}/{entra.tenant}/v2.0"
    published = requests.get(metadata["jwks_uri"], timeout=10).json()["keys"]
    assert [sorted(key) for key in published] == [
        ["cloud_instance_name", "e", "issuer", "kid", "kty", "n", "use", "x5c", "x5t"]
    ] * 2
    assert len({key["kid"] for key in published}) == 2


def test_the_metadata_names_the_endpoints_of_the_sign_in_and_every_page_may_read_it(entra: SimulatedEntra) -> None:
    answer = _get(entra, "/v2.0/.well-known/openid-configuration")
    base = f"{entra.url}/{entra.tenant}/oauth2/v2.0"
    names = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")
    assert [answer.json()[name] for name in names] == [f"{base}/authorize", f"{base}/token", f"{base}/logout"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_key_has_the_thumbprint_of_its_certificate(entra: SimulatedEntra) -> None:
    key = entra.keys.signing
    certificate = x509.load_der_x509_certificate(key.certificate)
    published = jwt.PyJWK(key.jwk()).key
    assert key.jwk()["x5t"] == key.kid
    assert certificate.public_key() == published


def test_every_tenant_has_the_same_keys_and_an_issuer_of_its_own(entra: SimulatedEntra) -> None:
    own, other = (_get(entra, "/discovery/v2.0/keys", tenant).json()["keys"] for tenant in (None, OTHER_TENANT))
    assert [key["kid"] for key in own] == [key["kid"] for key in other]
    assert own[0]["issuer"] != other[0]["issuer"]


def test_an_unknown_tenant_is_400_as_at_entra(entra: SimulatedEntra) -> None:
    refused = _get(entra, "/discovery/v2.0/keys", "11111111-0000-4000-8000-000000000000")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_tenant")
    assert _get(entra, "/elsewhere").status_code == 404


def test_an_application_s_token_is_valid_and_app_only(entra: SimulatedEntra, validate: Validate) -> None:
    claims = validate(entra.issue(["Polysync.Operate.finance"]))
    assert (claims["ver"], claims["idtyp"], claims["roles"]) == ("2.0", "app", ["Polysync.Operate.finance"])
    assert (claims["oid"], claims["tid"], claims["aud"]) == (claims["sub"], entra.tenant, entra.audience)
    assert claims["azp"] != claims["oid"]
    assert claims["uti"]
    assert "scp" not in claims
    assert claims["exp"] - claims["iat"] == 3600


def test_a_person_s_token_has_the_scope_and_a_sub_of_its_own(entra: SimulatedEntra, validate: Validate) -> None:
    claims = validate(entra.issue(["Polysync.Read"], kind="user"))
    assert (claims["scp"], claims["roles"]) == ("access", ["Polysync.Read"])
    assert claims["sub"] != claims["oid"]
    assert "idtyp" not in claims


def test_a_caller_without_roles_has_no_roles_claim(entra: SimulatedEntra, validate: Validate) -> None:
    assert "roles" not in validate(entra.issue())


def test_the_same_roles_are_the_same_caller_unless_its_ids_are_given(entra: SimulatedEntra, validate: Validate) -> None:
    reader, again, operator, named = (
        validate(token)
        for token in (
            entra.issue(["Polysync.Read"]),
            entra.issue(["Polysync.Read"]),
            entra.issue(["Polysync.Operate"]),
            entra.issue(["Polysync.Read"], object_id="o-1", client_id="c-1"),
        )
    )
    assert reader["oid"] == again["oid"] != operator["oid"]
    assert reader["uti"] != again["uti"]
    assert (named["oid"], named["azp"]) == ("o-1", "c-1")


def test_every_claim_can_be_changed_added_or_left_out(entra: SimulatedEntra, validate: Validate) -> None:
    claims = validate(entra.issue(claims={"roles": "not a list", "extra": 1}, without=["azp", "uti"]))
    assert (claims["roles"], claims["extra"]) == ("not a list", 1)
    assert not {"azp", "uti"} & set(claims)


def test_an_unknown_kind_of_caller_is_refused_with_the_kinds(entra: SimulatedEntra) -> None:
    with pytest.raises(ValueError, match="app, user"):
        entra.issue(kind="robot")


def test_after_a_rotation_both_keys_are_valid_until_the_old_one_is_forgotten() -> None:
    with SimulatedEntra() as entra:
        url = f"{entra.url}/{entra.tenant}/discovery/v2.0/keys"
        cached = jwt.PyJWKClient(url, timeout=5, cooldown_duration=0)
        before = entra.issue()
        kid_before = cached.get_signing_key_from_jwt(before).key_id
        kid_after = entra.rotate()
        after = entra.issue()
        assert jwt.get_unverified_header(after)["kid"] == kid_after != kid_before
        assert cached.get_signing_key_from_jwt(after).key_id == kid_after
        assert entra.fetches()[KEYS] == 2
        fresh = jwt.PyJWKClient(url, timeout=5)
        assert [fresh.get_signing_key_from_jwt(token).key_id for token in (before, after)] == [kid_before, kid_after]

        assert entra.forget_old() == [kid_before]
        fresh = jwt.PyJWKClient(url, timeout=5)
        assert fresh.get_signing_key_from_jwt(after).key_id == kid_after
        with pytest.raises(jwt.PyJWKClientError):
            fresh.get_signing_key_from_jwt(before)


def test_fetches_are_counted_by_route_also_while_the_issuer_is_down(
    entra: SimulatedEntra, keys: jwt.PyJWKClient
) -> None:
    keys.get_signing_key_from_jwt(entra.issue())
    keys.get_signing_key_from_jwt(entra.issue())
    assert entra.fetches() == {METADATA: 0, KEYS: 1}
    entra.down()
    with pytest.raises(requests.ConnectionError):
        _get(entra, "/v2.0/.well-known/openid-configuration")
    assert entra.fetches() == {METADATA: 1, KEYS: 1}
    assert _control(entra, "up").status_code == 200
    assert _get(entra, "/v2.0/.well-known/openid-configuration").status_code == 200


def test_a_fault_hits_its_route_alone(entra: SimulatedEntra) -> None:
    entra.add_fault("status", route=KEYS, status=503, times=None)
    assert _get(entra, "/discovery/v2.0/keys").status_code == 503
    assert _get(entra, "/v2.0/.well-known/openid-configuration").status_code == 200
    entra.clear_faults()
    assert _get(entra, "/discovery/v2.0/keys").status_code == 200


def test_the_issuer_can_be_slow(entra: SimulatedEntra) -> None:
    entra.add_fault("delay", seconds=0.3, times=None)
    began = time.monotonic()
    assert _get(entra, "/discovery/v2.0/keys").status_code == 200
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("issue", '{"roles": ["Polysync.Read"]}', 200),
        ("wrong_token", '{"name": "expired"}', 200),
        ("wrong_token", '{"name": "odd"}', 400),
        ("issue", '{"role": "Polysync.Read"}', 400),
        ("issue", "[]", 400),
        ("issue", "{", 400),
        ("add_fault", '{"kind": "delay", "route": "elsewhere"}', 400),
        ("add_fault", '{"kind": "odd"}', 400),
        ("answer", "{}", 404),
    ],
)
def test_a_control_route_answers_a_result_or_an_error(
    entra: SimulatedEntra, method: str, body: str, status: int
) -> None:
    answer = _control(entra, method, body)
    assert (answer.status_code, list(answer.json())) == (status, ["result" if status == 200 else "error"])
