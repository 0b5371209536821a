"""What one line of the event log, and one phase, shows: its exact time, its attempt, and nothing of another line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from playwright.sync_api import Browser, Locator, expect

from tests.functions.app import ServedApp
from tests.page.browser import NARROW, Tab, open_tab


def _line(time: str, message: str, event_type: str = "flow_progress", **more: object) -> dict[str, object]:
    return {"time": time, "level": "INFO", "eventType": event_type, "message": message, "errors": [], **more}


def _open(tab: Tab, run_id: str, lines: Sequence[Mapping[str, object]]) -> Locator:
    """Open the run, with this event log. Returns the part of the page that shows its progress."""
    tab.page.route("**/events*", lambda route: route.fulfill(json={"items": lines, "continuation": None}))
    tab.page.route("**/events?*", lambda route: route.fulfill(json={"items": lines, "continuation": None}))
    page = tab.open(f"#/runs/{run_id}")
    return page.locator("section", has=page.get_by_role("heading", name="Progress"))


def _started(app: ServedApp) -> str:
    return str(app.start(app.databricks.add_pipeline()).json["runId"])


def test_lines_and_phases_of_another_day_have_their_seconds(tab: Tab, app: ServedApp) -> None:
    lines = [
        _line("2025-11-27T12:00:20Z", "Update 1 is RUNNING.", "update_progress"),
        _line("2025-11-27T12:00:05Z", "Update 1 started by API_CALL.", "create_update"),
    ]
    progress = _open(tab, _started(app), lines)
    expect(progress.locator(".when")).to_have_text(["27 Nov 2025, 13:00:20", "27 Nov 2025, 13:00:05"])
    expect(progress.locator("tbody td:nth-child(2)")).to_have_text(["27 Nov 2025, 13:00:05", "27 Nov 2025, 13:00:20"])


def test_lines_that_differ_in_anything_and_lines_that_are_equal_are_all_shown_once(tab: Tab, app: ServedApp) -> None:
    at = "2026-11-27T12:00:05Z"
    first = [{"className": "A", "message": "first"}]
    second = [{"className": "B", "message": "second"}]
    lines = [_line(at, "same", errors=first), _line(at, "same", errors=second), _line(at, "same", level="WARN")]
    lines += [_line(at, "same"), _line(at, "same")]
    progress = _open(tab, _started(app), lines)
    expect(progress.get_by_role("listitem")).to_have_count(5)
    expect(progress.locator(".reason")).to_have_text(["A: first", "B: second"])
    tab.pass_time(6)
    expect(progress.get_by_text("Updated 0 s ago")).to_be_visible()
    expect(progress.get_by_role("listitem")).to_have_count(5)


def test_phases_are_drawn_on_a_narrow_screen_too(browser: Browser, app: ServedApp) -> None:
    lines = [
        _line("2025-11-27T12:00:20Z", "Update 1 is SETTING_UP_TABLES.", "update_progress"),
        _line("2025-11-27T12:00:10Z", "Update 1 is INITIALIZING.", "update_progress"),
        _line("2025-11-27T12:00:05Z", "Update 1 started by API_CALL.", "create_update"),
    ]
    with open_tab(browser, app.base_url, viewport=NARROW) as tab:
        progress = _open(tab, _started(app), lines)
        expect(progress.get_by_role("rowheader")).to_have_text(["CREATED", "INITIALIZING", "SETTING_UP_TABLES"])
        widths = progress.locator(".share svg").evaluate_all("all => all.map(it => it.getBoundingClientRect().width)")
        assert len(widths) == 3
        assert min(widths) > 250
        assert tab.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


def test_phases_of_several_attempts_say_which_update_they_are_of(tab: Tab, app: ServedApp) -> None:
    """The network of the browser plays Databricks' automatic retry."""
    run_id = _started(app)
    ids = ["11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"]

    def attempt(update_id: str) -> dict[str, object]:
        return {"updateId": update_id, "state": None, "cause": None, "createdAt": None}

    run = {**app.get(f"/api/runs/{run_id}").json, "attempts": [attempt(update_id) for update_id in ids]}
    tab.page.route(f"**/runs/{run_id.replace(':', '%3A')}*", lambda route: route.fulfill(json=run))
    lines = [
        _line("2025-11-27T12:00:20Z", "Update 222222 is RUNNING.", "update_progress"),
        _line("2025-11-27T12:00:15Z", "Update 222222 started by RETRY_ON_FAILURE.", "create_update"),
        _line("2025-11-27T12:00:10Z", "Update 111111 is FAILED.", "update_progress"),
        _line("2025-11-27T12:00:05Z", "Update 111111 started by API_CALL.", "create_update"),
    ]
    phases = _open(tab, run_id, lines).get_by_role("rowheader")
    expect(phases).to_have_text(["CREATED update 111111", "CREATED update 222222", "RUNNING update 222222"])
