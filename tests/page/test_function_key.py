"""The reader signs in with a function key, once for a tab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from local.host import LocalHost
from tests.functions.app import KEY, ROOT, ServedApp
from tests.page.browser import Tab, open_tab

FIELD = "Function key"


@pytest.fixture
def stranger(browser: Browser, app: ServedApp) -> Iterator[Tab]:
    """A tab of a reader who has entered no key yet."""
    with open_tab(browser, app.base_url, key=None) as opened:
        yield opened


def _enter(page: Page, key: str) -> None:
    expect(page.get_by_label(FIELD, exact=True)).to_be_focused()
    page.get_by_label(FIELD, exact=True).fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_a_wrong_key_is_refused_in_words_and_the_right_one_opens_what_the_address_names(stranger: Tab) -> None:
    page = stranger.open("#/jobs")
    _enter(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("This key is not accepted")
    _enter(page, KEY)
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    assert KEY not in page.url


def test_the_key_stays_in_its_tab_and_ends_with_sign_out(stranger: Tab) -> None:
    page = stranger.open()
    _enter(page, KEY)
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
    assert page.evaluate("[JSON.stringify(localStorage), document.cookie]") == ["{}", ""]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label(FIELD, exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_label(FIELD, exact=True)).to_be_visible()


def test_a_key_that_is_renewed_is_asked_for_again_and_the_page_goes_on_where_it_was(
    browser: Browser, app: ServedApp
) -> None:
    with open_tab(browser, app.base_url, key="the key before") as tab:
        page = tab.open("#/runs?status=Failed&hours=1")
        expect(page.get_by_role("alert")).to_contain_text("Enter a key again")
        _enter(page, KEY)
        expect(page.get_by_label("Status")).to_have_value("failed")
        assert page.url.endswith("#/runs?status=Failed&hours=1")


def test_an_app_that_asks_for_no_key_is_entered_without_one(browser: Browser, app: ServedApp) -> None:
    with LocalHost(ROOT, timers=False) as host, open_tab(browser, host.url, key=None) as tab:
        expect(tab.open().get_by_role("heading", level=1)).to_have_text("Runs")
        expect(tab.page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_a_key_that_cannot_be_sent_is_refused_with_what_is_wrong(stranger: Tab) -> None:
    page = stranger.open()
    _enter(page, f"{KEY}‑x")
    expect(page.get_by_role("alert")).to_have_text(
        "“‑” cannot be part of a key. Copy the key again, and nothing else. "
    )
    _enter(page, KEY)
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")


def test_a_key_that_cannot_be_tried_is_not_said_to_be_wrong(stranger: Tab) -> None:
    page = stranger.open()
    expect(page.get_by_label(FIELD, exact=True)).to_be_focused()
    page.route("**/api/runs?*", lambda route: route.abort(), times=1)
    _enter(page, KEY)
    expect(page.get_by_role("alert")).to_contain_text("The app does not answer. Press the button again.")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")


def test_a_late_refusal_of_the_key_before_does_not_sign_out_the_new_one(stranger: Tab) -> None:
    page = stranger.open("#/jobs")
    _enter(page, KEY)
    held: list[Route] = []
    page.route("**/discover*", lambda route: held.append(route))
    with page.expect_request("**/discover*"):
        page.get_by_role("button", name="Import from Databricks").click()
    page.get_by_role("button", name="Sign out").click()
    _enter(page, KEY)
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    with page.expect_event("requestfinished", lambda request: "discover" in request.url):
        held[0].fulfill(status=401, json={})
    page.wait_for_timeout(200)
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")


def test_an_app_in_trouble_is_not_taken_for_one_that_asks_for_a_key(stranger: Tab) -> None:
    page = stranger.page
    page.route("**/api/runs?*", lambda route: route.fulfill(status=503, json={}))
    stranger.open()
    expect(page.get_by_role("heading", level=1)).to_have_text("The page cannot start")
    expect(page.get_by_label(FIELD, exact=True)).to_have_count(0)
