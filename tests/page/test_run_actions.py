"""What an operator did is told as it was, and a run keeps its name and its way back."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from local.receiver import Receiver
from tests.functions.app import ServedApp
from tests.page.browser import NARROW, Tab, open_tab
from tests.page.runs import open_run, see_state


def test_a_cancel_of_a_run_that_has_ended_meanwhile_says_so(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="too late")
    app.post("/api/jobs/discover")
    page = open_run(tab, app, pipeline_id)
    page.get_by_role("button", name="Cancel this run …").click()
    app.databricks.set_state(pipeline_id, None, "COMPLETED")
    app.fire("sweep_runs")
    page.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
    notice = page.locator(".notice")
    expect(notice).to_contain_text("It had already ended: Success.")
    expect(notice).not_to_contain_text("requested")


def test_a_double_click_sends_the_callbacks_once(tab: Tab, app: ServedApp, hooks: Receiver) -> None:
    pipeline_id = app.databricks.add_pipeline(name="called back once")
    page = open_run(tab, app, pipeline_id, {"callbackUrl": hooks.url()})
    see_state(tab, app, pipeline_id, "COMPLETED")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "redeliver" in request.url else None)
    page.get_by_role("button", name="Send its callbacks again").dblclick()
    expect(page.get_by_text("The callbacks are sent again.")).to_be_visible()
    assert len(asked) == 1


def test_a_run_that_began_before_its_pipeline_was_imported_has_the_name_of_the_job(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="imported later")
    run_id = app.start(pipeline_id).json["runId"]
    app.post("/api/jobs/discover")
    assert app.get(f"/api/runs/{run_id}").json["pipelineName"] is None
    page = tab.open("#/runs?pipeline=ed%20later")
    expect(page.locator("table.runs tbody tr")).to_have_count(1)
    expect(page.locator("table.runs tbody .name a")).to_have_text("imported later")
    page.locator("table.runs tbody .name a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("imported later")
    page.get_by_label("Place").get_by_role("link", name="Runs").click()
    expect(page).to_have_url(f"{tab.url}/api/page#/runs?pipeline=ed%20later")


def test_a_run_that_is_opened_from_deep_in_the_list_begins_at_its_top(browser: Browser, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="far down")
    app.post("/api/jobs/discover")
    for _ in range(8):
        app.run(pipeline_id)
        app.databricks.set_state(pipeline_id, None, "COMPLETED")
        app.fire("sweep_runs")
    with open_tab(browser, app.base_url, viewport=NARROW) as tab:
        page = tab.open(f"#/runs?pipelineId={pipeline_id}")
        last = page.locator("table.runs tbody tr").nth(7)
        last.scroll_into_view_if_needed()
        assert page.evaluate("scrollY") > 300
        last.get_by_role("link").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("far down")
        expect(page.get_by_role("heading", level=1)).to_be_in_viewport()
        assert page.evaluate("scrollY") == 0


def test_a_run_says_that_the_app_is_not_healthy(tab: Tab, app: ServedApp) -> None:
    run_id = app.start(app.databricks.add_pipeline()).json["runId"]
    sick = {"status": "failing", "checks": [{"name": "sweep finance", "ok": False, "message": "too old"}]}
    tab.page.route("**/api/health", lambda route: route.fulfill(status=503, json=sick))
    page = tab.open(f"#/runs/{run_id}")
    expect(page.get_by_text("Not healthy: sweep finance.")).to_be_visible()
