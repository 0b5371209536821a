"""The search of a run's event log for the beginning of its update: once, and with its failures in plain sight."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
from playwright.sync_api import Route, expect

from tests.functions.app import ServedApp
from tests.page.browser import PATIENCE_MS, Tab
from tests.page.event_log import Log, open_progress

pytestmark = pytest.mark.slow


def _refuse(status: int, route: Route) -> None:
    route.fulfill(status=status, json={})


def _wait_until(tab: Tab, is_reached: Callable[[], bool]) -> None:
    for _ in range(PATIENCE_MS // 50):
        if is_reached():
            return
        tab.page.wait_for_timeout(50)
    raise AssertionError("it was not reached in time")


def test_the_beginning_is_sought_once_also_while_no_line_was_found(tab: Tab, app: ServedApp, log: Log) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(json={"items": [], "continuation": "1"})

    tab.page.route(re.compile("/events"), answer)
    open_progress(tab, app)
    for count in (13, 16, 19):
        _wait_until(tab, lambda: len(asked) >= count)  # noqa: B023 - called at once
        tab.page.wait_for_timeout(200)
        assert len(asked) == count, "the first look and its search are 13 requests, a later look is 3"
        tab.pass_time(6)


def test_where_the_search_fails_the_older_lines_lead_to_the_beginning(tab: Tab, app: ServedApp, log: Log) -> None:
    log.add_many(350)
    log.add("Update 1 is RUNNING.", "update_progress")
    tab.page.route("**/events?*continuation=52*", lambda route: route.fulfill(status=500), times=1)
    progress = open_progress(tab, app, is_finished=True)
    expect(progress).to_contain_text("Earlier phases are not known here.")
    progress.get_by_role("button", name="Load older lines").click()
    expect(progress.get_by_role("rowheader")).to_have_text(["CREATED", "RUNNING"])
    expect(progress).not_to_contain_text("Earlier phases")


def test_a_search_of_a_log_that_began_again_does_not_count_for_the_new_one(tab: Tab, app: ServedApp, log: Log) -> None:
    log.add_many(350)
    log.add("Update 1 is RUNNING.", "update_progress")
    searches: list[Route] = []
    tab.page.route("**/events?*continuation=52*", lambda route: searches.append(route), times=1)
    progress = open_progress(tab, app, is_finished=True)
    button = progress.get_by_role("button", name="Load older lines")
    expect(button).to_be_enabled()
    for status in (500, 410):  # first for the search of the new log, which is the later handler's turn
        tab.page.route("**/events?*continuation=52*", partial(_refuse, status), times=1)
    with tab.page.expect_response(lambda answer: answer.status == 500):
        button.click()
    tab.page.wait_for_timeout(200)
    expect(progress).to_contain_text("Earlier phases are not known here.")
    with tab.page.expect_request_finished(lambda request: "continuation=52" in request.url):
        searches[0].fulfill(json={"items": [], "continuation": None})
    tab.page.wait_for_timeout(200)
    expect(progress).to_contain_text("Earlier phases are not known here.")


def test_the_log_of_a_finished_run_is_read_once(tab: Tab, app: ServedApp, log: Log) -> None:
    progress = open_progress(tab, app, is_finished=True)
    expect(progress.get_by_role("listitem")).to_have_count(1)
    tab.pass_time(120)
    tab.page.wait_for_timeout(200)
    assert log.asked == [0]


def test_a_search_ends_with_its_view(tab: Tab, app: ServedApp, log: Log) -> None:
    log.add_many(1_000)
    held: list[Route] = []
    tab.page.route("**/events?*continuation=701*", lambda route: held.append(route), times=1)
    progress = open_progress(tab, app, is_finished=True)
    _wait_until(tab, lambda: len(held) == 1)
    tab.page.get_by_role("link", name="Jobs").first.click()
    expect(progress).to_have_count(0)
    log.asked.clear()
    with tab.page.expect_request_finished(lambda request: "continuation=701" in request.url):
        log.answer(held[0])
    tab.page.wait_for_timeout(200)
    assert len(log.asked) == 1
