"""Long names and hostile directions of text: a dialog shows all of it, and no text turns its neighbours around."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, ViewportSize, expect

from tests.functions.app import ServedApp, served
from tests.page.browser import NARROW, WIDE, Tab, open_tab

LONG = "a_name_without_any_space_" * 8
TURNED = "\u202eorders"
"""Begins with RIGHT-TO-LEFT OVERRIDE, which turns around all text that follows, up to the end of its part."""


@pytest.mark.parametrize("viewport", [NARROW, WIDE], ids=["narrow", "wide"])
def test_no_dialog_is_wider_than_its_frame(browser: Browser, azurite: str, viewport: ViewportSize) -> None:
    with (
        served(azurite, POLYSYNC_START_OPTIONS="full_refresh_selection") as app,
        open_tab(browser, app.base_url, viewport=viewport) as tab,
    ):
        pipeline_id = app.databricks.add_pipeline(name=LONG)
        app.post("/api/jobs/discover")
        page = tab.open(f"#/jobs/{pipeline_id}")
        page.get_by_role("button", name="Start …").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Yes: empty the tables").check()
        _check_fits(dialog)
        dialog.get_by_label("To confirm").fill(LONG)
        app.start(pipeline_id)
        dialog.get_by_role("button", name="Start the full refresh").click()
        expect(dialog.get_by_role("alert")).to_be_visible()
        _check_fits(dialog)
        tab.open(f"#/runs/{pipeline_id}:{app.databricks.updates_of(pipeline_id)[0].update_id}")
        page.get_by_role("button", name="Cancel this run …").click()
        _check_fits(dialog)


def _check_fits(dialog: Locator) -> None:
    expect(dialog).to_be_visible()
    assert dialog.evaluate("it => it.scrollWidth - it.clientWidth") == 0
    frame = dialog.bounding_box()
    assert frame is not None
    parts = dialog.locator("button, label, input, textarea, p, kbd").evaluate_all(
        "all => all.map(it => it.getBoundingClientRect()).map(box => [box.left, box.right])"
    )
    assert min(left for left, _ in parts) >= frame["x"]
    assert max(right for _, right in parts) <= frame["x"] + frame["width"]


def _left_to_right(text: str, element: Locator) -> bool:
    """Whether the letters of this text, which stands in the element, go from the left to the right."""
    found: bool = element.evaluate(
        """(element, text) => {
            const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                const at = walker.currentNode.data.indexOf(text);
                if (at < 0) continue;
                const x = (offset) => {
                    const range = document.createRange();
                    range.setStart(walker.currentNode, at + offset);
                    range.setEnd(walker.currentNode, at + offset + 1);
                    return range.getBoundingClientRect().left;
                };
                return x(0) < x(1);
            }
            throw new Error(`no text ${text}`);
        }""",
        text,
    )
    return found


def test_a_name_that_turns_text_around_turns_only_itself(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name=TURNED)
    app.post("/api/jobs/discover")
    app.start(pipeline_id)
    page = tab.open("#/runs")
    row = page.locator("table.runs tbody tr", has_text="orders").first
    expect(row).to_be_visible()
    update_id = app.databricks.updates_of(pipeline_id)[0].update_id
    assert _left_to_right(update_id[:8], row)


def test_an_error_that_turns_text_around_leaves_its_message_and_its_neighbours_readable(
    tab: Tab, app: ServedApp
) -> None:
    pipeline_id = app.databricks.add_pipeline()
    run_id = app.start(pipeline_id).json["runId"]
    errors = [{"className": TURNED, "message": "first message"}, {"className": None, "message": "alone"}]
    line = {"time": "2026-11-27T08:00:00Z", "level": "ERROR", "eventType": "e", "message": TURNED, "errors": errors}
    tab.page.route("**/events?*", lambda route: route.fulfill(json={"items": [line], "continuation": None}))
    reason = tab.open(f"#/runs/{run_id}").locator(".line .reason")
    expect(reason).to_have_text(f"{TURNED}: first message\n\nalone", use_inner_text=True)
    assert _left_to_right("first message", reason)


def test_a_notice_with_a_text_that_turns_around_keeps_its_advice_readable(tab: Tab) -> None:
    tab.page.route("**/api/jobs?*", lambda route: route.fulfill(status=400, json={"detail": TURNED}))
    told = tab.open("#/jobs").get_by_role("alert").first
    expect(told).to_contain_text("Correct what is named")
    assert _left_to_right("Correct what is named", told)
