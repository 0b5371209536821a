"""What an error tells the reader to do: something that can be done on the page, and nothing that is said already."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from polysync_core.values.databricks_errors import NETWORK_HINT, PERMISSION_HINT
from tests.functions.app import ServedApp
from tests.page.browser import Tab


def _job(app: ServedApp, name: str) -> str:
    pipeline_id = app.databricks.add_pipeline(name=name)
    app.post("/api/jobs/discover")
    return pipeline_id


def _start(tab: Tab, pipeline_id: str, name: str) -> Locator:
    """Press the button that starts the job, and return the error that the dialog shows."""
    tab.open(f"#/jobs/{pipeline_id}").get_by_role("button", name="Start …").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_role("button", name=f"Start {name}").click()
    return dialog.get_by_role("alert").locator("p")


@pytest.mark.parametrize(("known", "hint"), [("forbidden", PERMISSION_HINT), ("ip_blocked", NETWORK_HINT)])
def test_a_refusal_of_databricks_ends_with_its_own_remedy(tab: Tab, app: ServedApp, known: str, hint: str) -> None:
    name = f"refused by {known}"
    pipeline_id = _job(app, name)
    app.databricks.answer_with(known, method="POST", pipeline_id=pipeline_id)
    told = _start(tab, pipeline_id, name)
    expect(told).to_contain_text(hint)
    assert told.inner_text().strip().endswith(hint)


def test_a_log_that_databricks_refuses_sends_nobody_to_the_list_or_to_an_administrator(
    tab: Tab, app: ServedApp
) -> None:
    run_id = app.start(_job(app, "without a log")).json["runId"]
    page = tab.page
    said = "Databricks answered 404 FEATURE_DISABLED: The event log is off."
    page.route("**/events?*", lambda route: route.fulfill(status=404, json={"code": "DatabricksError", "detail": said}))
    tab.open(f"#/runs/{run_id}")
    expect(page.get_by_role("alert")).to_contain_text(f"{said} Look at the pipeline in Databricks.")
    expect(page.get_by_role("alert")).not_to_contain_text("Check the address")


def test_a_start_beside_an_active_update_is_not_told_what_only_a_program_can_send(tab: Tab, app: ServedApp) -> None:
    pipeline_id = _job(app, "busy")
    app.start(pipeline_id)
    told = _start(tab, pipeline_id, "busy")
    expect(told).to_contain_text("is active. Wait for its end, or cancel it. Open the active run")
    expect(told).not_to_contain_text("onConflict")


def test_a_start_beside_another_start_is_told_when_to_press_again(tab: Tab, app: ServedApp) -> None:
    pipeline_id = _job(app, "in flight")
    problem: dict[str, Any] = {
        "code": "ActiveUpdateExists",
        "detail": "Another start of pipeline p is in flight; its outcome is not known yet.",
        "active": None,
    }
    headers = {"Retry-After": "15"}
    tab.page.route("**/updates?*", lambda route: route.fulfill(status=409, headers=headers, json=problem))
    told = _start(tab, pipeline_id, "in flight")
    expect(told).to_have_text(f"{problem['detail']} Press again in 15 s.", use_inner_text=True)


def test_a_missing_job_leads_to_the_button_that_imports(tab: Tab) -> None:
    told = tab.open("#/jobs/nothing").get_by_role("alert").locator("p").first
    expect(told).to_contain_text("There is no job nothing in workspace")
    expect(told).to_contain_text("or import the pipelines: Jobs has a button for it.")
    expect(told).not_to_contain_text("/api/")


def test_a_refusal_of_something_before_the_app_names_no_role(tab: Tab) -> None:
    tab.page.route("**/api/jobs?*", lambda route: route.fulfill(status=403, body="Forbidden"))
    told = tab.open("#/jobs").get_by_role("alert").first
    expect(told).to_contain_text("The app answers with the status 403. Ask whoever runs the app.")
