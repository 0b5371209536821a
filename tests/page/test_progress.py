"""The event log of a run: bounded at its oldest end, without silent gaps, and with all phases of a long update.

The network of the browser plays the app's answers about events, so that a test needs no thousands of events.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.functions.app import ServedApp
from tests.page.browser import Tab

BEGAN = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)


@dataclass
class Log:
    """An event log, oldest line first, and how the app answers about it."""

    lines: list[dict[str, object]] = field(default_factory=list)
    page_size: int = 100
    refusals: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    """Statuses and headers by kind of request: "newest" or "older"."""
    asked: list[int] = field(default_factory=list)
    """The number of newer lines that each request leaves out."""

    def add(self, message: str, event_type: str = "flow_progress") -> None:
        at = (BEGAN + timedelta(seconds=len(self.lines))).isoformat().replace("+00:00", "Z")
        line: dict[str, object] = {
            "time": at,
            "level": "INFO",
            "eventType": event_type,
            "message": message,
            "errors": [],
        }
        self.lines.append(line)

    def add_many(self, count: int) -> None:
        for _ in range(count):
            self.add(f"line {len(self.lines)}")

    def answer(self, route: Route) -> None:
        """A continuation is the number of lines that are older than the answers before it."""
        given = parse_qs(urlsplit(route.request.url).query).get("continuation")
        refusal = self.refusals.get("older" if given else "newest")
        if refusal is not None:
            route.fulfill(status=refusal[0], headers=refusal[1], json={"detail": "Not now."})
            return
        end = int(given[0]) if given else len(self.lines)
        self.asked.append(len(self.lines) - end)
        begin = max(0, end - self.page_size)
        items = self.lines[begin:end][::-1]
        route.fulfill(json={"items": items, "continuation": str(begin) if begin else None})


@pytest.fixture
def log(tab: Tab) -> Log:
    log = Log()
    log.add("Update 1 started by API_CALL.", "create_update")
    tab.page.route("**/events?*", log.answer)
    tab.page.route("**/events", log.answer)
    return log


def _open(tab: Tab, app: ServedApp, *, is_finished: bool = False) -> Locator:
    """Open a run, and return the part of the page that shows its progress."""
    pipeline_id = app.databricks.add_pipeline()
    run_id = app.start(pipeline_id).json["runId"]
    if is_finished:
        app.databricks.set_state(pipeline_id, None, "COMPLETED")
        app.fire("sweep_runs")
    page = tab.open(f"#/runs/{run_id}")
    progress = page.locator("section", has=page.get_by_role("heading", name="Progress"))
    expect(progress).to_be_visible()
    return progress


def test_a_log_that_grows_beyond_the_bound_drops_its_oldest_lines(tab: Tab, app: ServedApp, log: Log) -> None:
    log.page_size = 1_000
    log.add_many(1_999)
    progress = _open(tab, app)
    items = progress.get_by_role("listitem")
    expect(items).to_have_count(2_000)
    log.add("Update 1 is RUNNING.", "update_progress")
    log.add("the newest")
    tab.pass_time(6)
    expect(items.first).to_contain_text("the newest")
    expect(items).to_have_count(2_000)
    expect(items.last).to_contain_text("line 2")
    expect(progress.get_by_role("rowheader")).to_have_text(["CREATED", "RUNNING"])
    expect(progress).to_contain_text("These are the newest 2000 lines.")


def test_lines_of_several_answers_since_the_last_look_leave_no_gap(tab: Tab, app: ServedApp, log: Log) -> None:
    progress = _open(tab, app)
    items = progress.get_by_role("listitem")
    expect(items).to_have_count(1)
    log.add_many(250)
    tab.pass_time(6)
    expect(items).to_have_count(251)
    expect(progress).not_to_contain_text("Lines are left out here")
    log.asked.clear()
    log.add_many(3)
    tab.pass_time(6)
    expect(items).to_have_count(254)
    assert log.asked == [0], "the first answer holds a known line, so no other is asked for"


def test_more_lines_than_a_look_reads_are_a_gap_that_is_marked(tab: Tab, app: ServedApp, log: Log) -> None:
    progress = _open(tab, app)
    items = progress.get_by_role("listitem")
    expect(items).to_have_count(1)
    log.add_many(500)
    tab.pass_time(6)
    expect(items).to_have_count(302)
    expect(items.nth(299)).to_contain_text("line 201")
    expect(items.nth(300)).to_contain_text("Lines are left out here")
    expect(items.nth(301)).to_contain_text("create_update")


def test_the_first_phases_of_a_long_update_are_shown_and_the_search_for_them_is_bounded(
    tab: Tab, app: ServedApp, log: Log
) -> None:
    log.add("Update 1 is INITIALIZING.", "update_progress")
    log.add_many(1_000)
    log.add("Update 1 is RUNNING.", "update_progress")
    phases = (progress := _open(tab, app)).get_by_role("rowheader")
    expect(phases).to_have_text(["CREATED", "INITIALIZING", "RUNNING"])
    expect(progress.get_by_role("listitem")).to_have_count(300)
    expect(progress).not_to_contain_text("Earlier phases")
    log.add_many(1_000)
    log.asked.clear()
    tab.page.reload()
    expect(progress).to_contain_text("Earlier phases are not known here.")
    expect(phases).to_have_text(["RUNNING"])
    assert len(log.asked) == 13


def test_no_line_found_so_far_is_not_told_as_no_line_at_all(tab: Tab, app: ServedApp, log: Log) -> None:
    of_others = re.compile("/events")
    tab.page.route(of_others, lambda route: route.fulfill(json={"items": [], "continuation": "1"}))
    progress = _open(tab, app, is_finished=True)
    expect(progress).to_contain_text("No line was found so far.")
    tab.page.unroute(of_others)
    progress.get_by_role("button", name="Load older lines").click()
    expect(progress.get_by_role("listitem")).to_contain_text("create_update")


def test_older_lines_that_must_wait_say_so_beside_their_button(tab: Tab, app: ServedApp, log: Log) -> None:
    log.add_many(1_000)
    progress = _open(tab, app, is_finished=True)
    button = progress.get_by_role("button", name="Load older lines")
    expect(progress.get_by_role("listitem")).to_have_count(300)
    log.refusals["older"] = (429, {"Retry-After": "40"})
    button.click()
    expect(progress.get_by_role("alert")).to_contain_text("Not now. Press again in 40 s.")
    expect(progress).not_to_contain_text("Next try")
    expect(button).to_be_disabled()
    log.refusals.clear()
    tab.pass_time(41)
    button.click()
    expect(progress.get_by_role("listitem")).to_have_count(400)
    expect(progress.get_by_role("alert")).to_have_count(0)


def test_an_expired_continuation_begins_the_log_again(tab: Tab, app: ServedApp, log: Log) -> None:
    log.add_many(1_000)
    progress = _open(tab, app, is_finished=True)
    button = progress.get_by_role("button", name="Load older lines")
    button.click()
    expect(progress.get_by_role("listitem")).to_have_count(400)
    tab.page.route("**/events?*continuation=601*", lambda route: route.fulfill(status=410, json={}), times=1)
    log.asked.clear()
    button.click()
    expect(progress.get_by_role("listitem")).to_have_count(300)
    expect(progress.get_by_role("alert")).to_have_count(0)
    button.click()
    expect(progress.get_by_role("listitem")).to_have_count(400)
