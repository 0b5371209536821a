"""The list of runs in detail: what a text finds, where a click leads, and what the drawing shows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.functions.app import ServedApp, served
from tests.page.browser import Tab, open_tab

pytestmark = pytest.mark.slow


def _rows(page: Page) -> Locator:
    return page.locator("table.runs tbody tr")


@pytest.fixture(scope="module")
def app(azurite: str) -> Iterator[ServedApp]:
    """An app with a run that waits, of `first`, and one that was given up, of `second`."""
    with served(azurite) as running:
        for name in ("first", "second"):
            running.databricks.add_pipeline(f"id-of-{name}", name)
        running.post("/api/jobs/discover")
        running.run("id-of-first")
        running.post(f"{running.run('id-of-second')}/abandon")
        yield running


@pytest.fixture
def tab(browser: Browser, app: ServedApp) -> Iterator[Tab]:
    with open_tab(browser, app.base_url) as opened:
        yield opened


@pytest.mark.parametrize("query", ["text=RUNABANDONED", "pipeline=id-of-sec", "pipeline=Second"])
def test_a_run_is_found_by_the_code_of_its_error_and_by_the_id_or_the_name_of_its_pipeline(
    tab: Tab, query: str
) -> None:
    page = tab.open(f"#/runs?{query}")
    expect(page.locator("#found")).to_have_text("1 of 2 runs that were searched matches")
    expect(_rows(page)).to_contain_text("second")


def test_runs_that_were_given_up_are_searched_for_among_those_that_the_app_finds(tab: Tab) -> None:
    page = tab.open("#/runs?status=Unknown&active=false")
    expect(page.locator("#found")).to_have_text("1 of 2 runs that were searched matches")
    page = tab.open("#/runs?status=Unknown")
    expect(_rows(page)).to_have_count(2)
    expect(page.get_by_label("Status").locator("option:checked")).to_have_text("Unknown, both")


def test_the_counts_are_of_the_pipeline_that_the_list_is_filtered_by(tab: Tab) -> None:
    page = tab.open("#/runs?pipelineId=id-of-second")
    expect(page.locator(".counts .lost .number")).to_have_text("1")
    expect(page.locator(".counts .waiting .number")).to_have_text("0")


def test_a_count_that_is_chosen_again_shows_all_runs_and_clearing_the_filters_keeps_the_hours(tab: Tab) -> None:
    page = tab.open("#/runs?hours=1")
    tile = page.locator(".counts .lost a")
    tile.click()
    expect(tile).to_have_attribute("aria-current", "true")
    expect(_rows(page)).to_have_count(1)
    tile.click()
    expect(_rows(page)).to_have_count(2)
    assert page.url.endswith("#/runs?hours=1")
    page.get_by_label("Status").select_option("lost")
    page.get_by_role("link", name="Clear filters").click()
    expect(_rows(page)).to_have_count(2)
    assert page.url.endswith("#/runs?hours=1")


def test_a_page_behind_the_oldest_run_says_so(tab: Tab) -> None:
    nothing: dict[str, object] = {"items": [], "continuation": None}
    tab.page.route("**/api/runs?*continuation=x*", lambda route: route.fulfill(json=nothing))
    page = tab.open("#/runs?after=x")
    expect(page.get_by_text("There is no older run.")).to_be_visible()


def test_an_app_with_one_workspace_offers_no_choice_of_workspaces(tab: Tab) -> None:
    page = tab.open()
    expect(page.locator("#pipelines option")).to_have_count(2)
    expect(page.get_by_label("Workspace")).to_have_count(0)


def test_a_click_on_a_row_opens_its_run_unless_text_is_marked(tab: Tab) -> None:
    page = tab.open()
    message = _rows(page).filter(has_text="second").locator(".message")
    message.evaluate("cell => getSelection().selectAllChildren(cell)")
    message.evaluate("cell => cell.click()")
    page.wait_for_timeout(100)
    assert page.evaluate("location.hash") == ""
    page.evaluate("getSelection().removeAllRanges()")
    message.evaluate("cell => cell.click()")
    expect(page.locator(".big .badge")).to_have_text("Given up (Unknown)")


def test_what_is_typed_while_a_filter_is_applied_is_kept(tab: Tab) -> None:
    page = tab.open()
    field = page.get_by_label("Text", exact=True)
    field.evaluate(
        """async field => {
            field.value = "run";
            field.dispatchEvent(new Event("input"));
            for (let turn = 0; turn < 9; turn += 1) await null;  // the page notes what is typed
            field.dispatchEvent(new Event("change"));  // applies it: the address changes after this script
            field.value = "runa";
            field.dispatchEvent(new Event("input"));
        }"""
    )
    expect(page.locator("#found")).to_contain_text("searched")
    tab.pass_time(1)
    expect(page).to_have_url(re.compile(r"text=runa$"))
    expect(field).to_have_value("runa")


def test_the_drawing_says_in_words_what_it_shows_with_times_and_patterns(tab: Tab) -> None:
    page = tab.open("#/runs?hours=1")
    counts = "2 runs of 2 pipelines, 1 Waiting (Unknown), 1 Given up (Unknown)"
    drawing = page.get_by_role("img", name=f"Timeline of the last hour: {counts}")
    expect(drawing.locator("text").first).to_have_text(re.compile(r"^\d\d:[0-5][05]$"))
    patterns = drawing.locator("pattern").evaluate_all(
        "all => all.map(one => one.innerHTML + one.outerHTML.split('>')[0])"
    )
    assert len({re.sub(r"ink-\w+|stroke-\w+|fill-\w+", "", pattern) for pattern in patterns}) == 6


def test_a_bar_begins_with_its_run_and_is_never_too_narrow_to_see(tab: Tab) -> None:
    page = tab.open("#/runs?hours=24")
    bars = page.locator(".bar")
    expect(bars).to_have_count(2)
    width = float(page.locator(".plot svg").get_attribute("width") or 0)
    for bar in bars.all():
        assert float(bar.get_attribute("width") or 0) >= 4
        assert width - 6 < float(bar.get_attribute("x") or 0) <= width, "the runs began just now"


def test_the_timeline_is_as_new_as_the_list(tab: Tab, app: ServedApp) -> None:
    app.databricks.add_pipeline("id-of-third", "third")
    run = app.run("id-of-third")
    page = tab.open()
    bar = page.locator(f"[data-run$='{run.removeprefix('/api/runs/')}']")
    expect(bar).to_have_attribute("fill", "url(#fill-waiting)")
    app.databricks.set_state("id-of-third", None, "FAILED")
    app.fire("sweep_runs")
    tab.pass_time(6)
    expect(bar).to_have_attribute("fill", "url(#fill-failed)")
    expect(page.locator(".counts .failed .number")).to_have_text("1")
