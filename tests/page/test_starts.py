"""The dialog that starts an update: it sends what it showed, and a start of unknown outcome is not made twice."""

from __future__ import annotations

from functools import partial

import pytest
from playwright.sync_api import Page, Route, expect

from tests.functions.app import ServedApp
from tests.page.browser import Tab


def _store(app: ServedApp, pipeline_id: str, *, full: bool) -> None:
    answer = app.put(f"/api/jobs/{pipeline_id}/parameters/full_refresh", {"value": full, "direction": "Input"})
    assert answer.status == 200


def _open_run(tab: Tab, app: ServedApp, pipeline_id: str) -> Page:
    """Open a finished run of the pipeline, which was no full refresh."""
    run_id = app.start(pipeline_id, {"full_refresh": False}).json["runId"]
    app.databricks.set_state(pipeline_id, None, "COMPLETED")
    app.fire("sweep_runs")
    return tab.open(f"#/runs/{run_id}")


def _refreshes(app: ServedApp, pipeline_id: str) -> list[bool]:
    return [update.full_refresh for update in app.databricks.updates_of(pipeline_id)]


def test_a_run_started_again_as_stored_asks_for_the_name_if_that_is_a_full_refresh(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="quietly full")
    app.post("/api/jobs/discover")
    _store(app, pipeline_id, full=True)
    page = _open_run(tab, app, pipeline_id)
    page.get_by_role("button", name="Start again …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("As stored in the job: yes").check()
    agree = dialog.get_by_role("button", name="Start the full refresh of quietly full")
    expect(agree).to_be_disabled()
    dialog.get_by_label("To confirm").fill("quietly full")
    agree.click()
    expect(dialog).to_have_count(0)
    assert _refreshes(app, pipeline_id) == [False, True]


@pytest.mark.parametrize("is_full", [True, False])
@pytest.mark.parametrize("door", ["a job", "the jobs"])
def test_a_dialog_shows_what_is_stored_now_and_not_what_the_view_has_read(
    tab: Tab, app: ServedApp, door: str, is_full: bool
) -> None:
    name = f"changed to {is_full} beside {door}"
    pipeline_id = app.databricks.add_pipeline(name=name)
    app.post("/api/jobs/discover")
    _store(app, pipeline_id, full=not is_full)
    page = tab.open(f"#/jobs/{pipeline_id}" if door == "a job" else f"#/jobs?name={name}")
    button = page.get_by_role("button", name="Start …" if door == "a job" else f"Start {name} …")
    expect(button).to_be_visible()
    _store(app, pipeline_id, full=is_full)
    button.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label(f"As stored in the job: {'yes' if is_full else 'no'}")).to_be_checked()
    expect(dialog.get_by_label("To confirm")).to_have_count(int(is_full))


def test_a_start_does_what_its_dialog_showed_also_if_the_job_changes_meanwhile(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="changed behind")
    app.post("/api/jobs/discover")
    _store(app, pipeline_id, full=False)
    page = tab.open(f"#/jobs/{pipeline_id}")
    page.get_by_role("button", name="Start …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("As stored in the job: no")).to_be_checked()
    _store(app, pipeline_id, full=True)
    dialog.get_by_role("button", name="Start changed behind").click()
    expect(dialog).to_have_count(0)
    assert _refreshes(app, pipeline_id) == [False]


def test_a_job_that_cannot_be_read_leaves_the_choice_to_the_reader(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="unreadable")
    app.post("/api/jobs/discover")
    _store(app, pipeline_id, full=True)
    page = tab.open(f"#/jobs/{pipeline_id}")
    expect(page.get_by_role("button", name="Start …")).to_be_visible()
    page.route("**/api/jobs/**", lambda route: route.fulfill(status=503))
    page.get_by_role("button", name="Start …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("No: process new data only")).to_be_checked()
    expect(dialog.get_by_label("As stored")).to_have_count(0)
    dialog.get_by_role("button", name="Start unreadable").click()
    expect(dialog).to_have_count(0)
    assert _refreshes(app, pipeline_id) == [False]


def test_a_start_of_unknown_outcome_stays_the_same_start_beyond_its_dialog(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="in doubt")
    app.post("/api/jobs/discover")
    page = tab.open(f"#/jobs/{pipeline_id}")

    def lose(route: Route) -> None:
        route.fetch()
        route.fulfill(status=504, json={"code": "StartUnknown", "detail": "Databricks gave no answer."})

    page.route("**/updates?*", lose, times=1)
    page.get_by_role("button", name="Start …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Start in doubt").click()
    told = dialog.get_by_role("alert")
    expect(told).to_contain_text("It is not known whether it was done. Press again here: a repeat is safe.")
    expect(told).not_to_contain_text("by itself")
    dialog.get_by_role("button", name="Go back").click()
    app.databricks.set_state(pipeline_id, None, "COMPLETED")
    app.fire("sweep_runs")
    tab.open(f"#/jobs/{pipeline_id}")
    page.reload()
    page.get_by_role("button", name="Start …").click()
    expect(dialog).to_contain_text("This one repeats it, and never starts a second update.")
    dialog.get_by_role("button", name="Start in doubt").click()
    expect(page.locator(".big .badge")).to_have_text("Success")
    assert len(app.databricks.updates_of(pipeline_id)) == 1
    page.get_by_role("button", name="Start again …").click()
    dialog.get_by_role("button", name="Start in doubt").click()
    expect(page.locator(".big .badge")).not_to_have_text("Success")
    assert len(app.databricks.updates_of(pipeline_id)) == 2, "the outcome was known, so this is another start"


def test_an_answer_that_a_gateway_made_up_is_said_so(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="behind a gateway")
    app.post("/api/jobs/discover")
    page = tab.open(f"#/jobs/{pipeline_id}")
    page.route("**/updates?*", lambda route: route.fulfill(status=200, body="<h1>Welcome</h1>"))
    page.get_by_role("button", name="Start …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Start behind a gateway").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The answer is not from the app.")
    expect(dialog.get_by_role("alert")).to_contain_text("It is not known whether it was done.")


@pytest.mark.parametrize("is_patient", [True, False])
def test_a_page_that_could_not_start_starts_by_itself_or_by_its_button(tab: Tab, is_patient: bool) -> None:
    page = tab.page
    page.route("**/page/config.json", lambda route: route.fulfill(status=503))
    tab.open()
    told = page.get_by_role("alert")
    expect(told).to_contain_text("The app answers with the status 503. The page tries again by itself.")
    page.unroute("**/page/config.json")
    if is_patient:
        tab.pass_time(16)
    else:
        page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")


def _refuse(status: int, route: Route) -> None:
    route.fulfill(status=status, json={})


def test_only_the_same_start_is_a_repeat_and_a_refused_one_is_not_repeated(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="in doubt twice")
    app.post("/api/jobs/discover")
    page = tab.open(f"#/jobs/{pipeline_id}")
    page.get_by_role("button", name="Start …").click()
    dialog = page.get_by_role("dialog")
    repeat = dialog.get_by_text("This one repeats it")
    full, usual = dialog.get_by_label("Yes: empty the tables"), dialog.get_by_label("No: process new data only")
    for status, is_repeat in ((504, 1), (403, 0)):
        page.route("**/updates?*", partial(_refuse, status), times=1)
        dialog.get_by_role("button", name="Start in doubt twice").click()
        expect(dialog.get_by_role("alert")).to_contain_text(f"The app answers with the status {status}.")
        full.check()
        expect(dialog.get_by_label("To confirm")).to_be_visible()
        expect(repeat).to_have_count(0)
        usual.check()
        expect(dialog.get_by_label("To confirm")).to_have_count(0)
        expect(repeat).to_have_count(is_repeat)


def test_a_stored_value_of_direction_output_is_not_what_a_start_does(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="output")
    app.post("/api/jobs/discover")
    app.put(f"/api/jobs/{pipeline_id}/parameters/full_refresh", {"value": True, "direction": "Output"})
    page = tab.open(f"#/jobs/{pipeline_id}")
    page.get_by_role("button", name="Start …").click()
    expect(page.get_by_role("dialog").get_by_label("As stored in the job: no")).to_be_checked()


def test_agreeing_twice_starts_once(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="agreed twice")
    app.post("/api/jobs/discover")
    page = tab.open(f"#/jobs/{pipeline_id}")
    held: list[Route] = []
    page.route("**/updates?*", lambda route: held.append(route))
    page.get_by_role("button", name="Start …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Start agreed twice")).to_be_enabled()
    for _ in range(2):
        dialog.locator("form").evaluate("form => form.requestSubmit()")
        page.wait_for_timeout(200)
    held[0].continue_()
    expect(page.locator(".big .badge")).to_be_visible()
    assert len(held) == 1
