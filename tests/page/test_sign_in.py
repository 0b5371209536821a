"""People sign in with Entra ID: the authorization-code flow with PKCE, renewal, and what each role shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from local.entra import SimulatedEntra
from local.workspace import SimulatedWorkspace
from tests.functions.app import hosted, settings_of
from tests.page.browser import Tab, open_tab

JUST_NOW = re.compile(r"Updated \d+ s ago")


@dataclass(frozen=True, kw_only=True)
class SignedApp:
    """The app with two workspaces, whose callers sign in at `entra`. Each has one run, of `orders` and of `stock`."""

    url: str
    entra: SimulatedEntra
    runs: dict[str, str]


@pytest.fixture(scope="module")
def app(azurite: str) -> Iterator[SignedApp]:
    with SimulatedEntra() as entra, SimulatedWorkspace() as first, SimulatedWorkspace(issuer=first.issuer) as second:
        settings = settings_of(azurite, "finance", first, {"sales": second}) | entra.environ()
        with hosted(settings) as host:
            entra.register_redirect(f"{host.url}/api/page")
            started = SignedApp(url=host.url, entra=entra, runs={})
            for name, workspace, pipeline in (("finance", first, "orders"), ("sales", second, "stock")):
                started.runs[name] = _start(started, name, workspace.add_pipeline(name=pipeline))
            yield started


def _start(app: SignedApp, workspace: str, pipeline_id: str) -> str:
    headers = {"Authorization": f"Bearer {app.entra.issue(['Polysync.Admin'])}"}
    requests.post(f"{app.url}/api/jobs/discover?workspace={workspace}", headers=headers, timeout=30)
    address = f"{app.url}/api/pipelines/{pipeline_id}/updates?workspace={workspace}"
    return str(requests.post(address, headers=headers, timeout=30).json()["runId"])


@pytest.fixture
def tab(browser: Browser, app: SignedApp) -> Iterator[Tab]:
    """A tab whose reader has not signed in. At the end it has called nothing but the app and the authority."""
    app.entra.configure_sign_in(access_claims={}, access_token_seconds=3600.0)
    with open_tab(browser, app.url, key=None, origins={app.entra.url}) as opened:
        yield opened


def _heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def test_a_reader_signs_in_and_lands_where_the_address_points(tab: Tab, app: SignedApp) -> None:
    app.entra.ask_who()
    page = tab.open("#/jobs?name=ord")
    page.get_by_role("link", name="Otto Operator").click()
    _heading(page, "Jobs")
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)
    assert page.url == f"{app.url}/api/page#/jobs?name=ord", "the code is in no address any more"
    expect(page.locator(".who")).to_have_text("Otto Operator")
    asked = app.entra.sign_in_calls("authorize")[-1].parameters
    assert (asked["code_challenge_method"], asked["redirect_uri"]) == ("S256", f"{app.url}/api/page")
    assert app.entra.sign_in_calls("token")[-1].parameters["code_verifier"] not in asked.values()


def test_a_refused_sign_in_says_why_and_does_not_try_by_itself(tab: Tab, app: SignedApp) -> None:
    app.entra.ask_who()
    page = tab.open()
    page.get_by_role("link", name="Dana Denied").click()
    _heading(page, "You are not signed in")
    expect(page.get_by_role("alert")).to_contain_text("The sign-in was refused: ")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Rita Reader").click()
    _heading(page, "Runs")


@pytest.mark.parametrize("has_begun", [False, True])
def test_an_answer_of_a_sign_in_that_this_tab_did_not_begin_is_not_used(
    tab: Tab, app: SignedApp, has_begun: bool
) -> None:
    app.entra.ask_who()
    before = len(app.entra.sign_in_calls("token"))
    if has_begun:
        expect(tab.open().get_by_role("link", name="Rita Reader")).to_be_visible()
    page = tab.open("#code=stolen&state=of-somebody-else")
    expect(page.get_by_role("alert")).to_contain_text("does not belong to this tab")
    assert "stolen" not in page.url
    assert len(app.entra.sign_in_calls("token")) == before


def test_a_token_of_another_sign_in_is_not_used(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as(["Polysync.Read"])
    other = re.compile(r"&nonce=[^&]+")
    tab.page.route("**/authorize?*", lambda route: route.continue_(url=other.sub("&nonce=x", route.request.url)))
    page = tab.open()
    expect(page.get_by_role("alert")).to_contain_text("a token for another request")
    assert page.evaluate("sessionStorage.getItem('polysync.tokens')") is None


def test_a_token_is_renewed_before_it_ends_without_leaving_the_page(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as(["Polysync.Read"])
    page = tab.open("#/health")
    _heading(page, "Health")
    page.get_by_role("link", name="Runs").first.click()
    expect(page.locator("table.runs")).to_be_visible()
    signed_in = len(app.entra.sign_in_calls("authorize"))
    tab.pass_time(3600)
    expect(page.get_by_text(JUST_NOW)).to_be_visible()
    renewed = app.entra.sign_in_calls("token")[-1].parameters
    assert renewed["grant_type"] == "refresh_token"
    assert len(app.entra.sign_in_calls("authorize")) == signed_in


def test_a_reader_whose_token_cannot_be_renewed_signs_in_again_and_goes_on_where_it_was(
    tab: Tab, app: SignedApp
) -> None:
    app.entra.sign_in_as(["Polysync.Read"])
    page = tab.open("#/runs?status=Unknown&hours=1")
    _heading(page, "Runs")
    expect(page.locator("table.runs")).to_be_visible()
    app.entra.revoke_refresh_tokens()
    signed_in = len(app.entra.sign_in_calls("authorize"))
    tab.pass_time(3600)
    expect(page.get_by_text(JUST_NOW)).to_be_visible()
    page.wait_for_function("sessionStorage.getItem('polysync.pending') === null")
    expect(page.locator("table.runs")).to_be_visible()
    assert page.url == f"{app.url}/api/page#/runs?status=Unknown&hours=1"
    assert len(app.entra.sign_in_calls("authorize")) == signed_in + 1


def test_a_token_that_the_app_refuses_ends_in_words_and_not_in_a_loop(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as(["Polysync.Read"])
    app.entra.configure_sign_in(access_claims={"exp": 1})
    before = len(app.entra.sign_in_calls())
    page = tab.open()
    _heading(page, "You are not signed in")
    expect(page.get_by_role("alert")).to_contain_text("The access token is not accepted.")
    page.wait_for_timeout(500)
    assert len(app.entra.sign_in_calls()) == before + 2, "one sign-in, one token"


def test_while_the_authority_is_away_the_data_stay(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as(["Polysync.Read"])
    page = tab.open()
    expect(page.locator("table.runs")).to_be_visible()
    app.entra.down()
    try:
        tab.pass_time(3600)
        expect(page.get_by_role("alert")).to_contain_text("The sign-in service does not answer.")
        expect(page.locator("table.runs")).to_be_visible()
    finally:
        app.entra.up()
    tab.pass_time(61)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_reader_sees_no_buttons_that_act(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as(["Polysync.Read"])
    page = tab.open("#/jobs")
    expect(page.locator("table.jobs tbody tr")).to_have_count(2)
    assert _acts(page) == []
    page.get_by_role("link", name="orders").click()
    _heading(page, "orders")
    expect(page.locator("table.runs")).to_be_visible()
    assert _acts(page) == []
    tab.open(f"#/runs/{app.runs['finance']}")
    expect(page.locator(".big .badge")).to_be_visible()
    assert _acts(page) == []


def _acts(page: Page) -> list[str]:
    return [
        text
        for text in page.locator("main button").all_inner_texts()
        if text.split("\n")[0] not in {"Close", "Try now", "Copy"}
    ]


def test_a_role_of_one_workspace_shows_its_buttons_there_alone(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as(["Polysync.Read.finance", "Polysync.Operate.sales"])
    page = tab.open("#/jobs")
    expect(page.locator("table.jobs tbody tr")).to_have_count(2)
    assert page.get_by_role("button", name="Start").all_inner_texts() == ["Start …"]
    expect(page.get_by_role("button", name="Start stock …")).to_be_visible()
    page.get_by_label("Workspace").select_option("finance")
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)
    assert page.url.endswith("?workspace=finance")
    tab.open(f"#/runs/{app.runs['sales']}?workspace=sales")
    expect(page.get_by_role("button", name="Cancel this run …")).to_be_visible()
    tab.open(f"#/runs/{app.runs['finance']}?workspace=finance")
    expect(page.locator(".big .badge")).to_be_visible()
    assert _acts(page) == []


def test_a_filter_offers_only_the_workspaces_that_the_reader_may_see(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as(["Polysync.Read.sales"])
    page = tab.open("#/runs")
    expect(page.locator("table.runs tbody tr").first).to_contain_text("stock")
    tab.pass_time(16)
    expect(page.get_by_label("Workspace")).to_have_count(0)


def test_a_person_without_a_role_learns_what_is_missing(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as([])
    page = tab.open()
    expect(page.get_by_role("alert").first).to_contain_text("This needs the role Polysync.Read")
    expect(page.get_by_role("alert").first).to_contain_text("Ask an administrator of Polysync for the role.")


def test_what_a_person_did_names_that_person(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as(["Polysync.Operate"], object_id="11111111-0000-4000-8000-000000000009")
    page = tab.open(f"#/runs/{app.runs['sales']}?workspace=sales")
    page.get_by_role("button", name="Cancel this run …").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
    expect(page.locator(".facts").first).to_contain_text("Cancelled byyou")


def test_sign_out_ends_the_tokens_of_the_tab(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as(["Polysync.Read"])
    page = tab.open()
    _heading(page, "Runs")
    page.get_by_role("button", name="Sign out").click()
    _heading(page, "You are not signed in")
    assert page.evaluate("sessionStorage.length") == 0


def test_an_import_covers_every_workspace_that_the_reader_may_import(tab: Tab, app: SignedApp) -> None:
    app.entra.sign_in_as(["Polysync.Admin.sales", "Polysync.Read"])
    page = tab.open("#/jobs")
    expect(page.locator("table.jobs tbody tr")).to_have_count(2)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Import from Databricks").click()
    expect(page.get_by_role("status").filter(has_text="Imported: 0 new")).to_be_visible()
    assert [url for url in asked if "discover" in url] == [f"{app.url}/api/jobs/discover?workspace=sales"]
    page.get_by_label("Workspace").select_option("finance")
    expect(page.get_by_role("button", name="Import from Databricks")).to_have_count(0)
