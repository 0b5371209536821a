"""When the page asks again, and when it stops waiting: it spares an app in trouble, and never waits for ever."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.functions.app import ServedApp
from tests.page.browser import QUICK, Tab

pytestmark = pytest.mark.slow


def _expect_pause(page: Page, words: str) -> None:
    """The alert counts down to the next try. A busy machine may be some seconds late."""
    expect(page.get_by_role("alert")).to_contain_text(re.compile(rf"Next try in ({words})\."))


def test_pauses_grow_up_to_a_minute_and_are_short_again_after_a_success(tab: Tab) -> None:
    page = tab.page
    page.route("**/api/health", lambda route: route.fulfill(status=500))
    tab.open("#/health")
    _expect_pause(page, "1[0-5] s")
    for passed, words in ((16, "30 s|2[5-9] s"), (31, "1 min|5[5-9] s"), (61, "1 min|5[5-9] s")):
        tab.pass_time(passed)
        _expect_pause(page, words)
    page.unroute("**/api/health")
    tab.pass_time(61)
    expect(page.get_by_role("alert")).to_have_count(0)
    page.route("**/api/health", lambda route: route.fulfill(status=500))
    tab.pass_time(16)
    _expect_pause(page, "1[0-5] s")


def test_try_now_does_not_wait(tab: Tab) -> None:
    page = tab.page
    page.route("**/api/health", lambda route: route.fulfill(status=500), times=2)
    tab.open("#/health")
    _expect_pause(page, "1[0-5] s")
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("table.checks")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_the_app_refuses_is_asked_for_again_after_a_minute_only(tab: Tab) -> None:
    page = tab.open("#/runs/p1:u1")
    _expect_pause(page, "1 min|5[5-9] s")


def test_a_view_that_was_left_asks_for_nothing_more(tab: Tab) -> None:
    page = tab.open("#/runs")
    expect(page.locator("#found")).to_contain_text("run")
    page.get_by_role("link", name="Jobs").first.click()
    expect(page.get_by_text("Updated")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_request("**/api/runs?*limit=200*"):
        tab.pass_time(31)
    assert [url for url in asked if "limit=50" in url or "active=" in url] == []


def test_an_import_that_ends_after_its_view_was_left_loads_the_names_alone(tab: Tab) -> None:
    held: list[Route] = []
    tab.page.route("**/discover*", lambda route: held.append(route))
    page = tab.open("#/jobs")
    expect(page.get_by_text("Updated")).to_be_visible()
    with page.expect_request("**/discover*"):
        page.get_by_role("button", name="Import from Databricks").click()
    page.get_by_role("link", name="Health").first.click()
    expect(page.locator("table.checks")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_request("**/api/jobs?*"):
        held[0].fulfill(json={"jobs": {"added": 0, "changed": 0, "removed": 0}, "continuation": None})
    page.wait_for_timeout(200)
    assert len([url for url in asked if "/api/jobs?" in url]) == 1


def test_a_load_that_is_replaced_is_no_error(tab: Tab, app: ServedApp) -> None:
    """An import loads the list of jobs again, also while the list is being loaded."""
    app.databricks.add_pipeline(name="loaded twice")
    pattern = re.compile(r"/api/jobs\?")
    held: list[Route] = []
    tab.page.route(pattern, lambda route: held.append(route))
    page = tab.open("#/jobs?name=loaded twice")
    with page.expect_event("requestfailed", lambda request: bool(pattern.search(request.url))):
        page.get_by_role("button", name="Import from Databricks").click()
    page.wait_for_timeout(200)
    expect(page.get_by_role("status").filter(has_text="Imported")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_call_without_an_answer_ends_after_a_minute(tab: Tab) -> None:
    tab.page.add_init_script(QUICK)
    tab.page.route("**/api/runs/**", lambda _: None)
    page = tab.open("#/runs/p1:u1")
    expect(page.get_by_text("Loading …").first).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("The app does not answer.")


def test_a_dialog_waits_ten_seconds_for_the_job_and_nobody_can_agree_before(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="slow to read")
    app.post("/api/jobs/discover")
    page = tab.open(f"#/jobs/{pipeline_id}")
    page.evaluate(QUICK.replace("/ 50", "/ 10"))
    expect(page.get_by_role("button", name="Start …")).to_be_visible()
    page.route("**/api/jobs/**", lambda _: None)
    page.get_by_role("button", name="Start …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Reading the job …")
    expect(dialog.get_by_role("button", name="Start slow to read")).to_be_disabled()
    page.evaluate("document.querySelector('dialog form').dispatchEvent(new Event('submit', {cancelable: true}))")
    expect(dialog).to_contain_text("What the job has stored is not known.", timeout=4000)
    assert app.databricks.updates_of(pipeline_id) == []


@pytest.mark.parametrize(("after", "words"), [("30", "Press again in 30 s."), ("", "Press again later.")])
def test_a_start_that_meets_a_429_says_when_to_press_again(tab: Tab, app: ServedApp, after: str, words: str) -> None:
    pipeline_id = app.databricks.add_pipeline(name=f"busy {after}")
    app.post("/api/jobs/discover")
    page = tab.open(f"#/jobs/{pipeline_id}")
    page.route("**/updates?*", lambda route: route.fulfill(status=429, headers={"Retry-After": after}))
    page.get_by_role("button", name="Start …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Start busy").click()
    expect(dialog.get_by_role("alert")).to_contain_text(words)
    expect(dialog.get_by_role("alert")).not_to_contain_text("not known")
