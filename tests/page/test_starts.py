"""The dialog that starts an update: it sends what it showed, and a start of unknown outcome is not made twice."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

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
