"""The door: who signs in with Entra ID, what each role opens, and that nothing else is open."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator

import pytest

from local.entra import WRONG_TOKENS, SimulatedEntra
from local.host.functions import HttpTrigger
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions.roles import ROLE_OF_ROUTE, WHOLE_APP, Role
from tests.functions.app import KEY, Answer, functions_in, hosted, send_to, settings_of
from tests.functions.guarded import OPEN, PIPELINE, Guarded, guarded, routes_of
from tests.functions.secrecy import told_of_settings

ROLES = [Role.READ, Role.OPERATE, Role.ADMIN]


@pytest.fixture(scope="module")
def app(azurite: str) -> Iterator[Guarded]:
    with guarded(azurite) as running:
        yield running


# --- which routes are guarded


def test_every_route_has_its_role_in_the_table(app: Guarded) -> None:
    assert set(app.routes()) == set(ROLE_OF_ROUTE)
    assert {name for name, role in ROLE_OF_ROUTE.items() if role is None} == OPEN


@pytest.mark.parametrize("mode", [None, "", "keys", "Entra", "entra ", " entra", "enta", "ENTRA", "keys,entra"])
def test_with_any_mode_but_entra_no_guarded_route_is_anonymous(azurite: str, mode: str | None) -> None:
    with SimulatedWorkspace() as databricks:
        settings = settings_of(azurite, "w", databricks) | ({} if mode is None else {"POLYSYNC_CALLERS": mode})
        levels = {
            function.name: function.trigger.auth_level
            for function in functions_in(settings)
            if isinstance(function.trigger, HttpTrigger)
        }
    assert {name for name, level in levels.items() if level == "anonymous"} == OPEN
    assert {level for name, level in levels.items() if name not in OPEN} == {"function"}


@pytest.mark.parametrize("mode", ["Entra", "entra ", "enta", "keys,entra"])
def test_a_wrong_mode_is_a_wrong_setting_also_with_a_key(azurite: str, mode: str) -> None:
    with SimulatedWorkspace() as databricks:
        settings = settings_of(azurite, "w", databricks) | {"POLYSYNC_CALLERS": mode}
        with hosted(settings) as host:
            for name, (method, address) in routes_of(functions_in(settings)).items():
                if name not in OPEN:
                    answer = send_to(host)(method, address, {"x-functions-key": KEY}, b"{}")
                    assert "POLYSYNC_CALLERS: must be exactly keys or entra" in told_of_settings(answer, name)


def test_without_a_token_only_the_open_routes_answer_and_a_key_opens_nothing(app: Guarded) -> None:
    for name, (method, address) in app.routes().items():
        for headers in ({}, {"x-functions-key": KEY}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}):
            answer = app.send(method, address, {"Content-Type": "application/json", **headers}, b"{}")
            if name in OPEN:
                assert answer.status != 401, name
                continue
            assert (answer.status, answer.json["code"]) == (401, "NotSignedIn"), name
            assert answer.headers["www-authenticate"].startswith('Bearer authorization_uri="http://')


@pytest.mark.parametrize("wrong", WRONG_TOKENS)
def test_no_wrong_token_opens_a_route(app: Guarded, wrong: str) -> None:
    token = app.entra.wrong_token(wrong)
    for name, (method, address) in app.routes().items():
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = app.send(method, address, headers, b"{}")
        assert (answer.status == 401) is (name not in OPEN), (name, wrong)
        if name not in OPEN:
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
            told = answer.body.decode()
            assert ("requestedAccessTokenVersion" in told) is (wrong == "v1")
            assert token not in told


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "bearer", ""])
def test_a_header_without_a_token_is_told_to_send_one(app: Guarded, header: str) -> None:
    answer = app.send("GET", "/api/runs", {"Authorization": header}, b"")
    assert (answer.status, answer.json["detail"].partition(":")[0]) == (401, "Sign in")
    assert "error=" not in answer.headers["www-authenticate"]


def test_two_authorization_headers_are_refused(app: Guarded) -> None:
    token = app.entra.issue([Role.ADMIN])
    twice = {"Authorization": f"Bearer {token}, Bearer {token}"}
    assert app.send("GET", "/api/runs", twice, b"").status == 401


@pytest.mark.parametrize("other", ["", "Basic eDp5", "Bearer x", None])
def test_a_second_line_of_the_header_is_refused_too(app: Guarded, other: str | None) -> None:
    token = f"Bearer {app.entra.issue([Role.ADMIN])}"
    for lines in ([token, token if other is None else other], [token if other is None else other, token]):
        connection = http.client.HTTPConnection(app.base_url.partition("//")[2], timeout=30)
        with contextlib.closing(connection):
            connection.putrequest("GET", "/api/runs")
            for line in lines:
                connection.putheader("Authorization", line)
            connection.endheaders()
            assert connection.getresponse().status == 401


def test_an_id_token_of_the_page_is_refused_also_with_the_roles_of_its_user(app: Guarded) -> None:
    page = app.entra.environ()["POLYSYNC_ENTRA_PAGE_CLIENT"]
    id_token = app.entra.wrong_token("id_token_of_the_page")
    for_the_page = app.entra.issue([Role.ADMIN], kind="user", claims={"aud": page})
    by_the_page = app.entra.issue([Role.ADMIN], kind="user", client_id=page)
    statuses = [
        app.send("GET", "/api/runs", {"Authorization": f"Bearer {token}"}, b"").status
        for token in (id_token, for_the_page, by_the_page)
    ]
    assert statuses == [401, 401, 200]


# --- what a role opens


@pytest.mark.parametrize("suffix", ["", ".finance"])
@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_routes_and_those_of_lower_roles(app: Guarded, role: Role, suffix: str) -> None:
    run_id = app.start("finance", Role.OPERATE).json["runId"]
    for name, (method, address) in app.routes().items():
        needed = ROLE_OF_ROUTE[name]
        if needed is None:
            continue
        address = address.replace(f"{PIPELINE}:u1", run_id)
        body = {"value": True} if name == "set_parameter" else {}
        answer = app.call(
            method, f"{address}?workspace=finance" if name not in WHOLE_APP else address, role + suffix, body=body
        )
        may = ROLES.index(role) >= ROLES.index(needed) and not (suffix and name in WHOLE_APP)
        if may:
            assert answer.status not in ({401, 403, 404} if run_id in address else {401, 403}), (name, answer)
        else:
            assert (answer.status, answer.json["code"]) == (403, "RoleMissing"), (name, answer)
            assert str(needed) in answer.json["detail"]


@pytest.mark.parametrize(
    ("route", "method"), [("cancel", "POST"), ("callbacks/redeliver", "POST"), ("abandon", "POST")]
)
def test_what_one_may_see_and_not_do_is_403_and_what_one_may_not_see_is_404(
    app: Guarded, route: str, method: str
) -> None:
    run_id = app.start("sales", Role.OPERATE).json["runId"]
    address = f"/api/runs/{run_id}/{route}"
    seen = app.call(method, address, "Polysync.Read.sales", "Polysync.Admin.finance")
    assert (seen.status, seen.json["code"]) == (403, "RoleMissing")
    assert "Polysync.Operate or Polysync.Operate.sales" in seen.json["detail"]
    unseen = app.call(method, address, "Polysync.Admin.finance")
    assert (unseen.status, unseen.json["code"]) == (404, "RunNotFound")
    assert app.call(method, address, "Polysync.Operate.sales").status not in {401, 403, 404}


def test_a_workspace_that_one_may_not_see_is_404_and_in_no_list(app: Guarded) -> None:
    hidden = app.start("sales", Role.OPERATE).json["runId"]
    shown = app.start("finance", Role.OPERATE).json["runId"]
    for address in ("/api/runs?workspace=*", "/api/runs", "/api/runs?workspace=finance"):
        items = app.call("GET", address, "Polysync.Read.finance").json["items"]
        ids = [run["runId"] for run in items]
        assert shown in ids
        assert hidden not in ids
    for address in ("/api/runs?workspace=sales", "/api/jobs?workspace=sales", "/api/runs?workspace=nowhere"):
        answer = app.call("GET", address, "Polysync.Read.finance")
        assert (answer.status, answer.json["code"]) == (404, "WorkspaceNotFound")
    for address in (f"/api/runs/{hidden}", f"/api/runs/{hidden}/events"):
        unseen = app.call("GET", address, "Polysync.Read.finance")
        assert (unseen.status, unseen.json["code"]) == (404, "RunNotFound")
        for role in ("Polysync.Read", "Polysync.Read.sales", "Polysync.Admin"):
            assert app.call("GET", address, role).status == 200


@pytest.mark.parametrize("roles", [("Polysync.Operate.sales",), ("Polysync.Read.finance", "Polysync.Operate.sales")])
def test_the_default_workspace_is_the_first_where_the_caller_has_the_role_of_the_route(
    app: Guarded, roles: tuple[str, ...]
) -> None:
    pipeline_id = app.workspaces["sales"].add_pipeline()
    started = app.call("POST", f"/api/pipelines/{pipeline_id}/updates", *roles, body={})
    assert (started.status, started.json["workspace"]) == (202, "sales")
    stopped = app.call("POST", f"/api/pipelines/{pipeline_id}/cancel", *roles)
    assert (stopped.status, stopped.json["runId"]) == (202, started.json["runId"])
    first = app.start("finance", Role.OPERATE).json["runId"]
    listed = [run["runId"] for run in app.call("GET", "/api/runs", *roles).json["items"]]
    assert (first in listed) is (len(roles) == 2), "a list is of the first workspace that the caller may see"


def test_with_one_workspace_the_missing_role_is_named_without_a_suffix(azurite: str) -> None:
    with (
        SimulatedEntra() as entra,
        SimulatedWorkspace() as databricks,
        hosted(settings_of(azurite, "default", databricks) | entra.environ()) as host,
    ):
        headers = {"Authorization": f"Bearer {entra.issue([Role.READ])}", "Content-Type": "application/json"}
        answer = send_to(host)("POST", f"/api/pipelines/{PIPELINE}/updates", headers, b"{}")
    assert (answer.status, answer.json["detail"]) == (403, "This needs the role Polysync.Operate.")


def test_a_role_of_another_workspace_does_not_open_this_one(app: Guarded) -> None:
    answer = app.start("sales", "Polysync.Operate.finance", "Polysync.Read.sales")
    assert (answer.status, answer.json["code"]) == (403, "RoleMissing")
    assert app.start("sales", "Polysync.Operate.finance").status == 404


def test_a_token_without_a_role_of_ours_opens_nothing(app: Guarded) -> None:
    for roles in ((), ("Polysync.Read.nowhere",), ("polysync.read",), ("Polysync.Reader",), ("Polysync.Admin.",)):
        answer = app.call("GET", "/api/runs", *roles)
        assert (answer.status, answer.json["code"]) == (403, "RoleMissing"), roles


# --- who did it


def test_a_run_and_its_cancel_name_their_callers(app: Guarded) -> None:
    starter, stopper = "11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"

    def headers(object_id: str) -> dict[str, str]:
        token = app.entra.issue([Role.OPERATE], object_id=object_id)
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    pipeline_id = app.workspaces["finance"].add_pipeline()
    started = app.send("POST", f"/api/pipelines/{pipeline_id}/updates?workspace=finance", headers(starter), b"{}").json
    assert started["startedBy"]["objectId"] == starter
    assert started["startedBy"]["applicationId"] is not None
    assert started["cancelledBy"] is None
    app.send("POST", f"/api/runs/{started['runId']}/cancel", headers(stopper), b"")
    read = app.send("GET", f"/api/runs/{started['runId']}", headers(starter), b"").json
    assert (read["startedBy"]["objectId"], read["cancelledBy"]["objectId"]) == (starter, stopper)


def test_the_same_idempotency_key_of_another_caller_is_another_key(app: Guarded) -> None:
    pipelines = app.workspaces["finance"].add_pipelines(1)
    address = f"/api/pipelines/{pipelines[0]}/updates?workspace=finance"

    def send(object_id: str, address: str, body: bytes) -> Answer:
        token = app.entra.issue([Role.OPERATE], object_id=object_id)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": "k"}
        return app.send("POST", address, headers, body)

    def start(object_id: str, body: bytes) -> Answer:
        return send(object_id, address, body)

    def cancel(object_id: str) -> Answer:
        return send(object_id, f"/api/pipelines/{pipelines[0]}/cancel?workspace=finance", b"")

    first, second = "22222222-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
    run_id = start(first, b"{}").json["runId"]
    assert start(first, b"{}").json["runId"] == run_id
    other = start(second, b'{"full_refresh": true}')
    assert (other.status, other.json["code"]) == (409, "ActiveUpdateExists"), "not 422: its key was never used"
    stopped = cancel(second)
    assert (stopped.status, stopped.json["code"]) == (404, "RunNotFound"), "nobody stops a run by another's key"
    assert cancel(first).json["runId"] == run_id
