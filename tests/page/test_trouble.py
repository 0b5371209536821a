"""The app goes away and comes back, asks for patience, or has invalid settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Route, expect

from local.host import LocalHost
from local.workspace import SimulatedWorkspace
from tests.functions.app import KEY, ROOT, environment, send_to, served, settings_of
from tests.page.browser import NARROW, Tab, open_tab


@dataclass
class Movable:
    """The app in a host that can be stopped and started again on the same port."""

    host: LocalHost
    databricks: SimulatedWorkspace

    @property
    def url(self) -> str:
        return self.host.url

    def stop(self) -> None:
        self.host.stop()

    def start(self) -> None:
        self.host = LocalHost(ROOT, key=KEY, timers=False, port=urlsplit(self.url).port or 0).start()


@pytest.fixture(scope="module")
def movable(azurite: str) -> Iterator[Movable]:
    with SimulatedWorkspace() as databricks, environment(settings_of(azurite, "movable", databricks)):
        running = Movable(LocalHost(ROOT, key=KEY, timers=False).start(), databricks)
        yield running
        running.stop()


@pytest.fixture
def tab(browser: Browser, movable: Movable) -> Iterator[Tab]:
    with open_tab(browser, movable.url) as opened:
        yield opened


def test_while_the_app_is_away_the_last_data_stay_with_their_age_and_it_is_found_again_when_it_is_back(
    tab: Tab, movable: Movable
) -> None:
    pipeline_id = movable.databricks.add_pipeline(name="kept")
    page = tab.open("#/jobs")
    page.get_by_role("button", name="Import from Databricks").click()
    row = page.locator("table.jobs tbody tr")
    expect(row).to_contain_text("kept")
    movable.stop()
    try:
        tab.pass_time(61)
        expect(page.get_by_role("alert").first).to_contain_text("The app does not answer.")
        expect(page.get_by_role("alert").first).to_contain_text("What you see is from ")
        expect(row).to_contain_text("kept")
        expect(page.get_by_text("Updated 1 min")).to_be_visible()
        row.get_by_role("button", name="Start kept …").click()
        page.get_by_role("dialog").get_by_role("button", name="Start kept").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("The app does not answer.")
    finally:
        movable.start()
    page.get_by_role("dialog").get_by_role("button", name="Start kept").click()
    expect(page.locator(".big .badge")).to_be_visible()
    assert len(movable.databricks.updates_of(pipeline_id)) == 1
    page.get_by_role("link", name="Jobs").first.click()
    expect(row).to_contain_text("kept")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_start_whose_answer_was_lost_is_repeated_and_not_started_twice(tab: Tab, movable: Movable) -> None:
    pipeline_id = movable.databricks.add_pipeline(name="once")
    page = tab.open("#/jobs?name=once")
    page.get_by_role("button", name="Import from Databricks").click()

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/updates?*", lose, times=1)
    page.get_by_role("button", name="Start once …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Start once").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The app does not answer.")
    dialog.get_by_role("button", name="Start once").click()
    expect(page.locator(".big .badge")).to_be_visible()
    assert len(movable.databricks.updates_of(pipeline_id)) == 1


def test_a_429_is_obeyed(tab: Tab) -> None:
    """A gateway before the app may refuse calls. The app itself passes on the 429 of Databricks alone."""
    page = tab.open("#/runs")
    expect(page.get_by_text("Updated")).to_be_visible()
    asked: list[str] = []
    page.route("**/api/runs?*", lambda route: route.fulfill(status=429, headers={"Retry-After": "40"}))
    page.on("request", lambda request: asked.append(request.url))
    tab.pass_time(31)
    expect(page.get_by_role("alert")).to_contain_text("The page waits, and tries again by itself.")
    page.unroute("**/api/runs?*")
    asked.clear()
    tab.pass_time(35)
    page.wait_for_timeout(200)
    assert [url for url in asked if "/api/runs?" in url] == []
    tab.pass_time(10)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_counts_that_cannot_be_loaded_are_not_shown_as_zero(tab: Tab) -> None:
    """A gateway before the app lets only the list pass, which asks for fewer runs than the counts."""
    tab.page.route("**/api/runs?*limit=200*", lambda route: route.fulfill(status=503))
    page = tab.open("#/runs")
    expect(page.get_by_text("Updated")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("The page tries again by itself.")
    expect(page.locator(".counts .failed .number")).to_have_text("–")
    expect(page.get_by_role("img", name="The timeline is not known yet")).to_be_visible()
    tab.page.unroute("**/api/runs?*limit=200*")
    tab.pass_time(61)
    expect(page.locator(".counts .failed .number")).to_have_text("0")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_names_that_could_not_be_loaded_are_loaded_later_and_again_after_an_import(tab: Tab, movable: Movable) -> None:
    movable.databricks.add_pipeline(name="named early")
    page = tab.open("#/jobs")
    page.get_by_role("button", name="Import from Databricks").click()
    expect(page.get_by_role("status").filter(has_text="Imported")).to_be_visible()
    movable.databricks.add_pipeline(name="named late")
    page.route("**/api/jobs?*", lambda route: route.fulfill(status=503))
    page.get_by_role("link", name="Runs").first.click()
    page.reload()
    expect(page.get_by_text("Updated")).to_be_visible()
    page.unroute("**/api/jobs?*")
    tab.pass_time(61)
    expect(page.locator("#pipelines option[value='named early']")).to_have_count(1)
    expect(page.locator("#pipelines option[value='named late']")).to_have_count(0)
    page.get_by_role("link", name="Jobs").first.click()
    page.get_by_role("button", name="Import from Databricks").click()
    expect(page.get_by_role("status").filter(has_text="Imported: 1 new")).to_be_visible()
    page.get_by_role("link", name="Runs").first.click()
    expect(page.locator("#pipelines option[value='named late']")).to_have_count(1)


def test_invalid_settings_are_named_and_health_can_still_be_seen(browser: Browser, azurite: str) -> None:
    with served(azurite, POLYSYNC_RETENTION_DAYS="never") as app, open_tab(browser, app.base_url) as tab:
        page = tab.open()
        expect(page.get_by_role("alert")).to_contain_text("POLYSYNC_RETENTION_DAYS")
        page.get_by_role("link", name="Look at Health").click()
        expect(page.locator("table.checks")).to_contain_text("POLYSYNC_RETENTION_DAYS")


def test_a_failing_check_is_seen_on_every_view_and_its_long_reason_fits_a_narrow_screen(
    browser: Browser, movable: Movable
) -> None:
    """The browser's network plays the sick app: a sweep that fails takes minutes."""
    reason = f"the timer does not fire, see https://example.org/{'x' * 80}"
    checks = [
        {"name": "storage", "ok": True, "message": "answers"},
        {"name": "sweep a", "ok": False, "message": reason},
    ]
    with open_tab(browser, movable.url, viewport=NARROW) as tab:
        answer = {"status": "failing", "version": "1", "checks": checks, "workspaces": {}}
        tab.page.route("**/api/health", lambda route: route.fulfill(status=503, json=answer))
        page = tab.open()
        expect(page.get_by_role("status").filter(has_text="Not healthy: sweep a.")).to_be_visible()
        page.get_by_role("link", name="Health failing").click()
        expect(page.locator("table.checks")).to_contain_text(reason)
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
        cells = page.locator("table.checks :is(th, td)").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect().right)"
        )
        assert max(cells) <= NARROW["width"]


def test_the_page_works_behind_a_gateway_with_another_path(tab: Tab) -> None:
    """The browser's network plays the gateway: it has the app's routes at /polysync/v1, and nothing at /api."""
    forward = tab.url + "/api/"
    tab.page.route(
        "**/polysync/v1/**",
        lambda route: route.continue_(url=route.request.url.replace(f"{tab.url}/polysync/v1/", forward)),
    )
    tab.page.route("**/api/**", lambda route: route.abort())
    tab.page.goto(f"{tab.url}/polysync/v1/page#/jobs")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Jobs")
    expect(tab.page.get_by_text("Updated")).to_be_visible()
    expect(tab.page.get_by_role("alert")).to_have_count(0)


def test_a_view_that_is_opened_again_while_the_app_is_away_shows_what_was_last_seen(tab: Tab, movable: Movable) -> None:
    pipeline_id = movable.databricks.add_pipeline(name="seen before")
    page = tab.open(f"#/runs?pipelineId={pipeline_id}")
    headers = {"x-functions-key": KEY, "Content-Type": "application/json"}
    send_to(movable.host)("POST", f"/api/pipelines/{pipeline_id}/updates", headers, b"{}")
    tab.pass_time(16)
    rows = page.locator("table.runs tbody tr")
    expect(rows).to_have_count(1)
    page.route("**/api/runs**", lambda route: route.fulfill(status=502))
    page.route("**/api/jobs**", lambda route: route.fulfill(status=502))
    rows.get_by_role("link").first.click()
    expect(page.locator(".big .badge")).to_be_visible()
    expect(page.get_by_role("alert").first).to_contain_text("What you see is from ")
    page.get_by_label("Views").get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    page.go_back()
    expect(page.locator(".big .badge")).to_be_visible()
    page.go_back()
    expect(rows).to_have_count(1)
    expect(page.locator(".live").first).to_contain_text("Updated ")


def test_what_was_seen_is_forgotten_when_another_reader_comes_in(tab: Tab, movable: Movable) -> None:
    pipeline_id = movable.databricks.add_pipeline(name="not yours")
    headers = {"x-functions-key": KEY, "Content-Type": "application/json"}
    send_to(movable.host)("POST", f"/api/pipelines/{pipeline_id}/updates", headers, b"{}")
    page = tab.open(f"#/runs?pipelineId={pipeline_id}")
    rows = page.locator("table.runs tbody tr")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Sign out").click()
    page.route("**/api/runs?**pipelineId**", lambda route: route.fulfill(status=502))
    page.get_by_label("Function key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").first).to_contain_text("502")
    expect(rows).to_have_count(0)
