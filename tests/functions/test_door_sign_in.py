"""The door and people who signed in with the page: their access token opens it, and their ID token does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.entra import PAGE_CLIENT
from polysync_core.rules.decisions.roles import Role
from tests.functions.app import Answer
from tests.functions.guarded import Guarded, guarded
from tests.local.entra.page import Page, returned


@pytest.fixture(scope="module")
def app(azurite: str) -> Iterator[Guarded]:
    with guarded(azurite) as running:
        yield running


def _send(app: Guarded, method: str, address: str, token: str) -> Answer:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return app.send(method, address, headers, b"{}" if method == "POST" else b"")


@pytest.mark.parametrize(
    ("person", "statuses"),
    [("reader", (200, 403, 403)), ("operator", (200, 202, 403)), ("admin", (200, 202, 200)), ("nobody", (403,) * 3)],
)
def test_who_signed_in_with_the_page_may_do_what_their_role_allows(
    app: Guarded, person: str, statuses: tuple[int, int, int]
) -> None:
    page = Page(app.entra)
    token = page.redeem(page.code(person)).json()["access_token"]
    pipeline_id = app.workspaces["finance"].add_pipeline()
    calls = (
        ("GET", "/api/runs"),
        ("POST", f"/api/pipelines/{pipeline_id}/updates?workspace=finance"),
        ("POST", "/api/jobs/discover"),
    )
    assert tuple(_send(app, method, address, token).status for method, address in calls) == statuses


def test_a_renewed_token_opens_the_same_and_a_run_names_the_person_and_the_page(app: Guarded) -> None:
    app.entra.sign_in_as([f"{Role.OPERATE}.finance"], object_id="44444444-0000-4000-8000-000000000001")
    page = Page(app.entra)
    first = page.redeem(returned(page.ask())["code"]).json()
    app.entra.ask_who()
    renewed = page.refresh(first["refresh_token"]).json()["access_token"]
    pipeline_id = app.workspaces["finance"].add_pipeline()
    started = _send(app, "POST", f"/api/pipelines/{pipeline_id}/updates?workspace=finance", renewed)
    assert started.status == 202
    assert started.json["startedBy"] == {
        "objectId": "44444444-0000-4000-8000-000000000001",
        "applicationId": PAGE_CLIENT,
    }
    assert _send(app, "GET", "/api/jobs?workspace=sales", renewed).status == 404


def test_the_id_token_opens_nothing(app: Guarded) -> None:
    page = Page(app.entra)
    told = page.redeem(page.code("admin")).json()
    assert _send(app, "GET", "/api/runs", told["access_token"]).status == 200
    for token in (told["id_token"], told["refresh_token"]):
        assert _send(app, "GET", "/api/runs", token).status == 401
