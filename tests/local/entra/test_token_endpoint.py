"""The token endpoint: which tokens a code gives, once, and to which pages."""

from __future__ import annotations

import jwt
import pytest
import requests

from local.entra import OTHER_TENANT, PAGE_CLIENT, SimulatedEntra
from tests.local.entra.conftest import Validate
from tests.local.entra.page import ORIGIN, REDIRECT, Page, claims_of, refusal_of, returned

OTHER_CLIENT = "c1c1c1c1-0000-4000-8000-000000000001"
FOREIGN = "https://evil.example.com"


# --- the tokens


def test_a_whole_sign_in_gives_the_three_tokens(
    entra: SimulatedEntra, page: Page, validate: Validate, keys: jwt.PyJWKClient
) -> None:
    answer = page.redeem(page.code("operator"))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    told = answer.json()
    assert sorted(told) == [
        "access_token",
        "expires_in",
        "ext_expires_in",
        "id_token",
        "refresh_token",
        "scope",
        "token_type",
    ]
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 3600)
    assert told["scope"] == f"api://{entra.audience}/access"
    access = validate(told["access_token"])
    assert (access["aud"], access["azp"], access["scp"]) == (entra.audience, PAGE_CLIENT, "access")
    assert (access["roles"], access["ver"], access["name"]) == (["Polysync.Operate"], "2.0", "Otto Operator")
    assert access["exp"] - access["iat"] == 3600
    key = keys.get_signing_key_from_jwt(told["id_token"])
    identity = jwt.decode(told["id_token"], key, algorithms=["RS256"], audience=PAGE_CLIENT, issuer=access["iss"])
    assert (identity["nonce"], identity["oid"]) == ("nonce-1", access["oid"])
    assert not {"roles", "scp", "azp"} & set(identity)


def test_who_has_no_role_gets_a_token_without_roles(page: Page) -> None:
    assert "roles" not in claims_of(page.redeem(page.code("nobody")).json()["access_token"])


def test_the_person_that_a_test_names_is_in_the_tokens(entra: SimulatedEntra, page: Page) -> None:
    entra.sign_in_as(["Polysync.Read", "Polysync.Operate.sales"], object_id="o-1", name="Ole Operator")
    told = page.redeem(returned(page.ask())["code"]).json()
    access, identity = claims_of(told["access_token"]), claims_of(told["id_token"])
    assert access["roles"] == ["Polysync.Read", "Polysync.Operate.sales"]
    assert {(claims["oid"], claims["name"]) for claims in (access, identity)} == {("o-1", "Ole Operator")}


def test_only_what_was_asked_for_is_given(entra: SimulatedEntra, page: Page) -> None:
    bare = f"api://{entra.audience}/access"
    told = page.redeem(page.code(scope=bare), scope=None).json()
    assert not {"id_token", "refresh_token"} & set(told)
    assert refusal_of(page.redeem(page.code(scope=bare))) == ("invalid_grant", 70000)


# --- the code


def test_a_code_is_good_once(page: Page) -> None:
    code = page.code()
    assert page.redeem(code).status_code == 200
    assert refusal_of(page.redeem(code)) == ("invalid_grant", 54005)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"code_verifier": "another-verifier-that-has-at-least-43-characters"}, ("invalid_grant", 501481)),
        ({"code_verifier": None}, ("invalid_grant", 50148)),
        ({"redirect_uri": f"{REDIRECT}/"}, ("invalid_client", 500112)),
        ({"redirect_uri": None}, ("invalid_request", 900144)),
        ({"client_id": OTHER_CLIENT}, ("unauthorized_client", 700016)),
        ({"client_id": None}, ("invalid_request", 900144)),
        ({"code": "garbage"}, ("invalid_grant", 9002313)),
        ({"code": None}, ("invalid_request", 900144)),
        ({"grant_type": "password"}, ("unsupported_grant_type", 70003)),
        ({"grant_type": None}, ("invalid_request", 900144)),
        ({"scope": "openid api://another/access"}, ("invalid_resource", 500011)),
    ],
)
def test_a_call_that_does_not_fit_the_code_gets_no_token(
    page: Page, changes: dict[str, str | None], refusal: tuple[str, int]
) -> None:
    assert refusal_of(page.redeem(page.code(), **changes)) == refusal


def test_a_code_of_another_client_isrefusal_of(entra: SimulatedEntra, page: Page) -> None:
    entra.register_redirect(REDIRECT, OTHER_CLIENT)
    other = Page(entra, client_id=OTHER_CLIENT)
    assert refusal_of(other.redeem(page.code())) == ("invalid_grant", 70000)
    token = other.redeem(other.code()).json()["refresh_token"]
    assert refusal_of(page.refresh(token)) == ("invalid_grant", 70000)


def test_the_page_is_unknown_in_another_tenant(page: Page) -> None:
    answer = requests.post(page.url("token", OTHER_TENANT), data={"grant_type": "refresh_token"}, timeout=10)
    assert refusal_of(answer) == ("unauthorized_client", 700016)


def test_the_endpoint_accepts_post_alone(page: Page) -> None:
    assert refusal_of(requests.get(page.url("token"), timeout=10)) == ("invalid_request", 900561)


# --- origins


def test_a_call_without_an_origin_gets_no_token(page: Page) -> None:
    code = page.code()
    assert refusal_of(page.redeem(code, origin=None)) == ("invalid_request", 9002327)
    token = page.redeem(code).json()["refresh_token"]
    assert refusal_of(page.refresh(token, origin=None)) == ("invalid_request", 9002327)


@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", f"{ORIGIN}/", "http://127.0.0.1", "http://127.0.0.1:7071.evil.com"]
)
def test_a_foreign_page_gets_no_token_and_may_not_read_the_answer(page: Page, origin: str) -> None:
    code = page.code()
    answer = page.redeem(code, origin=origin)
    assert refusal_of(answer) == ("invalid_request", 9002326)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_page_of_another_client_gets_no_token_of_this_one(entra: SimulatedEntra, page: Page) -> None:
    entra.register_redirect("https://other.example.com/", OTHER_CLIENT)
    assert refusal_of(page.redeem(page.code(), origin="https://other.example.com")) == ("invalid_request", 9002326)


def test_the_page_may_read_tokens_and_errors(page: Page) -> None:
    for answer in (page.redeem(page.code()), page.redeem("garbage")):
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("redirect", "origin"),
    [
        ("https://app.example.com/api/page", "https://app.example.com"),
        ("https://app.example.com:443/", "https://app.example.com"),
    ],
)
def test_an_origin_is_the_part_of_the_address_that_a_browser_sends(
    entra: SimulatedEntra, redirect: str, origin: str
) -> None:
    entra.register_redirect(redirect)
    page = Page(entra, redirect=redirect)
    assert page.redeem(page.code(), origin=origin).status_code == 200


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, ORIGIN), (FOREIGN, None)])
def test_a_preflight_is_answered_for_the_page_alone(page: Page, origin: str, allowed: str | None) -> None:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = requests.options(page.url("token"), headers=headers, timeout=10)
    assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (204, allowed)
    assert ("POST" in answer.headers.get("Access-Control-Allow-Methods", "")) == (allowed is not None)
    assert answer.headers.get("Access-Control-Allow-Headers") == (None if allowed is None else "content-type")
