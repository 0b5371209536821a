"""The focus stays where the reader works: on the button that was pressed, or on what came of it."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Locator, Route, expect

from local.entra import SimulatedEntra
from tests.functions.app import ServedApp, served
from tests.page.browser import Tab, open_tab


def _fail(route: Route) -> None:
    route.fulfill(status=503, json={"detail": "Not now."})


def _check_stays(tab: Tab, button: Locator, address: str) -> None:
    """Press the button by keyboard while calls of `address` are answered late, and badly. It keeps the focus."""
    held: list[Route] = []
    tab.page.route(address, lambda route: held.append(route))
    with tab.page.expect_request(address):
        button.press("Enter")
    expect(tab.page.locator(":focus")).to_have_attribute("aria-disabled", "true")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_timeout(100)
    assert len(held) == 1, "a second press sends nothing"
    _fail(held[0])
    expect(tab.page.get_by_text("Not now.").first).to_be_visible()
    expect(button).to_be_focused()
    expect(button).to_be_enabled()
    tab.page.unroute(address)


def test_a_failed_action_in_a_dialog_leaves_the_focus_on_its_button(tab: Tab, app: ServedApp) -> None:
    run_id = app.start(app.databricks.add_pipeline(name="focused")).json["runId"]
    page = tab.open(f"#/runs/{run_id}")
    page.get_by_role("button", name="Cancel this run …").click()
    button = page.get_by_role("dialog").locator("button.danger")
    _check_stays(tab, button, "**/cancel?*")


def test_a_failed_import_leaves_the_focus_on_its_button(tab: Tab) -> None:
    page = tab.open("#/jobs")
    _check_stays(tab, page.get_by_role("button", name=re.compile("^Import")), "**/discover*")


def test_what_a_job_offers_leaves_the_focus_on_its_button(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="of one job")
    app.post("/api/jobs/discover")
    page = tab.open(f"#/jobs/{pipeline_id}")
    _check_stays(tab, page.get_by_role("button", name="Sync parameters"), "**/sync?*")
    page.get_by_label("Value").select_option("no")
    store = page.get_by_role("button", name="Store", exact=True)
    _check_stays(tab, store, "**/full_refresh?*")
    store.press("Enter")
    expect(page.get_by_role("status").filter(has_text="full_refresh is stored")).to_be_visible()
    expect(store).to_be_focused()
    expect(store).to_be_disabled()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert "PUT" not in sent


def test_older_lines_that_do_not_come_leave_the_focus_on_their_button(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline()
    run_id = app.start(pipeline_id).json["runId"]
    app.databricks.set_state(pipeline_id, None, "COMPLETED")
    app.fire("sweep_runs")
    line = {"time": "2026-11-27T08:00:00Z", "level": "INFO", "eventType": "create_update", "message": "", "errors": []}
    tab.page.route("**/events?*", lambda route: route.fulfill(json={"items": [line], "continuation": None}))
    tab.page.route("**/events?*", lambda route: route.fulfill(json={"items": [], "continuation": "1"}), times=3)
    page = tab.open(f"#/runs/{run_id}")
    button = page.get_by_role("button", name=re.compile("^Load"))
    expect(page.locator(".phases")).to_be_visible()
    _check_stays(tab, button, "**/events?*continuation=*")


def test_a_sign_out_moves_the_focus_to_the_title(browser: Browser, azurite: str) -> None:
    with SimulatedEntra() as entra, served(azurite, entra) as app:
        entra.register_redirect(f"{app.base_url}/api/page")
        entra.sign_in_as(["Polysync.Read"])
        with open_tab(browser, app.base_url, key=None, origins={entra.url}) as tab:
            tab.open().get_by_role("button", name="Sign out").click()
            expect(tab.page.get_by_role("heading", name="You are not signed in")).to_be_focused()


def test_a_notice_that_is_closed_and_an_error_that_has_passed_leave_the_focus_on_the_title(tab: Tab) -> None:
    page = tab.open("#/jobs")
    title = page.get_by_role("heading", level=1)
    page.get_by_role("button", name="Import from Databricks").click()
    page.get_by_role("status").get_by_role("button", name="Close").press("Enter")
    expect(title).to_be_focused()
    page.locator(".brand").click()
    page.route("**/api/jobs?*", lambda route: route.fulfill(status=503))
    tab.pass_time(61)
    again = page.get_by_role("button", name="Try now")
    again.press("Enter")
    expect(again).to_be_focused()
    page.unroute("**/api/jobs?*")
    again.press("Enter")
    expect(again).to_have_count(0)
    expect(title).to_be_focused()
