"""What several tests of the view of one run need."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.functions.app import ServedApp
from tests.page.browser import Tab


def badge(page: Page) -> Locator:
    return page.locator(".big .badge")


def see_state(tab: Tab, app: ServedApp, pipeline_id: str, state: str) -> None:
    """Databricks changes the state, the app sees it, and the tab asks the app again."""
    app.databricks.set_state(pipeline_id, None, state)
    app.fire("sweep_runs")
    tab.pass_time(5)


def open_run(tab: Tab, app: ServedApp, pipeline_id: str, body: object = None) -> Page:
    run_id = app.start(pipeline_id, body).json["runId"]
    page = tab.open(f"#/runs/{run_id}")
    expect(badge(page)).to_be_visible()
    return page
