"""The routes of jobs through local.host: requests and responses."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.functions.app import Answer, Serve, ServedApp
from tests.functions.secrecy import check_unknown_workspace, told_of_settings


@pytest.fixture
def pipeline_id(app: ServedApp) -> str:
    """The id of a pipeline that was imported as a job."""
    pipeline_id = app.databricks.add_pipeline(name="orders")
    assert app.post("/api/jobs/discover").status == 200
    return pipeline_id


def put(app: ServedApp, pipeline_id: str, body: object, name: str = "full_refresh") -> Answer:
    return app.put(f"/api/jobs/{pipeline_id}/parameters/{name}", body)


def parameter(answer: Answer, name: str) -> dict[str, Any]:
    (only,) = [one for one in answer.json["parameters"] if one["name"] == name]
    return dict(only)


def test_a_discovery_reports_and_each_pipeline_is_a_job(app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="orders")
    report = app.post("/api/jobs/discover", {"workspace": app.name})
    assert report.status == 200
    assert report.json.keys() == {"workspace", "jobs", "parameters", "failed", "changes", "complete", "continuation"}
    assert report.json["jobs"].keys() == {"added", "changed", "removed", "unchanged"}
    assert report.json["parameters"].keys() == report.json["jobs"].keys()
    assert (report.json["complete"], report.json["continuation"]) == (True, None)
    assert {"job": pipeline_id, "parameter": "photon", "change": "added", "from": None, "to": True} in report.json[
        "changes"
    ]
    job = app.get(f"/api/jobs/{pipeline_id}")
    assert (job.status, job.json["name"], job.json["jobType"]) == (200, "orders", "Databricks Pipeline")
    assert job.json["monitorUrl"] == f"{app.databricks.url}/#joblist/pipelines/{pipeline_id}"


def test_jobs_are_listed_in_pages(app: ServedApp, pipeline_id: str) -> None:
    app.databricks.add_pipelines(3)
    app.post("/api/jobs/discover")
    seen: list[str] = []
    continuation = ""
    while True:
        page = app.get(f"/api/jobs?limit=2{continuation}")
        assert page.status == 200
        seen += [item["externalId"] for item in page.json["items"]]
        if page.json["continuation"] is None:
            break
        continuation = f"&continuation={page.json['continuation']}"
    assert seen == sorted(app.databricks.pipeline_ids())


def test_a_put_full_refresh_is_sent_by_the_next_start_and_survives_a_sync(app: ServedApp, pipeline_id: str) -> None:
    answer = put(app, pipeline_id, {"value": "true"})
    assert (answer.status, parameter(answer, "full_refresh")) == (
        200,
        {
            "name": "full_refresh",
            "value": True,
            "dataType": "Bool",
            "direction": "Input",
            "forwarded": True,
            "hidden": False,
        },
    )
    app.databricks.set_spec(pipeline_id, {"photon": False})
    report = app.post(f"/api/jobs/{pipeline_id}/sync")
    assert (report.status, report.json["jobs"]["changed"], report.json["complete"]) == (200, 1, True)
    assert parameter(app.get(f"/api/jobs/{pipeline_id}"), "full_refresh")["value"] is True
    started = app.start(pipeline_id)
    assert (started.json["fullRefresh"], started.json["pipelineName"]) == (True, "orders")
    assert app.databricks.updates_of(pipeline_id)[0].body == {"pipeline_id": pipeline_id, "full_refresh": True}


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({"value": "maybe"}, "value", 'must be true or false (or the strings "true" and "false")'),
        ({"direction": "Input"}, "value", "is missing"),
        ({"value": True, "direction": "Both"}, "direction", "must be one of Input, Output, Input&Output"),
        ({"value": True, "unit": "s"}, "unit", "is not a field of a parameter; there are value, direction, workspace"),
    ],
)
def test_a_wrong_full_refresh_is_400_and_named(
    app: ServedApp, pipeline_id: str, body: object, field: str, allowed: str
) -> None:
    answer = put(app, pipeline_id, body)
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (400, "application/problem+json")
    assert [(one["field"], one["allowed"]) for one in answer.json["errors"]] == [(field, allowed)]


@pytest.mark.parametrize("name", ["photon", "spark.sql.shuffle.partitions", "custom.a%23b"])
def test_another_parameter_is_409_with_the_place_to_edit_it(app: ServedApp, pipeline_id: str, name: str) -> None:
    answer = put(app, pipeline_id, {"value": True}, name)
    assert (answer.status, answer.json["code"]) == (409, "ParameterReadOnly")
    assert "Edit the pipeline in Databricks, then Sync Parameters" in answer.json["detail"]


def test_an_unknown_job_is_404_with_the_advice_to_discover(app: ServedApp) -> None:
    nobodys = str(uuid.uuid4())
    answers = [
        app.get(f"/api/jobs/{nobodys}"),
        app.post(f"/api/jobs/{nobodys}/sync"),
        put(app, nobodys, {"value": True}),
        app.get("/api/jobs/discover"),
    ]
    for answer in answers:
        assert (answer.status, answer.json["code"]) == (404, "JobNotFound")
        assert "POST /api/jobs/discover" in answer.json["detail"]


@pytest.mark.parametrize(
    ("address", "body", "field"),
    [
        ("/api/jobs/discover", {"continuation": "x"}, "continuation"),
        ("/api/jobs/discover?continuation=x", None, "continuation"),
        ("/api/jobs/discover", {"full_refresh": True}, "full_refresh"),
        ("/api/jobs/p%20q/sync", None, "pipeline_id"),
    ],
)
def test_a_wrong_request_is_400_and_named(app: ServedApp, address: str, body: object, field: str) -> None:
    answer = app.post(address, body)
    assert answer.status == 400
    assert [one["field"] for one in answer.json["errors"]] == [field]


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/api/jobs/discover?workspace=nobodys", None),
        ("/api/jobs/discover", {"workspace": "nobodys"}),
        ("/api/jobs/p/sync?workspace=nobodys", None),
    ],
)
def test_an_unknown_workspace_is_refused(app: ServedApp, address: str, body: object) -> None:
    check_unknown_workspace(app, app.post(address, body))


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "continuation=x"])
def test_a_wrong_listing_is_400(app: ServedApp, query: str) -> None:
    assert app.get(f"/api/jobs?{query}").status == 400


def test_databricks_trouble_is_passed_on(app: ServedApp, pipeline_id: str) -> None:
    app.databricks.add_fault("status", status=403, error_code="PERMISSION_DENIED", route="/pipelines", times=2)
    refused = app.post("/api/jobs/discover")
    assert (refused.status, refused.json["code"]) == (403, "DatabricksPermissionDenied")
    app.databricks.add_fault("status", status=429, headers={"Retry-After": "90"}, route="/pipelines/{id}")
    busy = app.post(f"/api/jobs/{pipeline_id}/sync")
    assert (busy.status, busy.headers["retry-after"]) == (429, "90")


def test_what_time_did_not_reach_goes_on_with_the_continuation(serve: Serve) -> None:
    with serve() as app:
        app.databricks.add_pipelines(120)
        app.databricks.add_fault(
            "status", status=429, headers={"Retry-After": "90"}, route="/pipelines/{id}", after=110, times=None
        )
        first = app.post("/api/jobs/discover")
        app.databricks.clear_faults()
        assert (first.status, first.json["complete"]) == (200, False)
        rest = app.post("/api/jobs/discover", {"continuation": first.json["continuation"]})
        assert (rest.status, rest.json["complete"], rest.json["continuation"]) == (200, True, None)
        assert first.json["jobs"]["added"] + rest.json["jobs"]["added"] == 120


def test_the_timer_discovers_every_workspace(serve: Serve) -> None:
    with serve() as app:
        pipeline_id = app.databricks.add_pipeline()
        app.fire("discover_on_schedule")
        assert app.get(f"/api/jobs/{pipeline_id}").status == 200


def test_a_malformed_pattern_is_named_by_health_and_by_every_answer(serve: Serve) -> None:
    with serve(POLYSYNC_PARAMETERS="spark.[") as app:
        for route, answer in {"health": app.get("/api/health"), "discover": app.post("/api/jobs/discover")}.items():
            told = told_of_settings(answer, route)
            assert "POLYSYNC_PARAMETERS: 'spark.[' opens a '[' that no ']' closes" in told


def test_a_pipeline_s_id_in_capitals_is_the_same_pipeline(app: ServedApp) -> None:
    pipeline = app.databricks.add_pipeline()
    assert app.post("/api/jobs/discover").status == 200
    assert app.put(f"/api/jobs/{pipeline.upper()}/parameters/full_refresh", {"value": True}).status == 200
    started = app.start(pipeline.upper(), {"pipeline_id": pipeline})
    assert (started.status, started.json["fullRefresh"]) == (202, True)
    again = app.start(pipeline, {"onConflict": "attach"})
    assert again.json["runId"] == started.json["runId"]
    assert app.get(f"/api/runs/{started.json['runId'].upper()}").json["runId"] == started.json["runId"]
    assert len(app.get(f"/api/runs?pipelineId={pipeline.upper()}").json["items"]) == 1
    assert app.post(f"/api/pipelines/{pipeline.upper()}/cancel").status == 202
