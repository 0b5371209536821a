"""What the view of a run says, where the network of the browser changes the app's answer about the run."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.functions.app import ServedApp
from tests.page.browser import Tab, change_answers

pytestmark = pytest.mark.slow

WEBHOOK = {"kind": "webhook", "state": "delivered", "tries": 2, "nextAttemptAt": None, "lastError": None}


def _open(tab: Tab, app: ServedApp, *, name: str = "detailed", state: str = "RUNNING", **changes: Any) -> Page:
    """Open a run whose update is in `state`, and of which the app answers with these `changes`."""
    pipeline_id = app.databricks.add_pipeline(name=name)
    app.post("/api/jobs/discover")
    run_id = app.start(pipeline_id).json["runId"]
    app.databricks.set_state(pipeline_id, None, state)
    app.fire("sweep_runs")
    change_answers(tab.page, "**/api/runs/*", lambda run: run.update(changes))
    page = tab.open(f"#/runs/{run_id}")
    expect(page.locator(".big .badge")).to_be_visible()
    return page


def _fact(page: Page, name: str) -> Locator:
    return page.locator("section[aria-label=Status] .facts div", has=page.get_by_text(name, exact=True)).locator("dd")


def test_addresses_of_https_open_databricks_in_another_tab_that_learns_nothing(tab: Tab, app: ServedApp) -> None:
    address = "https://adb-1.azuredatabricks.net/pipelines/p"
    page = _open(tab, app, updateUrl=f"{address}/updates/u", monitorUrl=address)
    links = _fact(page, "Databricks").get_by_role("link")
    expect(links).to_have_count(2)
    for link, target in zip(links.all(), (f"{address}/updates/u", address), strict=True):
        expect(link).to_have_attribute("href", target)
        expect(link).to_have_attribute("target", "_blank")
        expect(link).to_have_attribute("rel", "noopener noreferrer")


def test_facts_that_are_rare_are_shown(tab: Tab, app: ServedApp) -> None:
    page = _open(tab, app, timeoutAt="2020-01-02T03:04:05Z", ignoredParameters=["colour", "size"], startedBy=None)
    expect(_fact(page, "Is cancelled at")).to_have_text("2 Jan 2020, 04:04")
    expect(_fact(page, "Ignored parameters")).to_have_text("colour, size")
    expect(_fact(page, "Started by")).to_have_text("someone outside Polysync")


def test_every_attempt_is_a_row(tab: Tab, app: ServedApp) -> None:
    attempts = [
        {"updateId": f"{number}0000000-aaaa", "state": state, "cause": cause, "createdAt": None}
        for number, state, cause in ((1, "FAILED", "API_CALL"), (2, None, "RETRY_ON_FAILURE"))
    ]
    page = _open(tab, app, attempts=attempts)
    rows = page.locator("section", has=page.get_by_role("heading", name="Attempts")).locator("tbody tr")
    expect(rows).to_have_text(["10000000FAILEDAPI_CALL–", "20000000–RETRY_ON_FAILURE–"])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"state": "STOPPING"}, "Databricks stops it"),
        ({"cancelRequestedAt": "2020-01-02T03:04:05Z"}, "Cancel requested"),
    ],
)
def test_a_run_that_is_being_stopped_cannot_be_cancelled(
    tab: Tab, app: ServedApp, changes: dict[str, str], text: str
) -> None:
    page = _open(tab, app, **changes)
    expect(page.get_by_role("button", name=text)).to_be_disabled()
    expect(page.get_by_role("button", name="Cancel this run …")).to_have_count(0)


def test_a_finished_run_has_one_reason_a_duration_that_stands_and_no_age(tab: Tab, app: ServedApp) -> None:
    times = {"startedAt": "2020-01-02T03:04:05Z", "finishedAt": "2020-01-02T05:04:05Z"}
    error = {"code": "Failed", "message": "The only reason."}
    changes: dict[str, Any] = {"error": error, "message": "The only reason. It ended.", "callbacks": [WEBHOOK]}
    page = _open(tab, app, state="FAILED", staleSince="2020-01-02T03:04:05Z", **times, **changes)
    status = page.locator("section[aria-label=Status]")
    expect(_fact(page, "Duration")).to_have_text("2 h")
    expect(status.get_by_text("The only reason.")).to_have_count(1)
    expect(status.get_by_text("It ended.")).to_be_visible()
    expect(status).not_to_contain_text("as of")


def test_a_run_that_nobody_waits_for_has_nothing_to_send_again(tab: Tab, app: ServedApp) -> None:
    page = _open(tab, app, state="COMPLETED")
    expect(page.get_by_text("No caller asked for one.")).to_be_visible()
    expect(page.get_by_role("button", name="Start again …")).to_be_visible()
    expect(page.get_by_role("button", name="Send its callbacks again")).to_have_count(0)


def test_a_redelivery_that_fails_says_why(tab: Tab, app: ServedApp) -> None:
    page = _open(tab, app, state="COMPLETED", callbacks=[WEBHOOK])
    page.route(
        "**/redeliver?*", lambda route: route.fulfill(status=403, json={"code": "RoleMissing", "detail": "Not you."})
    )
    page.get_by_role("button", name="Send its callbacks again").click()
    expect(page.get_by_role("alert")).to_contain_text("Not you. Ask an administrator of Polysync for the role.")


def test_the_run_id_and_the_reason_are_copied(tab: Tab, app: ServedApp) -> None:
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = _open(tab, app, state="FAILED", error={"code": "Failed", "message": "A reason\nof two lines."})
    for name, text in (
        ("the reason", "A reason\nof two lines."),
        ("the run id", _fact(page, "Run id").locator("code").inner_text()),
    ):
        page.get_by_role("button", name=f"Copy {name}").click()
        expect(page.locator("button", has_text=f"Copied {name}")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == text


@pytest.mark.parametrize("option", ["full_refresh_selection", "reset_checkpoint_selection"])
def test_options_that_destroy_data_ask_for_the_name_in_which_white_space_counts_once(
    tab: Tab, app: ServedApp, option: str
) -> None:
    name = f"two  spaces of {option}"
    page = _open(tab, app, name=name, state="COMPLETED", options={option: ["orders"]})
    page.get_by_role("button", name="Start again …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("What the sources no longer hold is lost.")
    agree = dialog.get_by_role("button", name="with these options")
    expect(agree).to_be_disabled()
    dialog.get_by_label("To confirm").fill(f" two spaces of {option}")
    expect(agree).to_be_enabled()


def test_a_run_is_read_again_each_minute_once_nothing_is_owed(tab: Tab, app: ServedApp) -> None:
    page = _open(tab, app, state="COMPLETED", callbacks=[WEBHOOK])
    expect(page.get_by_role("button", name="Start again …")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    tab.pass_time(50)
    page.wait_for_timeout(200)
    assert [url for url in asked if "/api/runs/" in url and "/events" not in url] == []
    with page.expect_request("**/api/runs/*"):
        tab.pass_time(15)


def test_a_view_at_rest_does_not_draw_itself_again_and_again(tab: Tab, app: ServedApp) -> None:
    page = _open(tab, app, state="COMPLETED")
    expect(page.get_by_role("status").filter(has_text="detailed: Success")).to_have_count(1)
    count = """async () => {
        const original = setTimeout;
        let calls = 0;
        window.setTimeout = (...given) => ((calls += 1), original(...given));
        await new Promise(go => original(go, 500));
        return calls;
    }"""
    assert page.evaluate(count) < 20
