"""The views of jobs and of health."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Browser, Route, expect

from tests.functions.app import ServedApp, served
from tests.page.browser import Tab, change_answers, open_tab


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
    expect(page.get_by_role("status").filter(has_text="full_refresh is stored: yes")).to_be_focused()
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


def test_jobs_come_in_pages_in_the_order_of_their_names_and_every_page_is_offered_as_a_filter(
    browser: Browser, azurite: str
) -> None:
    """The browser's network lets the app answer with pages of two jobs."""
    with served(azurite) as app, open_tab(browser, app.base_url) as tab:
        for name, pipeline_id in (("c", "1"), ("a", "2"), ("b", "3")):
            app.databricks.add_pipeline(pipeline_id, name)
        app.post("/api/jobs/discover")
        tab.page.route("**/api/jobs?*", lambda route: route.continue_(url=route.request.url.replace("=200", "=2")))
        page = tab.open("#/jobs")
        names = page.locator("table.jobs .name a")
        expect(names).to_have_text(["a", "c"])
        page.get_by_role("link", name="More jobs").click()
        expect(names).to_have_text(["b"])
        page.get_by_role("link", name="First jobs").click()
        expect(names).to_have_text(["a", "c"])
        page.get_by_role("link", name="Runs").first.click()
        expect(page.locator("#pipelines option")).to_have_count(3)
        assert [option.get_attribute("value") for option in page.locator("#pipelines option").all()] == ["a", "b", "c"]


def test_a_job_is_found_by_its_id_and_shows_its_own_runs_alone(tab: Tab, app: ServedApp) -> None:
    ids = [app.databricks.add_pipeline(name=f"one of two, {number}") for number in range(2)]
    app.post("/api/jobs/discover")
    for pipeline_id in ids:
        app.run(pipeline_id)
    page = tab.open(f"#/jobs?name={ids[0]}")
    page.locator("table.jobs").get_by_role("link", name="one of two, 0").click()
    expect(page.locator("table.runs tbody tr")).to_have_count(1)
    expect(page.locator("table.runs")).to_contain_text("one of two, 0")


def test_a_job_that_databricks_hides_is_marked(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="hidden from the app")
    app.post("/api/jobs/discover")

    def hide(document: Any) -> None:
        for job in document.get("items", [document]):
            job["accessible"] = False

    change_answers(tab.page, re.compile("/api/jobs[?/]"), hide)
    page = tab.open("#/jobs?name=hidden from the app")
    expect(page.locator("table.jobs .tag")).to_have_text("no access")
    tab.open(f"#/jobs/{pipeline_id}")
    expect(page.get_by_text("Databricks does not let this app read the pipeline.")).to_be_visible()


def test_an_import_goes_on_until_the_app_has_no_more_to_import(tab: Tab) -> None:
    sent: list[object] = []

    def answer(route: Route) -> None:
        sent.append(route.request.post_data_json)
        counts = {"added": 2, "changed": 1, "removed": 0}
        route.fulfill(json={"jobs": counts, "continuation": "next" if len(sent) < 3 else None})

    tab.page.route("**/api/jobs/discover?*", answer)
    page = tab.open("#/jobs")
    page.get_by_role("button", name="Import from Databricks").click()
    expect(page.get_by_role("status").filter(has_text="Imported: 6 new, 3 changed, 0 removed.")).to_be_visible()
    assert sent == [{}, {"continuation": "next"}, {"continuation": "next"}]


def test_an_import_and_a_sync_that_fail_say_why(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="not synced")
    app.post("/api/jobs/discover")
    page = tab.page
    page.route(re.compile("/discover|/sync"), lambda route: route.fulfill(status=403, json={"detail": "Not you."}))
    tab.open("#/jobs")
    page.get_by_role("button", name="Import from Databricks").click()
    expect(page.get_by_role("alert")).to_contain_text("Not you.")
    tab.open(f"#/jobs/{pipeline_id}")
    page.get_by_role("button", name="Sync parameters").click()
    expect(page.get_by_role("alert")).to_contain_text("Not you.")
    expect(page.get_by_role("button", name="Sync parameters")).to_be_enabled()


def test_a_job_whose_runs_are_not_known_yet_is_not_said_to_have_none(tab: Tab, app: ServedApp) -> None:
    app.databricks.add_pipeline(name="never run")
    app.post("/api/jobs/discover")
    tab.page.route("**/api/runs?*", lambda route: route.fulfill(status=503, json={}))
    page = tab.open("#/jobs?name=never run")
    row = page.locator("table.jobs tbody tr")
    expect(row).to_have_count(1)
    expect(page.get_by_role("alert")).to_be_visible()
    expect(row).not_to_contain_text("no recent run")
    tab.page.unroute("**/api/runs?*")
    tab.pass_time(61)
    expect(row).to_contain_text("no recent run")
