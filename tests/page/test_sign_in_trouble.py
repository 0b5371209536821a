"""Signing in when something is in the way: an authority in trouble, a sign-out meanwhile, a page that comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from local.entra import SimulatedEntra
from tests.functions.app import ServedApp, served
from tests.page.browser import QUICK, Tab, change_answers, open_tab

TOKEN = "**/oauth2/v2.0/token"
JUST_NOW = re.compile(r"Updated \d s ago")


@pytest.fixture(scope="module")
def entra() -> Iterator[SimulatedEntra]:
    with SimulatedEntra() as running:
        yield running


@pytest.fixture(scope="module")
def app(azurite: str, entra: SimulatedEntra) -> Iterator[ServedApp]:
    with served(azurite, entra) as running:
        entra.register_redirect(f"{running.base_url}/api/page")
        yield running


@pytest.fixture
def tab(browser: Browser, app: ServedApp, entra: SimulatedEntra) -> Iterator[Tab]:
    """A tab whose reader has not signed in, and may read."""
    entra.sign_in_as(["Polysync.Read"])
    entra.configure_sign_in(access_claims={}, access_token_seconds=3600.0)
    with open_tab(browser, app.base_url, key=None, origins={entra.url}) as opened:
        yield opened


def _open(tab: Tab) -> Page:
    """Sign in, and open the list of runs."""
    page = tab.open()
    expect(page.get_by_text("Updated")).to_be_visible()
    return page


def test_health_is_shown_without_a_sign_in_and_leaving_it_begins_one(tab: Tab, entra: SimulatedEntra) -> None:
    entra.ask_who()
    before = len(entra.sign_in_calls())
    page = tab.open("#/health")
    expect(page.locator("table.checks tbody tr").first).to_be_visible()
    page.wait_for_timeout(300)
    assert len(entra.sign_in_calls()) == before
    page.get_by_role("link", name="Jobs").first.click()
    page.get_by_role("link", name="Rita Reader").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")


def test_a_token_that_the_app_refuses_is_not_kept(tab: Tab, entra: SimulatedEntra) -> None:
    entra.configure_sign_in(access_claims={"exp": 1})
    page = tab.open()
    expect(page.get_by_role("alert")).to_contain_text("The access token is not accepted.")
    expect(page.get_by_text("This page keeps no token.")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_renewal_that_ends_after_the_sign_out_keeps_no_token(tab: Tab) -> None:
    page = _open(tab)
    held: list[Route] = []
    page.route(TOKEN, lambda route: held.append(route))
    with page.expect_request(TOKEN):
        tab.pass_time(3600)
    page.get_by_role("button", name="Sign out").click()
    with page.expect_request_finished(lambda request: request.url.endswith("/token")):
        held[0].continue_()
    page.wait_for_timeout(300)
    expect(page.get_by_role("heading", level=1)).to_have_text("You are not signed in")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_429_of_the_authority_is_obeyed_and_does_not_leave_the_page(tab: Tab, entra: SimulatedEntra) -> None:
    page = _open(tab)
    asked = len(entra.sign_in_calls("authorize"))
    readable = {"Retry-After": "50", "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
    tries: list[Route] = []

    def refuse(route: Route) -> None:
        tries.append(route)
        route.fulfill(status=429, headers=readable, body="")

    page.route(TOKEN, refuse)
    tab.pass_time(3600)
    expect(page.get_by_role("alert").first).to_contain_text("The sign-in service answers with the status 429.")
    tries.clear()
    tab.pass_time(45)
    page.wait_for_timeout(300)
    assert (len(tries), len(entra.sign_in_calls("authorize"))) == (0, asked)
    page.unroute(TOKEN)
    tab.pass_time(10)
    expect(page.get_by_role("alert")).to_have_count(0)
    assert len(entra.sign_in_calls("authorize")) == asked


@pytest.mark.parametrize("error", ["temporarily_unavailable", "invalid_client"])
def test_an_error_that_a_new_sign_in_does_not_mend_begins_none(tab: Tab, entra: SimulatedEntra, error: str) -> None:
    page = _open(tab)
    asked = len(entra.sign_in_calls("authorize"))
    readable = {"Access-Control-Allow-Origin": "*"}
    page.route(TOKEN, lambda route: route.fulfill(status=400, headers=readable, json={"error": error}))
    tab.pass_time(3600)
    expect(page.get_by_role("alert").first).to_contain_text(error)
    assert len(entra.sign_in_calls("authorize")) == asked


def test_an_authority_that_hangs_blocks_a_feed_for_ten_seconds_at_most(tab: Tab) -> None:
    page = _open(tab)
    page.evaluate(QUICK)
    held: list[Route] = []
    page.route(TOKEN, lambda route: held.append(route))
    with page.expect_request(TOKEN):
        tab.pass_time(3600)
    expect(page.get_by_role("alert").first).to_contain_text("The sign-in service does not answer.", timeout=5000)


def test_a_page_that_comes_back_out_of_the_cache_begins_again(tab: Tab) -> None:
    page = _open(tab)
    with page.expect_navigation():
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    expect(page.get_by_text("Updated")).to_be_visible()


def test_an_address_of_the_page_is_never_taken_for_the_answer_of_a_sign_in(tab: Tab) -> None:
    address = "#/runs?text=a&state=1&code=2"
    page = tab.open(address)
    expect(page.get_by_text("Updated")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Updated")).to_be_visible()
    assert page.url.endswith(address)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_the_tab_has_stored_and_cannot_be_read_does_not_lock_it(tab: Tab) -> None:
    page = _open(tab)
    page.evaluate("['tokens', 'pending'].forEach(name => sessionStorage.setItem(`polysync.${name}`, '{broken'))")
    page.reload()
    expect(page.get_by_text("Updated")).to_be_visible()


def test_a_token_that_the_app_refuses_later_is_renewed_and_the_call_is_repeated(
    tab: Tab, entra: SimulatedEntra
) -> None:
    page = _open(tab)
    renewed = len(entra.sign_in_calls("token"))
    page.route("**/api/runs?*", lambda route: route.fulfill(status=401, json={}), times=1)
    with page.expect_response(lambda answer: answer.status == 401):
        tab.pass_time(31)
    expect(page.get_by_text(JUST_NOW)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert len(entra.sign_in_calls("token")) == renewed + 1


def test_a_renewal_that_is_refused_after_the_sign_out_begins_no_sign_in(tab: Tab, entra: SimulatedEntra) -> None:
    page = _open(tab)
    asked = len(entra.sign_in_calls("authorize"))
    held: list[Route] = []
    page.route(TOKEN, lambda route: held.append(route))
    with page.expect_request(TOKEN):
        tab.pass_time(3600)
    page.get_by_role("button", name="Sign out").click()
    readable = {"Access-Control-Allow-Origin": "*"}
    with page.expect_request_finished(lambda request: request.url.endswith("/token")):
        held[0].fulfill(status=400, headers=readable, json={"error": "invalid_grant"})
    page.wait_for_timeout(300)
    expect(page.get_by_role("heading", level=1)).to_have_text("You are not signed in")
    assert len(entra.sign_in_calls("authorize")) == asked


def test_one_renewal_serves_all_calls_and_the_refresh_token_stays_where_none_is_sent(
    tab: Tab, entra: SimulatedEntra
) -> None:
    page = _open(tab)
    assert page.evaluate("sessionStorage.getItem('polysync.pending')") is None, "an answer is taken once"
    change_answers(page, TOKEN, lambda given: given.pop("refresh_token"))
    signed_in = len(entra.sign_in_calls("authorize"))
    for _ in range(2):
        renewed = len(entra.sign_in_calls("token"))
        tab.pass_time(3600)
        expect(page.get_by_text(JUST_NOW)).to_be_visible()
        assert len(entra.sign_in_calls("token")) == renewed + 1
    expect(page.get_by_role("alert")).to_have_count(0)
    assert len(entra.sign_in_calls("authorize")) == signed_in


def test_a_token_of_less_than_a_minute_is_used_for_most_of_its_time(tab: Tab, entra: SimulatedEntra) -> None:
    entra.configure_sign_in(access_claims={}, access_token_seconds=40.0)
    before = len(entra.sign_in_calls("token"))
    _open(tab)
    assert len(entra.sign_in_calls("token")) == before + 1


def test_an_operator_may_start_a_job_and_change_nothing_about_it(
    tab: Tab, app: ServedApp, entra: SimulatedEntra
) -> None:
    pipeline_id = app.databricks.add_pipeline(name="for operators")
    app.post("/api/jobs/discover")
    entra.sign_in_as(["Polysync.Operate"])
    page = tab.open(f"#/jobs/{pipeline_id}")
    expect(page.get_by_role("button", name="Start …")).to_be_visible()
    expect(page.get_by_text("Now: nothing is stored")).to_be_visible()
    expect(page.get_by_role("button", name="Sync parameters")).to_have_count(0)
    expect(page.get_by_role("button", name="Store")).to_have_count(0)


def test_who_started_a_run_is_named_and_found_by_the_object_id(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="by an application")
    started = app.start(pipeline_id).json
    caller = started["startedBy"]["objectId"]
    page = tab.open(f"#/runs?text={caller}&pipeline={pipeline_id[:8]}")
    expect(page.locator("table.runs tbody tr")).to_have_count(1)
    page = tab.open(f"#/runs/{started['runId']}")
    expect(page.locator(".facts")).to_contain_text(f"Started by{caller}")


def test_an_app_without_a_client_for_the_page_names_the_setting(tab: Tab) -> None:
    change_answers(tab.page, "**/page/config.json", lambda config: config.update(clientId=None))
    expect(tab.open().get_by_role("alert")).to_contain_text("set POLYSYNC_ENTRA_PAGE_CLIENT")
