"""The start options that the dialog of a start offers, as the app allows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.functions.app import ServedApp, served
from tests.page.browser import open_tab

OPTIONS = ("refresh_selection", "full_refresh_selection", "validate_only")


@pytest.fixture(scope="module")
def with_options(azurite: str) -> Iterator[ServedApp]:
    """An app whose callers may send three of the four start options."""
    with served(azurite, POLYSYNC_START_OPTIONS=",".join(OPTIONS)) as running:
        yield running


@contextmanager
def _dialog(browser: Browser, app: ServedApp, name: str) -> Iterator[tuple[Locator, str]]:
    """The dialog that starts a new pipeline of this name, with its start options unfolded. And the pipeline's id."""
    pipeline_id = app.databricks.add_pipeline(name=name)
    app.post("/api/jobs/discover")
    with open_tab(browser, app.base_url) as tab:
        tab.open(f"#/jobs/{pipeline_id}").get_by_role("button", name="Start …").click()
        dialog = tab.page.get_by_role("dialog")
        dialog.get_by_text("Start options").click()
        yield dialog, pipeline_id


def _sent(app: ServedApp, pipeline_id: str) -> list[Any]:
    return [call.body for call in app.databricks.calls("POST", "/pipelines/{id}/updates") if pipeline_id in call.path]


def test_a_start_offers_the_options_that_the_app_allows_and_sends_those_that_were_given(
    browser: Browser, with_options: ServedApp
) -> None:
    with _dialog(browser, with_options, "two tables") as (dialog, pipeline_id):
        expect(dialog.locator("details code")).to_have_text([*OPTIONS])
        dialog.get_by_label("Yes: empty the tables").check()
        dialog.get_by_label("refresh_selection").first.fill(" orders \n\nlines\n")
        expect(dialog.get_by_label("No: process new data only")).to_be_checked()
        expect(dialog.get_by_label("Yes: empty the tables")).to_be_disabled()
        dialog.get_by_role("button", name="Start two tables with these options").click()
        expect(dialog).to_have_count(0)
        (sent,) = _sent(with_options, pipeline_id)
        assert (sent["refresh_selection"], sent["full_refresh"]) == (["orders", "lines"], False)


def test_options_that_empty_tables_ask_for_the_name(browser: Browser, with_options: ServedApp) -> None:
    with _dialog(browser, with_options, "one table anew") as (dialog, pipeline_id):
        dialog.get_by_label("full_refresh_selection").fill("orders")
        agree = dialog.get_by_role("button", name="Start one table anew with these options")
        expect(agree).to_be_disabled()
        expect(dialog).to_contain_text("What the sources no longer hold is lost.")
        dialog.get_by_label("To confirm").fill("one table anew")
        agree.click()
        expect(dialog).to_have_count(0)
        assert [body["full_refresh_selection"] for body in _sent(with_options, pipeline_id)] == [["orders"]]


def test_options_that_contradict_each_other_are_named_and_can_be_corrected(
    browser: Browser, with_options: ServedApp
) -> None:
    with _dialog(browser, with_options, "only checked") as (dialog, pipeline_id):
        dialog.get_by_label("validate_only").check()
        dialog.get_by_label("refresh_selection").first.fill("orders")
        agree = dialog.get_by_role("button", name="Start only checked with these options")
        agree.click()
        expect(dialog.get_by_role("alert")).to_contain_text("validate_only: contradicts refresh_selection")
        dialog.get_by_label("refresh_selection").first.fill("")
        agree.click()
        expect(dialog).to_have_count(0)
        assert [body["validate_only"] for body in _sent(with_options, pipeline_id)] == [True]


def test_an_app_that_allows_no_start_options_offers_none(browser: Browser, azurite: str) -> None:
    with served(azurite) as app, open_tab(browser, app.base_url) as tab:
        pipeline_id = app.databricks.add_pipeline(name="as the mission has it")
        app.post("/api/jobs/discover")
        tab.open(f"#/jobs/{pipeline_id}").get_by_role("button", name="Start …").click()
        dialog = tab.page.get_by_role("dialog")
        expect(dialog.get_by_label("Yes: empty the tables")).to_be_enabled()
        expect(dialog.locator("details")).to_have_count(0)
