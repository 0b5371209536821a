"""The event log of a run: bounded at its oldest end, without silent gaps, and with all phases of a long update."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.functions.app import ServedApp
from tests.page.browser import Tab
from tests.page.event_log import Log, open_progress


@pytest.mark.slow
def test_a_log_that_grows_beyond_the_bound_drops_its_oldest_lines(tab: Tab, app: ServedApp, log: Log) -> None:
    log.page_size = 700
    log.add_many(2_199)
    progress = open_progress(tab, app)
    items = progress.get_by_role("listitem")
    expect(items).to_have_count(2_000)
    expect(items.last).to_contain_text("line 200")
    log.add("Update 1 is RUNNING.", "update_progress")
    log.add("the newest")
    tab.pass_time(6)
    expect(items.first).to_contain_text("the newest")
    expect(items).to_have_count(2_000)
    expect(items.last).to_contain_text("line 202")
    expect(progress.get_by_role("rowheader")).to_have_text(["CREATED", "RUNNING"])
    expect(progress).to_contain_text("These are the newest 2000 lines.")
    expect(progress.get_by_role("button", name="Load older lines")).to_have_count(0)


def test_lines_of_several_answers_since_the_last_look_leave_no_gap(tab: Tab, app: ServedApp, log: Log) -> None:
    progress = open_progress(tab, app)
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
    progress = open_progress(tab, app)
    items = progress.get_by_role("listitem")
    expect(items).to_have_count(1)
    log.add_many(500)
    tab.pass_time(6)
    expect(items).to_have_count(302)
    expect(items.nth(299)).to_contain_text("line 201")
    expect(items.nth(300)).to_contain_text("Lines are left out here")
    expect(items.nth(301)).to_contain_text("create_update")
    progress.get_by_label("Level").select_option("ERROR")
    expect(items).to_have_text(re.compile("Lines are left out here"))


def test_the_first_phases_of_a_long_update_are_shown_and_the_search_for_them_is_bounded(
    tab: Tab, app: ServedApp, log: Log
) -> None:
    log.add("Update 1 is INITIALIZING.", "update_progress")
    log.add_many(1_000)
    log.add("Update 1 is RUNNING.", "update_progress")
    phases = (progress := open_progress(tab, app)).get_by_role("rowheader")
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
    progress = open_progress(tab, app, is_finished=True)
    expect(progress).to_contain_text("No line was found so far.")
    tab.page.unroute(of_others)
    progress.get_by_role("button", name="Load older lines").click()
    expect(progress.get_by_role("listitem")).to_contain_text("create_update")


def test_older_lines_that_must_wait_say_so_beside_their_button(tab: Tab, app: ServedApp, log: Log) -> None:
    log.add_many(1_000)
    progress = open_progress(tab, app, is_finished=True)
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
    progress = open_progress(tab, app, is_finished=True)
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
