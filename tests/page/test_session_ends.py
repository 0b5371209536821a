"""The sign-in ends while the reader is about to do something. Nothing that was begun is dropped without a word."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from local.entra import SimulatedEntra
from tests.functions.app import KEY, ServedApp, served
from tests.page.browser import Tab, open_tab

NOT_DONE = "Your sign-in had ended, so this was not done: "


@pytest.fixture(scope="module")
def entra() -> Iterator[SimulatedEntra]:
    with SimulatedEntra() as running:
        yield running


@pytest.fixture(scope="module")
def signed(azurite: str, entra: SimulatedEntra) -> Iterator[ServedApp]:
    with served(azurite, entra) as running:
        entra.register_redirect(f"{running.base_url}/api/page")
        yield running


@pytest.fixture
def visitor(browser: Browser, signed: ServedApp, entra: SimulatedEntra) -> Iterator[Tab]:
    """A tab of a person who may do everything."""
    entra.sign_in_as(["Polysync.Admin"])
    entra.configure_sign_in(access_claims={}, access_token_seconds=3600.0)
    with open_tab(browser, signed.base_url, key=None, origins={entra.url}) as opened:
        yield opened


def _run(app: ServedApp, name: str) -> tuple[str, str]:
    """A new pipeline of this name with an active run. Returns the address of the run, and its button to agree."""
    pipeline_id = app.databricks.add_pipeline(name=name)
    app.post("/api/jobs/discover")
    run_id = app.start(pipeline_id).json["runId"]
    return f"#/runs/{run_id}", f"Cancel run {run_id.partition(':')[2][:8]} of {name}"


def _asked_to_cancel(tab: Tab, address: str) -> Locator:
    """Open the run, and the dialog that asks whether to cancel it."""
    tab.open(address).get_by_role("button", name="Cancel this run …").click()
    dialog = tab.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    return dialog


def _end_the_sign_in(tab: Tab, entra: SimulatedEntra) -> None:
    """The refresh token is revoked and the access token too old, and nothing has been asked since."""
    entra.revoke_refresh_tokens()
    tab.page.clock.set_system_time(tab.page.evaluate("Date.now()") + 3_600_000)


def _told(page: Page) -> Locator:
    return page.get_by_role("alert").filter(has_text=NOT_DONE)


def test_an_action_that_needs_a_new_sign_in_is_named_afterwards_as_not_done(
    visitor: Tab, signed: ServedApp, entra: SimulatedEntra
) -> None:
    address, agree = _run(signed, "not stopped")
    dialog, page = _asked_to_cancel(visitor, address), visitor.page
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/cancel" in request.url else None)
    _end_the_sign_in(visitor, entra)
    dialog.get_by_role("button", name=agree).click()
    expect(_told(page)).to_contain_text(f"{NOT_DONE}{agree}. Press again if you still want it.")
    assert (page.url, sent) == (f"{signed.base_url}/api/page{address}", [])
    page.get_by_role("button", name="Cancel this run …").click()
    dialog.get_by_role("button", name=agree).click()
    expect(page.get_by_role("status").filter(has_text="The cancel is requested.")).to_be_visible()
    _told(page).get_by_role("button", name="Close").click()
    page.reload()
    expect(page.locator(".big .badge")).to_be_visible()
    expect(_told(page)).to_have_count(0)


def test_an_action_without_a_dialog_is_named_too(visitor: Tab, entra: SimulatedEntra) -> None:
    visitor.page.route("**/api/runs?*", lambda _route: None)  # no read may learn first that the sign-in has ended
    page = visitor.open("#/jobs")
    expect(page.get_by_text("Updated")).to_be_visible()
    _end_the_sign_in(visitor, entra)
    page.get_by_role("button", name="Import from Databricks").click()
    expect(_told(page)).to_contain_text(f"{NOT_DONE}Import from Databricks.")


def test_a_read_does_not_take_an_open_dialog_away(visitor: Tab, signed: ServedApp, entra: SimulatedEntra) -> None:
    address, agree = _run(signed, "asked about")
    dialog, page = _asked_to_cancel(visitor, address), visitor.page
    signed_in = len(entra.sign_in_calls("authorize"))
    entra.revoke_refresh_tokens()
    visitor.pass_time(3600)
    expect(dialog.get_by_role("alert")).to_contain_text("Your sign-in has ended.")
    assert len(entra.sign_in_calls("authorize")) == signed_in
    dialog.get_by_role("button", name="Sign in again").click()
    expect(_told(page)).to_contain_text(f"{NOT_DONE}{agree}.")
    assert page.url == f"{signed.base_url}/api/page{address}"


def test_a_read_does_not_leave_the_page_while_an_action_is_under_way(visitor: Tab, entra: SimulatedEntra) -> None:
    page = visitor.open("#/jobs")
    expect(page.get_by_text("Updated")).to_be_visible()
    held: list[Route] = []
    page.route("**/discover*", lambda route: held.append(route))
    with page.expect_request("**/discover*"):
        page.get_by_role("button", name="Import from Databricks").click()
    _end_the_sign_in(visitor, entra)
    for _ in range(3):  # less than a minute in all, after which the import would time out
        page.clock.fast_forward(16_000)
        page.wait_for_timeout(300)
    expect(page.get_by_role("alert").first).to_contain_text("Your sign-in has ended.")
    held[0].fulfill(status=400, json={"detail": "The answer came."})
    told = page.get_by_role("alert").filter(has_text="The answer came.")
    expect(told).to_be_visible()
    signed_in = len(entra.sign_in_calls("authorize"))
    told.get_by_role("button", name="Close").click()
    page.clock.fast_forward(61_000)
    expect(page.get_by_role("alert")).to_have_count(0)
    assert len(entra.sign_in_calls("authorize")) == signed_in + 1


def test_an_action_repeated_after_an_unknown_outcome_is_named_as_a_repeat(
    visitor: Tab, signed: ServedApp, entra: SimulatedEntra
) -> None:
    address, agree = _run(signed, "in doubt")
    dialog, page = _asked_to_cancel(visitor, address), visitor.page
    page.route("**/cancel?*", lambda route: route.fulfill(status=503, json={"detail": "No answer."}), times=1)
    dialog.get_by_role("button", name=agree).click()
    expect(dialog.get_by_role("alert")).to_contain_text("It is not known whether it was done.")
    _end_the_sign_in(visitor, entra)
    dialog.get_by_role("button", name=agree).click()
    expect(_told(page)).to_contain_text(f"{NOT_DONE}{agree}, again.")


def test_a_refused_sign_in_does_not_forget_what_was_not_done(
    visitor: Tab, signed: ServedApp, entra: SimulatedEntra
) -> None:
    address, agree = _run(signed, "remembered")
    dialog, page = _asked_to_cancel(visitor, address), visitor.page
    entra.ask_who()
    _end_the_sign_in(visitor, entra)
    dialog.get_by_role("button", name=agree).click()
    page.get_by_role("link", name="Dana Denied").click()
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Ada Admin").click()
    expect(_told(page)).to_contain_text(agree)


def test_a_key_that_ends_under_a_dialog_is_asked_for_after_the_press_and_the_action_is_named(
    tab: Tab, app: ServedApp
) -> None:
    address, agree = _run(app, "with a key")
    dialog, page = _asked_to_cancel(tab, address), tab.page
    page.route("**/api/runs/**", lambda route: route.fulfill(status=401, json={}))
    tab.pass_time(4)
    expect(dialog.get_by_role("alert")).to_contain_text("Your sign-in has ended.")
    dialog.get_by_role("button", name=agree).click()
    expect(page.get_by_label("Function key", exact=True)).to_be_visible()
    page.unroute("**/api/runs/**")
    page.get_by_label("Function key", exact=True).fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".big .badge")).to_be_visible()
    expect(_told(page)).to_contain_text(f"{NOT_DONE}{agree}.")
