"""Every view by axe-core, in light and wide, in dark and narrow, and by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.functions.app import ROOT
from tests.page.browser import NARROW, WIDE, Scheme, Tab, open_tab
from tests.page.screenshots import BEFORE, addresses
from tests.page.stage import Stage, working_day

AXE = ROOT / "local/azurite_npm/node_modules/axe-core/axe.min.js"
LOOKS: list[tuple[ViewportSize, Scheme]] = [(WIDE, "light"), (NARROW, "dark")]


@pytest.fixture(scope="module")
def stage(azurite: str) -> Iterator[Stage]:
    with working_day(azurite, pipelines=9) as running:
        yield running


def _findings(page: Page) -> list[str]:
    """What axe-core finds, as rule and element. The script runs in the page's own world, where its policy holds."""
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)"
    )
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [LOOKS[0], pytest.param(*LOOKS[1], marks=pytest.mark.slow)],
    ids=["wide-light", "narrow-dark"],
)
def test_axe_finds_nothing_on_any_view(browser: Browser, stage: Stage, viewport: ViewportSize, scheme: Scheme) -> None:
    if not AXE.exists():
        pytest.skip("make setup has not installed the npm packages")
    with open_tab(browser, stage.url, viewport=viewport, scheme=scheme) as tab:
        for name, address in addresses(stage).items():
            page = _shown(tab, name, address)
            assert (name, _findings(page)) == (name, [])


def _shown(tab: Tab, name: str, address: str) -> Page:
    page = tab.open(address)
    page.reload()  # or a dialog would stay open, if the address is the same again
    expect(page.get_by_text("Loading")).to_have_count(0)
    expect(page.get_by_text("Updated").or_(page.get_by_role("alert")).first).to_be_visible()
    if name in BEFORE:
        BEFORE[name](page)
        expect(page.locator("dialog, .notice").first).to_be_visible()
    return page


def test_nothing_is_wider_than_a_narrow_screen(browser: Browser, stage: Stage) -> None:
    with open_tab(browser, stage.url, viewport=NARROW) as tab:
        for name, address in addresses(stage).items():
            page = _shown(tab, name, address)
            assert (name, page.evaluate("document.documentElement.scrollWidth")) == (name, NARROW["width"])


@pytest.mark.parametrize(("viewport", "scheme"), LOOKS, ids=["wide-light", "narrow-dark"])
def test_axe_finds_nothing_where_nobody_is_signed_in(
    browser: Browser, stage: Stage, viewport: ViewportSize, scheme: Scheme
) -> None:
    with open_tab(browser, stage.url, key=None, viewport=viewport, scheme=scheme) as tab:
        expect(tab.open().get_by_label("Function key")).to_be_visible()
        assert _findings(tab.page) == []
        tab.page.get_by_label("Function key").fill("not a key of this app")
        tab.page.get_by_role("button", name="Sign in").click()
        expect(tab.page.get_by_role("alert")).to_be_visible()
        assert _findings(tab.page) == []
        config = {"callers": "entra", "authority": stage.url, "tenant": "t", "clientId": "c", "scope": "s"}
        tab.page.route("**/config.json", lambda route: route.fulfill(json={**config, "startOptions": []}))
        tab.open("?#code=made-up&state=unknown")
        expect(tab.page.get_by_role("heading", name="You are not signed in")).to_be_visible()
        assert _findings(tab.page) == []
        tab.page.unroute("**/config.json")
        tab.page.route("**/config.json", lambda route: route.fulfill(status=503))
        tab.page.reload()
        expect(tab.page.get_by_role("heading", name="The page cannot start")).to_be_visible()
        assert _findings(tab.page) == []


def test_a_run_is_found_and_cancelled_by_keyboard_alone(browser: Browser, stage: Stage) -> None:
    with open_tab(browser, stage.url) as tab:
        page = tab.open()
        expect(page.locator("table.runs")).to_be_visible()
        _tab_to(page, "Skip to the content")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        expect(page.locator("table.runs")).to_contain_text("Running")
        name = page.locator("table.runs tbody tr", has=page.locator(".badge.running")).first.locator("a").inner_text()
        page.locator(".brand").click()
        page.get_by_role("link", name="Skip to the content").focus()
        _tab_to(page, "Skip to the list")
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_be_focused()
        _tab_to(page, name)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        _tab_to(page, "Cancel this run …")
        page.keyboard.press("Enter")
        _tab_to(page, "Cancel run")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").filter(has_text="The cancel is requested.")).to_be_visible()


def _tab_to(page: Page, text: str) -> None:
    """Press Tab until an element with this text has the focus, and the focus can be seen."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() and text in focused.inner_text():
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    raise AssertionError(f"the Tab key does not reach {text!r}")
