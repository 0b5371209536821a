"""Refresh tokens of the simulated Entra ID tenant, and how long what it issues is valid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.entra import SimulatedEntra
from tests.local.entra.conftest import Validate
from tests.local.entra.page import Page, claims_of, refusal_of


def test_a_refresh_token_gives_new_tokens_and_a_new_refresh_token(page: Page, validate: Validate) -> None:
    first = page.redeem(page.code("admin")).json()
    second = page.refresh(first["refresh_token"]).json()
    third = page.refresh(second["refresh_token"]).json()
    assert len({told["refresh_token"] for told in (first, second, third)}) == 3
    assert len({told["access_token"] for told in (first, second, third)}) == 3
    assert validate(third["access_token"])["roles"] == ["Polysync.Admin"]
    assert validate(third["access_token"])["oid"] == validate(first["access_token"])["oid"]
    assert "nonce" not in claims_of(third["id_token"])


def test_the_old_refresh_token_goes_on_working_as_at_entra(page: Page) -> None:
    token = page.redeem(page.code()).json()["refresh_token"]
    assert page.refresh(token).status_code == 200
    assert page.refresh(token).status_code == 200


def test_a_refresh_asks_for_no_more_than_the_sign_in(entra: SimulatedEntra, page: Page) -> None:
    asked = f"offline_access api://{entra.audience}/access"
    token = page.redeem(page.code(scope=asked), scope=None).json()["refresh_token"]
    assert refusal_of(page.refresh(token, scope=f"openid {asked}")) == ("invalid_grant", 70000)
    assert "id_token" not in page.refresh(token, scope=None).json()


def test_garbage_is_not_a_refresh_token(page: Page) -> None:
    assert refusal_of(page.refresh("garbage")) == ("invalid_grant", 9002313)
    assert refusal_of(page.refresh("")) == ("invalid_request", 900144)


def test_revoked_refresh_tokens_are_refused_and_those_of_others_go_on(entra: SimulatedEntra, page: Page) -> None:
    told = page.redeem(page.code("reader")).json()
    other = page.redeem(page.code("admin")).json()["refresh_token"]
    assert entra.revoke_refresh_tokens(claims_of(told["access_token"])["oid"]) == 1
    refused = page.refresh(told["refresh_token"])
    assert refusal_of(refused) == ("invalid_grant", 50173)
    assert refused.json()["suberror"] == "bad_token"
    newer = page.refresh(other).json()["refresh_token"]
    assert entra.revoke_refresh_tokens() == 2
    assert entra.revoke_refresh_tokens() == 0
    assert {refusal_of(page.refresh(token)) for token in (other, newer)} == {("invalid_grant", 50173)}
    assert page.redeem(page.code("admin")).status_code == 200


# --- time


class _Clock:
    seconds = 1_800_000_000.0


@pytest.fixture(scope="module")
def clock() -> _Clock:
    return _Clock()


@pytest.fixture(scope="module")
def on_the_clock(clock: _Clock) -> Iterator[Page]:
    """A page of a tenant on this clock."""
    with SimulatedEntra(now=lambda: clock.seconds) as entra:
        yield Page(entra)


def test_a_code_is_good_for_ten_minutes(on_the_clock: Page, clock: _Clock) -> None:
    early, late = on_the_clock.code(), on_the_clock.code()
    clock.seconds += 599
    assert on_the_clock.redeem(early).status_code == 200
    clock.seconds += 1
    assert refusal_of(on_the_clock.redeem(late)) == ("invalid_grant", 70008)


def test_a_refresh_token_ends_a_day_after_the_sign_in_and_a_newer_one_no_later(
    on_the_clock: Page, clock: _Clock
) -> None:
    token = on_the_clock.redeem(on_the_clock.code()).json()["refresh_token"]
    clock.seconds += 24 * 3600 - 1
    newer = on_the_clock.refresh(token).json()["refresh_token"]
    clock.seconds += 1
    for one in (token, newer):
        refused = on_the_clock.refresh(one)
        assert refusal_of(refused) == ("invalid_grant", 700084)
        assert "lifetime of 1.00:00:00," in refused.json()["error_description"]


def test_a_token_may_be_wrong_or_have_other_roles_without_the_page_noticing(entra: SimulatedEntra, page: Page) -> None:
    entra.configure_sign_in(access_claims={"exp": 1, "roles": ["Polysync.Read"]})
    told = page.redeem(page.code("admin")).json()
    assert told["expires_in"] == 3600
    assert (claims_of(told["access_token"])["exp"], claims_of(told["access_token"])["roles"]) == (1, ["Polysync.Read"])
    entra.configure_sign_in(access_claims={})
    assert claims_of(page.refresh(told["refresh_token"]).json()["access_token"])["roles"] == ["Polysync.Admin"]


def test_the_lifetimes_can_be_set(entra: SimulatedEntra, page: Page) -> None:
    entra.configure_sign_in(access_token_seconds=5, refresh_token_seconds=0)
    told = page.redeem(page.code()).json()
    claims = claims_of(told["access_token"])
    assert (told["expires_in"], claims["exp"] - claims["iat"]) == (5, 5)
    assert refusal_of(page.refresh(told["refresh_token"])) == ("invalid_grant", 700084)
    entra.configure_sign_in(code_seconds=0)
    assert refusal_of(page.redeem(page.code())) == ("invalid_grant", 70008)
