"""The door and its settings: the signing keys of Entra ID, denied callers, and settings that are wrong."""

from __future__ import annotations

import pytest

from local.entra import AUDIENCE, SimulatedEntra
from local.host import LocalHost
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions.roles import Role
from tests.functions.app import KEY, ROOT, environment, functions_in, send_to, settings_of
from tests.functions.guarded import OPEN, guarded, routes_of
from tests.functions.secrecy import told_of_settings


def test_keys_are_fetched_once_and_not_for_each_unknown_key_id(azurite: str) -> None:
    with guarded(azurite) as app:
        for _ in range(20):
            assert app.call("GET", "/api/runs", Role.READ).status == 200
        token = app.entra.wrong_token("unknown_kid")
        for _ in range(20):
            assert app.send("GET", "/api/runs", {"Authorization": f"Bearer {token}"}, b"").status == 401
        assert app.entra.fetches()["keys"] == 1


def test_while_no_keys_can_be_fetched_the_answer_is_503_and_never_200(azurite: str) -> None:
    with guarded(azurite) as app:
        app.entra.down()
        for _ in range(3):
            answer = app.call("GET", "/api/runs", Role.READ)
            assert (answer.status, answer.json["code"]) == (503, "SignInUnavailable")
            assert int(answer.headers["retry-after"]) > 0


def test_once_fetched_the_keys_go_on_while_entra_is_down(azurite: str) -> None:
    with guarded(azurite) as app:
        assert app.call("GET", "/api/runs", Role.READ).status == 200
        token = app.entra.issue([Role.READ])
        app.entra.down()
        assert app.send("GET", "/api/runs", {"Authorization": f"Bearer {token}"}, b"").status == 200


def test_a_denied_caller_is_refused_with_a_valid_token(azurite: str) -> None:
    denied = "33333333-0000-4000-8000-000000000001"
    with guarded(azurite, POLYSYNC_ENTRA_DENIED=f" {denied.upper()} ,") as app:
        token = app.entra.issue([Role.ADMIN], object_id=denied)
        assert app.send("GET", "/api/runs", {"Authorization": f"Bearer {token}"}, b"").status == 401
        assert app.call("GET", "/api/runs", Role.READ).status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLYSYNC_ENTRA_TENANT", ""),
        ("POLYSYNC_ENTRA_TENANT", "contoso"),
        ("POLYSYNC_ENTRA_AUDIENCE", "api://x"),
        ("POLYSYNC_ENTRA_AUTHORITY", "http://login.example.com"),
        ("POLYSYNC_ENTRA_DENIED", "someone"),
        ("POLYSYNC_ENTRA_PAGE_CLIENT", "page"),
        ("POLYSYNC_ENTRA_PAGE_CLIENT", AUDIENCE.upper()),
    ],
)
def test_a_wrong_setting_of_the_sign_in_closes_every_route_but_the_open_ones(
    azurite: str, name: str, value: str
) -> None:
    with guarded(azurite, **{name: value}) as app:
        with_token = {"Authorization": f"Bearer {app.entra.issue([Role.ADMIN])}"}
        for route, (method, address) in app.routes().items():
            for headers in ({}, with_token):
                answer = app.send(method, address, headers, b"")
                if route in {"alive", "openapi", "page", "page_file"}:
                    assert answer.status == 200
                else:
                    assert f"{name}: " in told_of_settings(answer, route)


def test_health_tells_in_a_line_of_its_own_whether_tokens_can_be_checked(azurite: str) -> None:
    nobody = "0ddba11a-0000-4000-8000-0000000000ff"
    for settings, is_ok in (({}, True), ({"POLYSYNC_ENTRA_TENANT": nobody}, False)):
        with guarded(azurite, **settings) as app:
            checks = {check["name"]: check for check in app.send("GET", "/api/health", {}, b"").json["checks"]}
            assert checks["sign-in"]["ok"] is is_ok
            assert ("POLYSYNC_ENTRA_TENANT" in checks["sign-in"]["message"]) is not is_ok
            assert app.entra.url not in checks["sign-in"]["message"]


@pytest.mark.parametrize("at_start", ["entra", "keys"])
def test_a_guarded_route_stays_closed_when_its_host_and_the_settings_disagree(azurite: str, at_start: str) -> None:
    """The host keeps the routes as they were at its start. The settings may be read later."""
    with SimulatedEntra() as entra, SimulatedWorkspace() as databricks:
        with_keys = settings_of(azurite, "finance", databricks)
        before, after = (
            (with_keys | entra.environ(), with_keys) if at_start == "entra" else (with_keys, entra.environ())
        )
        functions = functions_in(before)
        with environment(with_keys | after), LocalHost(ROOT, functions=functions, key=KEY, timers=False) as host:
            for route, (method, address) in routes_of(functions).items():
                if route in OPEN:
                    continue
                for headers in ({}, {"x-functions-key": KEY}):
                    answer = send_to(host)(method, address, headers, b"{}")
                    if at_start == "entra":
                        assert "POLYSYNC_CALLERS: " in told_of_settings(answer, route)
                    else:
                        assert answer.status == 401, route
