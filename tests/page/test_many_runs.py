"""A workspace with a history of thousands of runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from local.rig import Rig
from local.seeding import delete_row, put_history, put_rows
from polysync_core.adapters.clock import Clock
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import RUN, encode_active
from polysync_core.values.ids import RunId
from polysync_core.values.run import Attempt, Run
from tests.functions.app import ServedApp, served
from tests.page.browser import Tab, open_tab

SEEDED = 2000
PAINTED_SECONDS = 5.0
"""The page shows 2,000 runs within 2 s on an idle machine. Two busy cores may take longer."""


def _rows(page: Page) -> Locator:
    return page.locator("table.runs tbody tr")


@pytest.fixture(scope="module")
def long_history(azurite: str) -> Iterator[ServedApp]:
    """An app with 2,000 finished runs of 500 pipelines in the last two days. Every tenth one failed."""
    with served(azurite) as running:
        rig = Rig(azurite, {running.name: running.databricks.url}, running.databricks, Clock())
        put_history(rig, SEEDED, over=timedelta(days=2), failed_every=10)
        yield running


@pytest.fixture
def rig(long_history: ServedApp, azurite: str) -> Rig:
    return Rig(azurite, {long_history.name: long_history.databricks.url}, long_history.databricks, Clock())


@pytest.fixture
def long_tab(browser: Browser, long_history: ServedApp) -> Iterator[Tab]:
    with open_tab(browser, long_history.base_url) as opened:
        yield opened


def test_thousands_of_runs_come_in_pages_and_are_never_all_in_the_page(long_tab: Tab) -> None:
    page = long_tab.open()
    expect(_rows(page)).to_have_count(50)
    first = _rows(page).first.inner_text()
    page.get_by_role("link", name="Older runs").click()
    expect(_rows(page).first).not_to_have_text(first)
    expect(_rows(page)).to_have_count(50)
    page.get_by_label("Status").select_option("success")
    expect(page).to_have_url(re.compile(r"#/runs\?status=Success$"))
    page.go_back()
    page.get_by_role("link", name="Newest runs").click()
    expect(_rows(page)).to_have_count(50)
    assert page.locator("svg .bar").count() < SEEDED


def test_a_search_goes_on_until_it_has_found_a_page(long_tab: Tab) -> None:
    page = long_tab.open("#/runs?pipeline=p499")
    expect(page.get_by_text("2 of 1000 runs that were searched match")).to_be_visible()
    expect(_rows(page)).to_have_count(2)
    page.get_by_role("link", name="Search older runs").click()
    expect(_rows(page)).to_have_count(2)
    expect(page.get_by_role("link", name="Newest runs")).to_be_visible()


def test_a_count_of_the_last_hours_leads_to_a_list_of_the_same_runs(long_tab: Tab) -> None:
    page = long_tab.open("#/runs?hours=1")
    number = page.locator(".counts .failed .number")
    expect(number).to_have_text(re.compile("^[1-9]"))
    page.locator(".counts .failed a").click()
    expect(_rows(page)).to_have_count(int(number.inner_text()))
    few = number.inner_text()
    page.get_by_role("link", name="6 h", exact=True).click()
    expect(page.locator(".chip")).to_contain_text("Ended in the last 6 h")
    expect(page.locator("#found")).to_have_text(re.compile(rf"^(?!{few} )\d+ runs$"))
    expect(number).to_have_text(str(_rows(page).count()))
    page.get_by_role("link", name="24 h", exact=True).click()
    expect(page.locator(".counts .success .number")).to_have_text(re.compile(r"^\d{3}$"))


def test_an_active_pipeline_is_always_in_the_timeline(long_tab: Tab, long_history: ServedApp) -> None:
    long_history.start(long_history.databricks.add_pipeline(name="active all the time"))
    page = long_tab.open("#/runs?hours=24")
    lanes = page.locator(".lanes li")
    expect(page.get_by_role("button", name="Show all")).to_be_visible()
    expect(lanes.last).to_contain_text(re.compile("active all the time|^[0-9a-f-]{36}$"))
    expect(lanes).to_have_count(13)


@pytest.mark.parametrize("days", [0.4, 60])
def test_a_long_run_that_failed_just_now_is_in_the_timeline_and_counted(long_tab: Tab, rig: Rig, days: float) -> None:
    name = f"for-{int(days * 24)}-hours"
    _put_run(rig, name, timedelta(days=days), timedelta(minutes=3))
    page = long_tab.open(f"#/runs?hours=1&pipelineId={name}")
    bar = page.locator(f"[data-run$='/{name}:u']")
    expect(page.locator(".lanes").get_by_role("link", name=name)).to_be_visible()
    expect(bar).to_have_attribute("fill", "url(#fill-failed)")
    count = page.locator(".counts .failed")
    expect(count.locator(".number")).to_have_text("1")
    count.get_by_role("link").click()
    expect(_rows(page)).to_have_count(1)
    long_tab.pass_time(31)
    expect(page.locator(".live").first).to_have_text(re.compile("Updated [0-2] s ago"))
    expect(bar).to_have_count(1)


def test_a_run_that_ended_before_the_last_hours_is_not_in_the_timeline(long_tab: Tab, rig: Rig) -> None:
    _put_run(rig, "ended-before", timedelta(minutes=85), timedelta(minutes=75))
    _put_run(rig, "ended-within", timedelta(minutes=85), timedelta(minutes=45))
    page = long_tab.open("#/runs?hours=1")
    lanes = page.locator(".lanes")
    expect(lanes.get_by_role("link", name="ended-within")).to_be_visible()
    expect(lanes.get_by_role("link", name="ended-before")).to_have_count(0)


def test_a_long_run_is_followed_to_its_end_in_the_timeline_however_many_others_end(long_tab: Tab, rig: Rig) -> None:
    """The browser's network lets the app answer with one ended run of each status."""
    names = ("followed", "vanished")
    for name in names:
        _put_run(rig, name, timedelta(hours=30), None)
    ended = re.compile(r"status=\w+&until=")
    long_tab.page.route(ended, lambda route: route.continue_(url=route.request.url.replace("limit=200", "limit=1")))
    page = long_tab.open("#/runs?hours=1")
    bar = page.locator("[data-run$='/followed:u']")
    expect(bar).to_have_attribute("fill", "url(#fill-running)")
    expect(page.locator("[data-run$='/vanished:u']")).to_have_count(1)
    for name in names:
        delete_row(rig, row_keys.active(RunId(name, "u")))
        _put_run(rig, name, timedelta(hours=31), timedelta(seconds=1))
    page.route("**/api/runs/vanished*", lambda route: route.fulfill(status=404, json={}))
    long_tab.pass_time(31)
    expect(bar).to_have_attribute("fill", "url(#fill-failed)")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_marks_of_a_job_are_right_however_many_other_runs_there_are(
    long_tab: Tab, long_history: ServedApp, rig: Rig
) -> None:
    databricks = long_history.databricks
    overtaken, quiet = (databricks.add_pipeline(name=name) for name in ("overtaken", "quiet"))
    long_history.post("/api/jobs/discover")
    _put_run(rig, quiet, timedelta(days=3), timedelta(days=3))
    long_history.run(overtaken)
    page = long_tab.open("#/jobs")
    marks = page.locator("table.jobs tbody tr").filter(has_text="overtaken").locator(".mark")
    expect(marks).to_have_class("mark waiting")
    put_history(rig, 250, over=timedelta(milliseconds=1), failed_every=10)
    databricks.set_state(overtaken, None, "COMPLETED")
    long_history.fire("sweep_runs")
    long_tab.pass_time(16)
    expect(marks).to_have_class("mark success")
    expect(page.locator("table.jobs tbody tr").filter(has_text="quiet").locator(".mark")).to_have_class("mark failed")


def _put_run(rig: Rig, pipeline_id: str, began: timedelta, ended: timedelta | None, *, update_id: str = "u") -> None:
    """Write a run that failed, or one that is active. Its beginning and its end are given as the time since then."""
    now = rig.clock.now()
    state = "RUNNING" if ended is None else "FAILED"
    run = Run(
        run_id=RunId(pipeline_id, update_id),
        full_refresh=False,
        accepted_at=now - began,
        seen_at=now - (ended or timedelta(0)),
        updated_at=now - (ended or timedelta(0)),
        started_at=now - began,
        finished_at=None if ended is None else now - ended,
        attempts=(Attempt(update_id=update_id, state=state, created_at=now - began),),
    )
    rows: list[tuple[str, Mapping[str, object]]] = [(row_keys.run(run.run_id), RUN.encode(run))]
    if ended is None:
        rows.append((row_keys.active(run.run_id), encode_active(run)))
    put_rows(rig, [*rows, (row_keys.recent(run.run_id, run.accepted_at), RUN.encode(run))])


def test_the_list_paints_soon_after_its_address_was_opened(long_tab: Tab) -> None:
    page = long_tab.open("#/health")
    expect(page.get_by_role("heading", level=1)).to_have_text("Health")
    took = page.evaluate(
        """async () => {
            const began = performance.now();
            location.hash = '#/runs';
            while (!document.querySelector('table.runs tbody tr')) await new Promise(requestAnimationFrame);
            return (performance.now() - began) / 1000;
        }"""
    )
    assert took < PAINTED_SECONDS


@pytest.mark.slow
def test_more_runs_than_are_read_at_once_are_said_to_be_more(browser: Browser, azurite: str) -> None:
    with served(azurite) as app, open_tab(browser, app.base_url) as tab:
        rig = Rig(azurite, {app.name: app.databricks.url}, app.databricks, Clock())
        put_history(rig, 2100, over=timedelta(minutes=50), failed_every=10)
        app.start(app.databricks.add_pipeline(name="the only active one"))
        page = tab.open("#/runs?hours=1")
        expect(page.locator(".counts .failed .number")).to_have_text(re.compile(r"^≥ \d\d+$"))
        expect(page.locator(".counts .waiting .number")).to_have_text("1")
        expect(page.get_by_text("The oldest are not drawn.")).to_be_visible()


def test_each_job_gets_its_last_five_runs_however_old(long_tab: Tab, long_history: ServedApp, rig: Rig) -> None:
    databricks = long_history.databricks
    often = databricks.add_pipeline(name="often and long ago")
    rare = [databricks.add_pipeline(name=f"rare {number:02}") for number in range(25)]
    long_history.post("/api/jobs/discover")
    for days in range(3, 10):
        _put_run(rig, often, timedelta(days=days), timedelta(days=days), update_id=f"u{days}")
    for pipeline_id in rare:
        _put_run(rig, pipeline_id, timedelta(days=3), timedelta(days=3))
    long_history.run(often)
    page = long_tab.open("#/jobs?name=often")
    marks = page.locator("table.jobs tbody .mark")
    expect(marks).to_have_count(5)
    page = long_tab.open("#/jobs?name=rare")
    expect(marks).to_have_count(20)
    assert page.get_by_text("no recent run").count() == 0, "the other five are not known yet"
    long_tab.pass_time(3)
    expect(marks).to_have_count(25, timeout=8_000)  # before the usual next time


def test_the_marks_of_a_job_begin_anew_after_more_runs_than_are_read_at_once(browser: Browser, azurite: str) -> None:
    with served(azurite) as app, open_tab(browser, app.base_url) as tab:
        rig = Rig(azurite, {app.name: app.databricks.url}, app.databricks, Clock())
        pipeline_id = app.databricks.add_pipeline(name="missed")
        app.post("/api/jobs/discover")
        _put_run(rig, pipeline_id, timedelta(days=9), timedelta(days=9), update_id="before")
        marks = tab.open("#/jobs").locator("table.jobs tbody .mark")
        expect(marks).to_have_count(1)
        _put_run(rig, pipeline_id, timedelta(0), timedelta(0), update_id="missed")
        put_history(rig, 1001, over=timedelta(milliseconds=1), failed_every=10)
        tab.pass_time(16)
        expect(marks).to_have_count(2)
