"""The list of runs: filters in the address, pages, the timeline, and what keeps it up to date."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Locator, Page, expect

from tests.functions.app import ServedApp
from tests.page.browser import NARROW, Tab, open_tab

JUST_NOW = re.compile(r"Updated \d s ago")


def _rows(page: Page) -> Locator:
    return page.locator("table.runs tbody tr")


# --- filters


def test_filters_stand_in_the_address_and_a_link_with_them_shows_the_same(tab: Tab, app: ServedApp) -> None:
    for name, state in (("north sales", "FAILED"), ("south sales", "COMPLETED"), ("north stock", "COMPLETED")):
        pipeline_id = app.databricks.add_pipeline(name=name)
        app.post("/api/jobs/discover")
        app.run(pipeline_id)
        app.databricks.set_state(pipeline_id, None, state)
    app.fire("sweep_runs")
    page = tab.open()
    page.get_by_label("Pipeline", exact=True).fill("NORTH")
    page.keyboard.press("Enter")
    expect(_rows(page)).to_have_count(2)
    page.get_by_label("Status").select_option("failed")
    expect(_rows(page)).to_have_count(1)
    expect(_rows(page)).to_contain_text("north sales")
    assert page.url.endswith("#/runs?pipeline=NORTH&status=Failed")
    tab.open("#/runs?pipeline=sales&text=completed")
    expect(_rows(page)).to_have_count(1)
    expect(_rows(page)).to_contain_text("south sales")
    expect(page.get_by_label("Text")).to_have_value("completed")
    page.go_back()
    expect(_rows(page)).to_contain_text("north sales")
    page.get_by_role("link", name="Clear filters").click()
    expect(_rows(page)).not_to_have_count(1)


def test_a_time_is_typed_in_the_chosen_zone_and_stands_in_the_address_in_utc(tab: Tab) -> None:
    page = tab.open("#/runs?since=2026-11-22T08:00:00Z")
    expect(page.get_by_label("Started since")).to_have_value("2026-11-22T09:00")
    page.get_by_label("Times in").select_option("utc")
    expect(page.get_by_label("Started since")).to_have_value("2026-11-22T08:00")
    page.get_by_label("Started before").fill("2026-11-23T10:30")
    page.get_by_label("Started before").blur()
    expect(page).to_have_url(f"{tab.url}/api/page#/runs?since=2026-11-22T08:00:00Z&until=2026-11-23T10:30:00Z")
    expect(page.get_by_text("No run matches these filters.")).to_be_visible()


def test_a_filter_that_the_app_refuses_is_explained(tab: Tab) -> None:
    page = tab.open("#/runs?status=Done")
    expect(page.get_by_role("alert")).to_contain_text("status: must be one of")


# --- the drawing


def test_the_timeline_has_a_lane_for_each_pipeline_and_each_bar_leads_to_its_run(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="drawn")
    app.post("/api/jobs/discover")
    run = app.run(pipeline_id).removeprefix("/api")
    page = tab.open("#/runs?hours=1")
    drawing = page.get_by_role("img", name="Timeline of the last hour")
    expect(drawing).to_be_visible()
    expect(page.locator(".lanes").get_by_role("link", name="drawn", exact=True)).to_be_visible()
    bar = drawing.locator(f"[data-run$='{run.removeprefix('/runs')}']")
    expect(bar).to_have_attribute("fill", "url(#fill-waiting)")
    bar.click(force=True)
    expect(page.get_by_role("heading", level=1)).to_have_text("drawn")


def test_the_counts_filter_the_list(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="counted")
    app.post("/api/jobs/discover")
    app.run(pipeline_id)
    app.databricks.set_state(pipeline_id, None, "CANCELED")
    app.fire("sweep_runs")
    page = tab.open()
    tile = page.locator(".counts .cancelled a")
    expect(tile.locator(".number")).to_have_text("1")
    tile.click()
    expect(_rows(page)).to_have_count(1)
    expect(_rows(page)).to_contain_text("counted")
    expect(tile).to_have_attribute("aria-current", "true")
    expect(page.locator("#found")).to_be_focused()


def test_a_run_that_waits_and_one_that_was_given_up_are_counted_and_listed_apart(tab: Tab, app: ServedApp) -> None:
    ids = [app.databricks.add_pipeline(name=name) for name in ("two kinds: waiting", "two kinds: lost")]
    app.post("/api/jobs/discover")
    runs = [app.run(pipeline_id) for pipeline_id in ids]
    app.post(f"{runs[1]}/abandon")
    page = tab.open("#/runs?pipeline=two kinds")
    for kind, word, other in (("waiting", "Waiting", "lost"), ("lost", "Given up", "waiting")):
        tile = page.locator(f".counts .{kind} a")
        expect(tile.locator(".number")).to_have_text("1")
        expect(tile).to_contain_text("Unknown")
        tile.click()
        expect(_rows(page)).to_have_count(1)
        expect(_rows(page)).to_contain_text(f"two kinds: {kind}")
        expect(_rows(page)).to_contain_text(f"{word} (Unknown)")
        expect(tile).to_have_attribute("aria-current", "true")
        expect(page.locator(f".counts .{other} a")).not_to_have_attribute("aria-current", "true")


def test_a_name_filters_while_it_is_typed_and_stays_when_another_filter_changes(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="typed slowly")
    app.post("/api/jobs/discover")
    app.run(pipeline_id)
    page = tab.open()
    page.get_by_label("Pipeline", exact=True).press_sequentially("typed sl")
    tab.pass_time(1)
    expect(_rows(page)).to_have_count(1)
    expect(page.locator("#found")).to_contain_text("runs that were searched match")
    page.get_by_label("Pipeline", exact=True).press_sequentially("ower")
    page.evaluate("document.querySelector('.filters select').value = 'failed'")
    page.evaluate("document.querySelector('.filters select').dispatchEvent(new Event('change'))")
    tab.pass_time(1)
    expect(page).to_have_url(re.compile(r"pipeline=typed\+slower&status=Failed$"))
    expect(page.get_by_label("Pipeline", exact=True)).to_have_value("typed slower")


def test_what_is_typed_stays_while_the_list_is_loaded_again(tab: Tab) -> None:
    page = tab.open()
    for label in ("Text", "Pipeline"):
        page.get_by_label(label, exact=True).press_sequentially("nor")
    for seconds in (31, 31):
        tab.pass_time(seconds)
        expect(page.get_by_text(JUST_NOW)).to_be_visible()
        expect(page.get_by_label("Text", exact=True)).to_have_value("nor")
        expect(page.get_by_label("Pipeline", exact=True)).to_have_value("nor")
    page.get_by_role("link", name="Clear filters").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value("")


def test_an_address_of_older_runs_that_is_not_valid_leads_back_to_the_newest(tab: Tab) -> None:
    page = tab.open("#/runs?after=nonsense")
    expect(page.get_by_role("alert")).to_contain_text("continuation")
    expect(page.get_by_role("alert")).not_to_contain_text("Next try")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    tab.pass_time(120)
    page.wait_for_timeout(200)
    assert [url for url in asked if "nonsense" in url] == []
    page.get_by_role("link", name="Newest runs").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("#found")).to_contain_text("run")


def test_the_filter_of_one_pipeline_is_a_chip_with_its_name_and_can_be_removed(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="chipped")
    app.post("/api/jobs/discover")
    app.run(pipeline_id)
    page = tab.open(f"#/runs?pipelineId={pipeline_id}")
    expect(page.locator(".chip")).to_contain_text("Only pipeline chipped")
    expect(page.locator(".counts .waiting .number")).to_have_text("1")
    page.get_by_role("link", name="Remove the filter: Only pipeline chipped").click()
    expect(page.locator(".chip")).to_have_count(0)
    assert page.url.endswith("#/runs")


def test_a_state_that_was_not_read_lately_is_shown_with_its_age(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="getting old")
    app.post("/api/jobs/discover")
    app.run(pipeline_id)
    tab.page.wait_for_timeout(2000)
    page = tab.open("#/runs?pipeline=getting old")
    expect(_rows(page)).to_contain_text(re.compile(r"as of \d\d:\d\d:\d\d \(\d+ s ago\)"))
    expect(_rows(page)).not_to_contain_text("This is how it stood")
    expect(page.get_by_text("some states are older")).to_be_visible()


def test_on_a_narrow_screen_a_count_leads_to_the_list(browser: Browser, app: ServedApp) -> None:
    with open_tab(browser, app.base_url, viewport=NARROW) as tab:
        page = tab.open()
        expect(page.locator("#found")).not_to_be_in_viewport()
        page.locator(".counts .waiting a").click()
        expect(page.locator("#found")).to_be_in_viewport()


# --- up to date


def test_a_new_run_appears_by_itself_while_the_page_is_visible_and_nothing_is_asked_while_it_is_hidden(
    tab: Tab, app: ServedApp
) -> None:
    page = tab.open("#/runs?pipeline=newcomer")
    expect(page.get_by_text("No run matches these filters.")).to_be_visible()
    pipeline_id = app.databricks.add_pipeline(name="newcomer")
    app.post("/api/jobs/discover")
    app.run(pipeline_id)
    _hide(page, hidden=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    tab.pass_time(600)
    page.wait_for_timeout(200)
    assert asked == []
    _hide(page, hidden=False)
    expect(_rows(page)).to_have_count(1)
    tab.pass_time(31)
    expect(page.get_by_text(JUST_NOW)).to_be_visible()


def test_a_changed_status_is_announced(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="announced")
    app.post("/api/jobs/discover")
    app.run(pipeline_id)
    page = tab.open("#/runs")
    expect(_rows(page).filter(has_text="announced")).to_contain_text("Waiting (Unknown)")
    app.databricks.set_state(pipeline_id, None, "FAILED")
    app.fire("sweep_runs")
    tab.pass_time(6)
    expect(page.get_by_role("status").filter(has_text="announced: Failed")).to_have_count(1)


def _hide(page: Page, *, hidden: bool) -> None:
    """What a browser does when another tab comes before this one, and when it goes again."""
    page.evaluate(f"Object.defineProperty(document, 'hidden', {{ value: {str(hidden).lower()}, configurable: true }})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
