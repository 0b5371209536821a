"""Two workspaces with a pipeline and a run of the same ids. Everywhere, each is shown as its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from local.rig import Rig
from local.seeding import put_rows
from polysync_core.adapters.clock import Clock
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import RUN
from polysync_core.values.ids import RunId
from polysync_core.values.run import Attempt, Run
from tests.functions.app import ServedApp, served
from tests.page.browser import Tab, open_tab

OTHER = "z-other"
RUN_ID = RunId("same", "u")


@pytest.fixture(scope="module")
def app(azurite: str) -> Iterator[ServedApp]:
    """An app whose first workspace has a failed run. The run of the other one, with the same id, succeeded."""
    with served(azurite, others=(OTHER,)) as running:
        for (name, databricks), state in zip(running.workspaces.items(), ("FAILED", "COMPLETED"), strict=True):
            databricks.add_pipeline(RUN_ID.pipeline_id, "the same")
            running.post(f"/api/jobs/discover?workspace={name}")
            _put_run(Rig(azurite, {name: databricks.url}, databricks, Clock()), state)
        yield running


def _put_run(rig: Rig, state: str) -> None:
    began = rig.clock.now() - timedelta(minutes=20)
    run = Run(
        run_id=RUN_ID,
        full_refresh=False,
        accepted_at=began,
        seen_at=began,
        updated_at=began,
        started_at=began,
        finished_at=began + timedelta(minutes=5),
        pipeline_name="the same",
        attempts=(Attempt(update_id="u", state=state, created_at=began),),
    )
    columns = RUN.encode(run)
    put_rows(rig, [(row_keys.recent(RUN_ID, began), columns), (row_keys.run(RUN_ID), columns)])


@pytest.fixture
def tab(browser: Browser, app: ServedApp) -> Iterator[Tab]:
    with open_tab(browser, app.base_url) as opened:
        yield opened


def _rows(page: Page) -> Locator:
    return page.locator("table.runs tbody tr")


def _of(rows: Locator, workspace: str) -> Locator:
    return rows.filter(has=rows.page.locator(".workspace", has_text=workspace))


def test_runs_of_one_id_are_two_rows_two_bars_and_two_counts(tab: Tab, app: ServedApp) -> None:
    page = tab.open()
    expect(_rows(page)).to_have_count(2)
    expect(_of(_rows(page), app.name)).to_contain_text("Failed")
    expect(_of(_rows(page), OTHER)).to_contain_text("Success")
    for kind in ("failed", "success"):
        expect(page.locator(f".counts .{kind} .number")).to_have_text("1")
        expect(page.locator(f".bar.{kind}")).to_have_count(1)
    expect(page.locator(".lanes li")).to_have_count(2)


def test_a_link_leads_to_the_run_and_to_the_job_of_its_own_workspace(tab: Tab, app: ServedApp) -> None:
    for workspace, word in ((app.name, "Failed"), (OTHER, "Success")):
        page = tab.open("#/runs")
        _of(_rows(page), workspace).get_by_role("link", name="the same").click()
        expect(page.locator(".big .badge")).to_have_text(word)
        page.locator(".facts").get_by_role("link", name="the same").click()
        expect(page.locator(".facts")).to_contain_text(workspace)
        expect(_rows(page)).to_contain_text(word)


def test_the_marks_of_a_job_are_of_its_own_workspace(tab: Tab, app: ServedApp) -> None:
    page = tab.open("#/jobs")
    jobs = page.locator("table.jobs tbody tr")
    expect(_of(jobs, app.name).locator(".mark")).to_have_class("mark failed")
    expect(_of(jobs, OTHER).locator(".mark")).to_have_class("mark success")


def test_the_counts_are_of_the_workspace_that_the_list_is_filtered_by(tab: Tab) -> None:
    page = tab.open()
    page.get_by_label("Workspace").select_option(OTHER)
    expect(_rows(page)).to_have_count(1)
    expect(page.locator(".counts .success .number")).to_have_text("1")
    expect(page.locator(".counts .failed .number")).to_have_text("0")


def test_the_event_log_is_asked_for_in_the_workspace_of_the_run(tab: Tab) -> None:
    with tab.page.expect_request("**/events?*") as asked:
        tab.open(f"#/runs/{RUN_ID}?workspace={OTHER}")
    assert f"workspace={OTHER}" in asked.value.url
