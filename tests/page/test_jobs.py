"""The views of jobs and of health."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from tests.functions.app import ServedApp, served
from tests.page.browser import Tab, open_tab


def test_the_last_runs_of_a_job_are_marks_that_lead_to_them(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="marked")
    app.post("/api/jobs/discover")
    for state in ("FAILED", "COMPLETED", "CANCELED", "COMPLETED", "FAILED", "COMPLETED"):
        app.run(pipeline_id)
        app.databricks.set_state(pipeline_id, None, state)
        app.fire("sweep_runs")
    page = tab.open("#/jobs?name=marked")
    marks = page.locator("table.jobs .mark")
    expect(marks).to_have_count(5)
    words = [mark.inner_text().partition(",")[0] for mark in marks.all()]
    assert words == ["Success", "Cancelled", "Success", "Failed", "Success"], "the newest is at the right"
    marks.nth(3).click()
    expect(page.locator(".big .badge")).to_have_text("Failed")


def test_pipelines_are_imported_and_found_by_name(tab: Tab, app: ServedApp) -> None:
    app.databricks.add_pipelines(3)
    app.databricks.add_pipeline(name="a very special one")
    page = tab.open("#/jobs")
    page.get_by_role("button", name="Import from Databricks").click()
    expect(page.get_by_role("status").filter(has_text="Imported: 4 new")).to_be_visible()
    page.get_by_label("Name").fill("SPECIAL")
    page.keyboard.press("Enter")
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)
    assert page.url.endswith("#/jobs?name=SPECIAL")


def test_a_job_shows_its_parameters_and_a_sync_says_what_has_changed(tab: Tab, app: ServedApp) -> None:
    spec = {"photon": True, "configuration": {"spark.n": "1", "spark.my.password": "sesame"}}
    pipeline_id = app.databricks.add_pipeline(name="synced", spec=spec)
    app.post("/api/jobs/discover")
    app.databricks.set_spec(pipeline_id, spec | {"photon": False})
    page = tab.open(f"#/jobs/{pipeline_id}")
    parameters = page.locator("section", has=page.get_by_role("heading", name="Parameters"))
    expect(parameters.get_by_role("row").filter(has_text="photon")).to_contain_text("true")
    expect(parameters).to_contain_text("hidden, because it looks like a secret")
    assert "sesame" not in page.content()
    page.get_by_role("button", name="Sync parameters").click()
    told = page.get_by_role("status").filter(has_text="Synced: 1 parameters changed.")
    expect(told).to_contain_text("photon: true → false")
    expect(parameters.get_by_role("row").filter(has_text="photon")).to_contain_text("false")


def test_a_full_refresh_is_stored_after_a_question_marks_its_job_and_is_what_a_start_then_does(
    tab: Tab, app: ServedApp
) -> None:
    pipeline_id = app.databricks.add_pipeline(name="always full")
    app.post("/api/jobs/discover")
    page = tab.open(f"#/jobs/{pipeline_id}")
    stored = page.locator("section", has=page.get_by_role("heading", name="Stored full refresh"))
    dialog = page.get_by_role("dialog")
    expect(stored).to_contain_text("nothing is stored")
    expect(stored.get_by_role("button", name="Store")).to_be_disabled()
    page.get_by_role("button", name="Start …").click()
    expect(dialog.get_by_label("As stored in the job: nothing is stored, so no")).to_be_checked()
    page.keyboard.press("Escape")
    stored.get_by_label("Value").select_option("yes")
    stored.get_by_label("Direction").select_option("Input&Output")
    stored.get_by_role("button", name="Store").click()
    expect(stored).to_contain_text("nothing is stored")
    dialog.get_by_role("button", name="Store the full refresh").click()
    expect(stored).to_contain_text("Now: yes, Input&Output")
    expect(stored.get_by_role("button", name="Store")).to_be_disabled()
    tab.open("#/jobs")
    page.get_by_label("Full refresh").select_option("By default")
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)
    expect(page.locator("table.jobs .tag")).to_have_text("full refresh by default")
    tab.open(f"#/jobs/{pipeline_id}")
    page.get_by_role("button", name="Start …").click()
    expect(dialog.get_by_label("As stored in the job: yes")).to_be_checked()
    dialog.get_by_label("To confirm").fill("always full")
    dialog.get_by_role("button", name="Start the full refresh of always full").click()
    expect(page.locator(".big .badge")).to_be_visible()
    assert [update.full_refresh for update in app.databricks.updates_of(pipeline_id)] == [True]


def test_a_dialog_keeps_the_focus_and_closes_with_escape(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="by keyboard")
    app.post("/api/jobs/discover")
    page = tab.open(f"#/jobs/{pipeline_id}")
    start = page.get_by_role("button", name="Start …")
    start.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(start).to_be_focused()
    assert app.databricks.updates_of(pipeline_id) == []


def test_health_shows_every_line_and_the_age_of_the_sweep_goes_on(tab: Tab, app: ServedApp) -> None:
    app.fire("sweep_runs")
    page = tab.open("#/health")
    checks = app.get("/api/health").json["checks"]
    rows = page.locator("table.checks tbody tr")
    expect(rows).to_have_count(len(checks))
    for check, row in zip(checks, rows.all(), strict=True):
        expect(row).to_contain_text(check["name"])
    sweep = rows.filter(has_text=f"sweep {app.name}")
    expect(sweep).to_contain_text(" s ago, ")
    age = int(sweep.inner_text().split(" s ago")[0].split()[-1])
    tab.pass_time(12)
    later = "|".join(str(age + passed) for passed in range(12, 15))
    expect(sweep).to_contain_text(re.compile(rf"OK({later}) s ago, "))


def test_health_needs_no_sign_in_and_names_what_fails(tab: Tab, app: ServedApp) -> None:
    tab.page.add_init_script("sessionStorage.clear()")
    page = tab.open("#/health")
    expect(page.locator("table.checks tbody tr").first).to_be_visible()
    expect(page.get_by_text(f"workspace {app.name}")).to_be_visible()


def test_an_import_reaches_a_workspace_that_has_no_job_yet(browser: Browser, azurite: str) -> None:
    with served(azurite, others=("b-new",)) as app, open_tab(browser, app.base_url) as tab:
        app.others["b-new"].add_pipeline(name="first of its workspace")
        app.databricks.add_pipeline(name="known before")
        app.post("/api/jobs/discover")
        page = tab.open("#/jobs")
        expect(page.get_by_label("Workspace").locator("option", has_text="b-new")).to_have_count(1)
        page.get_by_role("button", name="Import from Databricks").click()
        expect(page.locator("table.jobs tbody tr")).to_have_count(2)
        expect(page.locator("table.jobs")).to_contain_text("first of its workspace")
