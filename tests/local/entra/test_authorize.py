"""The authorize and logout endpoints: who signs in, where the answer goes, and what is refused how."""

from __future__ import annotations

import pytest

from local.entra import OTHER_TENANT, PAGE_CLIENT, SimulatedEntra
from tests.local.entra.page import REDIRECT, Page, returned

OTHER_REDIRECT = "https://other.example.com/api/page"


# --- where the answer goes


@pytest.mark.parametrize(("given", "mode"), [("fragment", "fragment"), ("query", "query"), (None, "query")])
def test_the_page_gets_a_code_and_its_own_state_in_the_part_that_it_asked_for(
    page: Page, given: str | None, mode: str
) -> None:
    answer = page.pick(page.ask(response_mode=given), "reader")
    told = returned(answer, mode)
    assert answer.headers["Location"].startswith(REDIRECT)
    assert sorted(told) == ["code", "session_state", "state"]
    assert told["state"] == "state-1 &?#"


def test_without_a_state_the_answer_has_none(page: Page) -> None:
    assert "state" not in returned(page.pick(page.ask(state=None), "reader"))


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"redirect_uri": OTHER_REDIRECT}, 50011),
        ({"redirect_uri": f"{REDIRECT}/"}, 50011),
        ({"redirect_uri": f"{REDIRECT}?x=1"}, 50011),
        ({"redirect_uri": REDIRECT.replace("7071", "7072")}, 50011),
        ({"redirect_uri": None}, 900144),
        ({"client_id": "c1c1c1c1-0000-4000-8000-000000000001"}, 700016),
        ({"client_id": None}, 900144),
    ],
)
def test_an_unknown_client_or_address_gets_a_page_and_never_a_redirect(
    page: Page, changes: dict[str, str | None], number: int
) -> None:
    refused = page.ask(**changes)
    assert refused.status_code == 400
    assert "Location" not in refused.headers
    assert refused.headers["Content-Type"].startswith("text/html")
    assert f"AADSTS{number}: " in refused.text


@pytest.mark.parametrize("name", ["redirect_uri", "client_id"])
def test_an_address_or_client_that_is_there_twice_gets_a_page(page: Page, name: str) -> None:
    url = page.ask().url
    twice = page.browser.get(f"{url}&{name}=x", allow_redirects=False, timeout=10)
    assert (twice.status_code, "AADSTS9000411" in twice.text) == (400, True)


@pytest.mark.parametrize("tenant", [OTHER_TENANT, "11111111-0000-4000-8000-000000000000"])
def test_the_page_is_unknown_in_another_tenant(entra: SimulatedEntra, page: Page, tenant: str) -> None:
    url = page.ask().url.replace(entra.tenant, tenant)
    assert page.browser.get(url, allow_redirects=False, timeout=10).status_code == 400


def test_an_error_page_and_the_sign_in_page_show_markup_as_text(page: Page) -> None:
    assert "<img" not in page.ask(redirect_uri="<img onerror=x>").text
    assert "<img" not in page.ask(state="<img onerror=x>", login_hint='"><img onerror=x>').text


def test_a_page_registers_more_addresses_each_for_its_client(entra: SimulatedEntra, page: Page) -> None:
    entra.register_redirect(OTHER_REDIRECT)
    assert page.code(redirect_uri=OTHER_REDIRECT)
    entra.register_redirect("https://third.example.com/", "c1c1c1c1-0000-4000-8000-000000000001")
    assert page.ask(redirect_uri="https://third.example.com/").status_code == 400


@pytest.mark.parametrize("url", ["http://app.example.com/", "/api/page", "https://a/?b=c", "https://a/#b", "app:page"])
def test_an_address_that_entra_would_not_take_is_not_registered(entra: SimulatedEntra, url: str) -> None:
    with pytest.raises(ValueError, match="a redirect address"):
        entra.register_redirect(url)


# --- what the page hears of an error


@pytest.mark.parametrize(
    ("changes", "error", "number"),
    [
        ({"response_type": "id_token"}, "unsupported_response_type", 700054),
        ({"response_type": None}, "invalid_request", 900144),
        ({"scope": None}, "invalid_request", 900144),
        ({"scope": "openid"}, "invalid_scope", 70011),
        ({"scope": "openid runs.read"}, "invalid_client", 650053),
        ({"scope": "api://another/access"}, "invalid_resource", 500011),
        ({"code_challenge": None}, "invalid_request", 9002325),
        ({"code_challenge": "short"}, "invalid_request", 501491),
        ({"code_challenge_method": "plain"}, "invalid_request", 50149),
        ({"code_challenge_method": None}, "invalid_request", 50149),
        ({"prompt": "maybe"}, "invalid_request", 90023),
        ({"prompt": "none"}, "login_required", 50058),
    ],
)
def test_other_errors_go_to_the_page_with_its_state(
    page: Page, changes: dict[str, str | None], error: str, number: int
) -> None:
    told = returned(page.ask(**changes))
    assert (told["error"], told["state"]) == (error, "state-1 &?#")
    assert told["error_description"].startswith(f"AADSTS{number}: ")
    assert "code" not in told


def test_an_unknown_response_mode_is_an_error_in_the_query(page: Page) -> None:
    assert returned(page.ask(response_mode="form_post"), "query")["error"] == "invalid_request"


def test_who_does_not_consent_is_denied(page: Page) -> None:
    told = returned(page.pick(page.ask(), "denied"))
    assert told["error"] == "access_denied"
    assert told["error_description"].startswith("AADSTS65004: ")


# --- who signs in


def test_the_sign_in_page_offers_everybody_and_the_hinted_one_first(page: Page) -> None:
    plain = page.ask()
    assert plain.status_code == 200
    assert plain.headers["X-Frame-Options"] == "DENY"
    offered = [plain.text.index(f'id="{name}"') for name in ("reader", "operator", "admin", "nobody", "denied")]
    assert offered == sorted(offered)
    username = plain.text.split("Polysync.Admin, ")[1].split("<")[0]
    hinted = page.ask(login_hint=username)
    assert hinted.text.index('id="admin"') < hinted.text.index('id="reader"')


def test_who_signed_in_before_is_not_asked_again_until_the_sign_out(page: Page) -> None:
    page.code("reader")
    assert "code" in returned(page.ask())
    assert "code" in returned(page.ask(prompt="none"))
    for prompt in ("login", "select_account", "consent"):
        assert page.ask(prompt=prompt).status_code == 200
    assert page.ask(login_hint="somebody.else@example.com").status_code == 200
    signed_out = page.browser.get(
        page.url("logout"), params={"post_logout_redirect_uri": REDIRECT}, timeout=10, allow_redirects=False
    )
    assert (signed_out.status_code, signed_out.headers["Location"]) == (302, REDIRECT)
    assert returned(page.ask(prompt="none"))["error"] == "login_required"


def test_another_browser_is_asked(entra: SimulatedEntra, page: Page) -> None:
    page.code("reader")
    assert Page(entra).ask().status_code == 200


@pytest.mark.parametrize("url", [None, OTHER_REDIRECT])
def test_the_sign_out_redirects_to_no_foreign_address(page: Page, url: str | None) -> None:
    parameters = {} if url is None else {"post_logout_redirect_uri": url}
    answer = page.browser.get(page.url("logout"), params=parameters, allow_redirects=False, timeout=10)
    assert (answer.status_code, "Location" in answer.headers) == (200, False)
    assert "You signed out" in answer.text


def test_a_test_says_who_signs_in_and_then_nobody_is_asked(entra: SimulatedEntra, page: Page) -> None:
    entra.sign_in_as(["Polysync.Operate.finance"], object_id="o-1", name="Ole Operator")
    for prompt in (None, "none", "login", "select_account"):
        assert "code" in returned(page.ask(prompt=prompt))
    entra.ask_who()
    assert page.ask().status_code == 200


def test_authorize_accepts_get_alone(page: Page) -> None:
    assert page.browser.post(page.ask().url, allow_redirects=False, timeout=10).status_code == 400


def test_what_is_forgotten_is_all_that_was_registered_and_set(entra: SimulatedEntra, page: Page) -> None:
    entra.register_redirect(OTHER_REDIRECT)
    entra.sign_in_as(["Polysync.Read"])
    entra.clear_sign_in()
    assert page.ask().status_code == 200
    assert page.ask(redirect_uri=OTHER_REDIRECT).status_code == 400
    assert [call.parameters["client_id"] for call in entra.sign_in_calls()] == [PAGE_CLIENT] * 2
