"""Responses through local.host when Databricks refuses a call, and the addresses in an accepted start."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from local.workspace import SimulatedWorkspace
from polysync_core.rules.wire.pipelines_api import START_HINTS
from polysync_core.values.databricks_errors import PERMISSION_HINT
from tests.functions.app import Answer, Serve, ServedApp, only_with_keys
from tests.functions.secrecy import QUERY_MARK, check_problem, check_told, check_unknown_workspace

START, GET, STOP = "/pipelines/{id}/updates", "/pipelines/{id}/updates/{uid}", "/pipelines/{id}/updates/{uid}/stop"


@pytest.fixture
def databricks(app: ServedApp) -> Iterator[SimulatedWorkspace]:
    yield app.databricks
    app.databricks.clear_faults()


@pytest.fixture
def pipeline(databricks: SimulatedWorkspace) -> str:
    return databricks.add_pipeline()


class TestDatabricksRefusesAStart:
    @pytest.mark.parametrize(
        ("status", "error_code", "retry_after", "code", "hint"),
        [
            (400, "INVALID_PARAMETER_VALUE", None, "DatabricksError", START_HINTS[400]),
            (403, "PERMISSION_DENIED", None, "DatabricksPermissionDenied", PERMISSION_HINT),
            (404, "RESOURCE_DOES_NOT_EXIST", None, "DatabricksError", ""),
            (409, "RESOURCE_CONFLICT", None, "ActiveUpdateExists", ""),
            (429, "REQUEST_LIMIT_EXCEEDED", "33", "DatabricksError", ""),
        ],
    )
    def test_its_code_and_message_arrive(
        self,
        app: ServedApp,
        databricks: SimulatedWorkspace,
        pipeline: str,
        caplog: pytest.LogCaptureFixture,
        *,
        status: int,
        error_code: str,
        retry_after: str | None,
        code: str,
        hint: str,
    ) -> None:
        databricks.add_fault(
            "status",
            method="POST",
            route=START,
            times=None,
            status=status,
            error_code=error_code,
            message="Grüße aus dem Workspace.",
            headers={} if retry_after is None else {"Retry-After": retry_after},
        )
        answer = app.post(f"/api/pipelines/{pipeline}/updates?clientId={QUERY_MARK}", {})
        check_problem(answer, status, code)
        assert answer.json["databricks"] == {
            "status": status,
            "error_code": error_code,
            "message": "Grüße aus dem Workspace.",
        }
        assert "Grüße aus dem Workspace." in answer.json["detail"]
        assert hint in answer.json["detail"]
        assert answer.headers.get("retry-after") == retry_after
        check_told(caplog.text, answer)
        databricks.clear_faults()
        assert app.start(pipeline).status == 202, "nothing was started, so the pipeline is free"

    def test_a_pipeline_that_does_not_exist(self, app: ServedApp) -> None:
        answer = app.start("nowhere")
        check_problem(answer, 404, "PipelineNotFound")
        assert answer.json["databricks"]["error_code"] == "RESOURCE_DOES_NOT_EXIST"
        assert "GET /api/jobs" in answer.json["detail"]

    def test_an_active_update_is_named(self, app: ServedApp, databricks: SimulatedWorkspace, pipeline: str) -> None:
        update_id = databricks.start_elsewhere(pipeline)
        answer = app.start(pipeline)
        check_problem(answer, 409, "ActiveUpdateExists")
        assert answer.json["active"] == {
            "updateId": update_id,
            "state": "CREATED",
            "updateUrl": f"{databricks.url}/pipelines/{pipeline}/updates/{update_id}",
            "runId": None,
        }
        joining = {"onConflict": "attach", "parameters": {"of.this.caller": 1}}
        for joined in (app.start(pipeline, joining), app.start(pipeline, {**joining, "parameters": {"of.that": 2}})):
            assert joined.json["attached"] is True
        assert joined.json["ignoredParameters"] == ["of.that"], "of the caller, not of who came first"
        assert app.start(pipeline).json["active"]["runId"] == f"{pipeline}:{update_id}"


@only_with_keys  # it takes 13 s, and the token is the app's own
def test_without_a_token_of_entra_id_it_is_a_503(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with serve() as app:
        app.databricks.add_fault("status", route="/msi/token", status=400, times=None, message="no identity here")
        answers = [app.start("p1"), app.get("/api/health")]
        check_problem(answers[0], 503, "TokenUnavailable")
        assert answers[1].status == 503
        assert {check["name"]: check["ok"] for check in answers[1].json["checks"]} == {
            "settings": True,
            "storage": True,
            "token": False,
            f"workspace {app.name}": False,
            f"sweep {app.name}": True,
        }
        check_told(caplog.text, *answers)
        for answer in answers:
            assert app.databricks.url not in answer.body.decode()
        assert not app.databricks.calls()


class TestDatabricksRefusesAStop:
    def test_a_refused_permission_is_answered_and_the_cancel_kept(
        self, app: ServedApp, databricks: SimulatedWorkspace, pipeline: str
    ) -> None:
        run = app.run(pipeline)
        databricks.add_fault(
            "status", method="POST", route=STOP, times=None, status=403, error_code="PERMISSION_DENIED"
        )
        answer = app.post(f"{run}/cancel")
        check_problem(answer, 403, "DatabricksPermissionDenied")
        assert answer.json["databricks"]["error_code"] == "PERMISSION_DENIED"
        assert app.get(run).json["cancelRequestedAt"]

    def test_what_may_pass_is_left_to_the_sweep(
        self, app: ServedApp, databricks: SimulatedWorkspace, pipeline: str
    ) -> None:
        run = app.run(pipeline)
        databricks.add_fault("status", method="POST", route=STOP, status=429, headers={"Retry-After": "9"})
        assert app.post(f"{run}/cancel").status == 202
        assert databricks.updates_of(pipeline)[0].state == "CREATED"
        app.fire("sweep_runs")
        assert databricks.updates_of(pipeline)[0].state == "STOPPING"


class TestWhereAStartSendsItsCaller:
    def check_addresses(self, answer: Answer, base_url: str) -> None:
        run_id = answer.json["runId"]
        assert answer.status == 202
        assert answer.headers["operation-location"] == f"{base_url}/api/runs/{run_id}" == answer.json["statusUrl"]
        location = urlsplit(answer.headers["location"])
        assert location._replace(query="").geturl() == f"{base_url}/api/runs/{run_id}/result"
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json["cancelUrl"] == f"{base_url}/api/runs/{run_id}/cancel"

    def test_to_the_configured_address_whatever_the_request_claims(self, serve: Serve) -> None:
        forged = {"Host": "evil.example", "X_Forwarded_Host": "evil.example", "Forwarded": "host=evil.example"}
        public_url = "https://polysync.example:8443"
        with serve(POLYSYNC_PUBLIC_URL=public_url + "/", WEBSITE_HOSTNAME="app.azurewebsites.net") as app:
            started = app.start(app.databricks.add_pipeline(), **forged)
            self.check_addresses(started, public_url)
            result = app.get(started.headers["location"].removeprefix(public_url), Host="evil.example")
            assert result.status == 202
            assert result.headers["location"] == started.headers["location"]
            assert "evil" not in started.body.decode() + result.body.decode() + str(result.headers)

    def test_without_one_to_the_host_that_the_request_came_to(self, serve: Serve) -> None:
        with serve(WEBSITE_HOSTNAME="app-staging.azurewebsites.net") as app:
            started = app.start(app.databricks.add_pipeline(), Host="app.azurewebsites.net")
            self.check_addresses(started, "https://app.azurewebsites.net")

    def test_on_a_laptop_to_the_requests_own_host(self, app: ServedApp, pipeline: str) -> None:
        self.check_addresses(app.start(pipeline), app.base_url)


def test_the_result_address_opens_without_a_key_and_only_with_its_token(app: ServedApp, pipeline: str) -> None:
    address = app.start(pipeline).headers["location"].removeprefix(app.base_url)
    assert app.send("GET", address, {}, b"").status == 202
    wrong = app.send("GET", address[:-1] + ("A" if address[-1] != "A" else "E"), {}, b"")
    check_problem(wrong, 404, "RunNotFound")


def test_a_whole_life_leaks_no_secret(
    app: ServedApp, databricks: SimulatedWorkspace, pipeline: str, caplog: pytest.LogCaptureFixture
) -> None:
    started = app.start(pipeline)
    run, result = (urlsplit(started.json[name]) for name in ("statusUrl", "resultUrl"))
    answers = [app.send("GET", f"{result.path}?{result.query}&clientId={QUERY_MARK}", {}, b"")]
    databricks.add_fault("status", method="GET", route=GET, status=500, times=None, body="<html>Down</html>")
    app.fire("sweep_runs")
    databricks.clear_faults()
    databricks.set_state(pipeline, None, "COMPLETED")
    app.fire("sweep_runs")
    later = [app.get(address) for address in (run.path, "/api/runs", "/api/health", f"{result.path}?token=wrong")]
    later.append(app.get(f"{result.path}?{result.query}"))
    assert [answer.status for answer in later] == [200, 200, 200, 404, 200]
    assert "sweep" in caplog.text
    check_told(caplog.text, started, *answers, addresses_told=True)
    check_told(caplog.text, *later)


@pytest.mark.parametrize("body", [b'{"\\ud800": 1}', b'{"full_refresh": "\\udfff"}', b'"\\ud800"'])
def test_half_a_surrogate_pair_is_a_bad_request_like_any_other(app: ServedApp, body: bytes) -> None:
    check_problem(app.start("p1", body), 400, "InvalidRequest")


def test_the_workspace_may_stand_in_the_body_of_a_cancel_too(app: ServedApp, pipeline: str) -> None:
    check_unknown_workspace(app, app.post(f"/api/pipelines/{pipeline}/cancel", {"workspace": "nope"}))


@pytest.mark.parametrize("query", ["workspce=other", "pipeline=x", "Workspace=default"])
def test_a_query_parameter_that_a_route_does_not_have_is_refused_by_name(
    app: ServedApp, pipeline: str, query: str
) -> None:
    answers = [
        app.post(f"/api/pipelines/{pipeline}/updates?{query}", {}),
        app.get(f"/api/runs?{query}"),
        app.get(f"/api/jobs?{query}"),
    ]
    for answer in answers:
        check_problem(answer, 400, "InvalidRequest")
        assert query.partition("=")[0].encode() in answer.body
    assert app.databricks.updates_of(pipeline) == []


class TestAHostThatIsNone:
    def test_it_is_a_bad_request_where_addresses_would_be_built_from_it(self, app: ServedApp, pipeline: str) -> None:
        answer = app.start(pipeline, Host="[")
        check_problem(answer, 400, "InvalidRequest")
        assert answer.json["errors"][0]["field"] == "Host"
        assert app.databricks.updates_of(pipeline) == []

    def test_no_other_answer_needs_one(self, app: ServedApp) -> None:
        assert app.get("/api/health", Host="[").status in {200, 503}
        answer = app.get("/api/runs/p1:u1", Host="[")
        check_problem(answer, 404, "RunNotFound")
        assert answer.json["instance"] == "/api/runs/p1:u1"
