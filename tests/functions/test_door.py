"""The door: who signs in with Entra ID, what each role opens, and that nothing else is open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import azure.functions as func
import pytest

from local.entra import WRONG_TOKENS, SimulatedEntra
from local.host import LocalHost, load_functions
from local.host.functions import Functions, HttpTrigger
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions.roles import ROLE_OF_ROUTE, WHOLE_APP, Role
from tests.functions.app import KEY, ROOT, Answer, Send, environment, send_to, settings_of

OPEN = {"await_run", "alive", "health", "openapi"}
ROLES = [Role.READ, Role.OPERATE, Role.ADMIN]
PIPELINE = "pipeline-of-nobody"


def functions_in(settings: Mapping[str, str]) -> Functions:
    """The app's functions as a host that starts with these settings finds them."""
    with environment(settings):
        namespace: dict[str, object] = {}
        exec(compile((ROOT / "function_app.py").read_text(), "function_app.py", "exec"), namespace)
        app = namespace["app"]
        assert isinstance(app, func.FunctionApp)
        return load_functions(app)


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """The app with two workspaces, `finance` and `sales`, whose callers sign in at `entra`."""

    entra: SimulatedEntra
    workspaces: Mapping[str, SimulatedWorkspace]
    functions: Functions
    send: Send

    def call(self, method: str, address: str, *roles: str, body: object = None, **headers: str) -> Answer:
        """Send a request with a token of these roles. Without any, the token names none."""
        token = self.entra.issue([*roles])
        return self.send(
            method,
            address,
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers},
            b"" if body is None else json.dumps(body).encode(),
        )

    def start(self, workspace: str, *roles: str, **headers: str) -> Answer:
        pipeline_id = self.workspaces[workspace].add_pipeline()
        address = f"/api/pipelines/{pipeline_id}/updates?workspace={workspace}"
        return self.call("POST", address, *roles, body={}, **headers)


@contextmanager
def guarded(azurite: str, **settings: str) -> Iterator[Guarded]:
    with SimulatedEntra() as entra, SimulatedWorkspace() as first, SimulatedWorkspace(issuer=first.issuer) as second:
        environ = {
            **settings_of(azurite, "finance", first),
            "POLYSYNC_WORKSPACES": json.dumps({"finance": {"url": first.url}, "sales": {"url": second.url}}),
            **entra.environ(),
            **settings,
        }
        functions = functions_in(environ)
        with environment(environ), LocalHost(ROOT, functions=functions, key=KEY, timers=False) as host:
            yield Guarded(
                entra=entra,
                workspaces={"finance": first, "sales": second},
                functions=functions,
                send=send_to(host),
            )


@pytest.fixture(scope="module")
def app(azurite: str) -> Iterator[Guarded]:
    with guarded(azurite) as running:
        yield running


def _routes(functions: Functions) -> dict[str, tuple[str, str]]:
    """Method and address of each route, for a pipeline and a run that do not exist."""
    found = {}
    for function in functions:
        if isinstance(function.trigger, HttpTrigger):
            route = function.trigger.route.replace("{run_id}", f"{PIPELINE}:u1").replace("{pipeline_id}", PIPELINE)
            method = next(iter(sorted(function.trigger.methods)))
            found[function.name] = method, f"/api/{route.replace('{name}', 'full_refresh')}"
    return found


# --- which routes are guarded


def test_every_route_has_its_role_in_the_table(app: Guarded) -> None:
    assert set(_routes(app.functions)) == set(ROLE_OF_ROUTE)
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


def test_without_a_token_only_the_open_routes_answer_and_a_key_opens_nothing(app: Guarded) -> None:
    for name, (method, address) in _routes(app.functions).items():
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
    for name, (method, address) in _routes(app.functions).items():
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = app.send(method, address, headers, b"{}")
        assert (answer.status == 401) is (name not in OPEN), (name, wrong)
        if name not in OPEN:
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
            told = answer.body.decode()
            assert ("requestedAccessTokenVersion" in told) is (wrong == "v1")
            assert token not in told


def test_two_authorization_headers_are_refused(app: Guarded) -> None:
    token = app.entra.issue([Role.ADMIN])
    twice = {"Authorization": f"Bearer {token}, Bearer {token}"}
    assert app.send("GET", "/api/runs", twice, b"").status == 401


# --- what a role opens


@pytest.mark.parametrize("suffix", ["", ".finance"])
@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_routes_and_those_of_lower_roles(app: Guarded, role: Role, suffix: str) -> None:
    for name, (method, address) in _routes(app.functions).items():
        needed = ROLE_OF_ROUTE[name]
        if needed is None or "{run_id}" in address:
            continue
        body = {"value": True} if name == "set_parameter" else {}
        answer = app.call(
            method, f"{address}?workspace=finance" if name not in WHOLE_APP else address, role + suffix, body=body
        )
        may = ROLES.index(role) >= ROLES.index(needed) and not (suffix and name in WHOLE_APP)
        if may:
            assert answer.status not in {401, 403}, (name, answer)
        elif "/runs/" in address:
            assert answer.status == 404, "there is no such run, whoever asks"
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


def test_the_default_workspace_is_the_first_that_the_caller_may_see(app: Guarded) -> None:
    pipeline_id = app.workspaces["sales"].add_pipeline()
    started = app.call("POST", f"/api/pipelines/{pipeline_id}/updates", "Polysync.Operate.sales", body={})
    assert (started.status, started.json["workspace"]) == (202, "sales")


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

    def start(object_id: str, body: bytes) -> Answer:
        token = app.entra.issue([Role.OPERATE], object_id=object_id)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": "k"}
        return app.send("POST", address, headers, body)

    first, second = "22222222-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
    run_id = start(first, b"{}").json["runId"]
    assert start(first, b"{}").json["runId"] == run_id
    other = start(second, b'{"full_refresh": true}')
    assert (other.status, other.json["code"]) == (409, "ActiveUpdateExists"), "not 422: its key was never used"


# --- keys of Entra ID


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
    ],
)
def test_a_wrong_setting_of_the_sign_in_closes_every_route_but_the_open_ones(
    azurite: str, name: str, value: str
) -> None:
    with guarded(azurite, **{name: value}) as app:
        for route, (method, address) in _routes(app.functions).items():
            answer = app.send(method, address, {"Authorization": f"Bearer {app.entra.issue(['Polysync.Admin'])}"}, b"")
            if route in {"alive", "openapi"}:
                assert answer.status == 200
            else:
                assert answer.status == 503
                assert name in answer.body.decode()
