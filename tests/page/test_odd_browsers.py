"""Addresses and browsers that are not as usual, and that a test notices a call to another host."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.functions.app import ServedApp
from tests.page.browser import Tab, open_tab


@pytest.mark.parametrize("name", ["constructor", "toString", "__proto__"])
def test_a_view_that_does_not_exist_is_said_so(tab: Tab, name: str) -> None:
    page = tab.open(f"#/{name}")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    expect(page).to_have_title("There is no such page – Polysync")


def test_a_browser_that_refuses_its_local_storage_shows_the_page(tab: Tab) -> None:
    tab.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
    )
    page = tab.open("#/jobs")
    expect(page.get_by_text("Updated")).to_be_visible()
    page.get_by_label("Times in").select_option("utc")
    expect(page.get_by_label("Times in")).to_have_value("utc")


def test_the_zone_of_times_is_remembered(tab: Tab) -> None:
    page = tab.open("#/health")
    expect(page.get_by_label("Times in").locator("option:checked")).to_have_text("Local (Europe/Berlin)")
    page.get_by_label("Times in").select_option("utc")
    page.reload()
    expect(page.get_by_label("Times in")).to_have_value("utc")


def _call_another_host(browser: Browser, url: str) -> None:
    with open_tab(browser, url) as tab:
        tab.page.route("http://localhost:1/**", lambda route: route.fulfill(body=""))
        tab.page.goto("http://localhost:1/")


def test_a_tab_that_called_another_host_fails_its_test(browser: Browser, app: ServedApp) -> None:
    with pytest.raises(AssertionError, match="localhost:1"):
        _call_another_host(browser, app.base_url)
