"""`workspace=*` through local.host: two lists of all workspaces, and a refusal everywhere else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from polysync_core import services
from polysync_core.rules.rows.job_entity import encode_job
from polysync_core.values.ids import RunId
from polysync_core.values.job import Job, JobWrite
from tests.functions.app import Serve, ServedApp
from tests.functions.secrecy import check_problem
from tests.rules.examples import NOW, make_run

NAMES = ("west", "east")


@pytest.fixture(scope="module")
def app(serve: Serve) -> Iterator[ServedApp]:
    """The app with two workspaces. Each has three runs and three jobs, and the runs take turns."""
    urls = {name: {"url": f"https://{uuid.uuid4().hex}.localhost"} for name in NAMES}
    with serve(POLYSYNC_WORKSPACES=json.dumps(urls)) as running:
        for number in range(6):
            ws = services.current().at(NAMES[number % 2])
            at, pipeline_id = NOW - timedelta(hours=number), f"p{number}"
            run = make_run(run_id=RunId(pipeline_id, "u1"), state="COMPLETED", accepted_at=at, finished_at=at)
            assert ws.runs.insert(run, ())
            job = Job(pipeline_id=pipeline_id, name=None, imported_at=at, synced_at=at)
            ws.jobs.save([JobWrite(pipeline_id=pipeline_id, stored=None, columns=encode_job(job))])
        yield running


def items(app: ServedApp, address: str) -> Iterator[dict[str, Any]]:
    continuation = ""
    while True:
        page = app.get(address + continuation)
        assert page.status == 200
        yield from page.json["items"]
        if page.json["continuation"] is None:
            return
        continuation = f"&continuation={page.json['continuation']}"


def test_runs_of_all_workspaces_are_one_list_newest_first(app: ServedApp) -> None:
    for query in ("limit=2", "limit=4&status=Success", "since=2026-11-22T00:00:00Z"):
        runs = [*items(app, f"/api/runs?workspace=*&{query}")]
        assert [run["pipelineId"] for run in runs] == ["p0", "p1", "p2", "p3", "p4", "p5"]
        assert [run["workspace"] for run in runs] == ["west", "east"] * 3
        assert all(run["statusUrl"].endswith(f"?workspace={run['workspace']}") for run in runs)
    assert [run["pipelineId"] for run in items(app, "/api/runs?workspace=%2A&pipelineId=p3")] == ["p3"]


def test_jobs_of_all_workspaces_are_one_list_by_workspace(app: ServedApp) -> None:
    found = [(job["workspace"], job["externalId"]) for job in items(app, "/api/jobs?workspace=*&limit=2")]
    east, west = [("east", f"p{number}") for number in (1, 3, 5)], [("west", f"p{number}") for number in (0, 2, 4)]
    assert found == east + west


@pytest.mark.parametrize("route", ["runs", "jobs"])
def test_a_continuation_is_of_all_workspaces_or_of_one(app: ServedApp, route: str) -> None:
    for made_for, used_for in (("*", "east"), ("east", "*")):
        made = app.get(f"/api/{route}?limit=1&workspace={made_for}").json["continuation"]
        refused = app.get(f"/api/{route}?workspace={used_for}&continuation={made}")
        check_problem(refused, 400, "InvalidRequest")
        assert [wrong["field"] for wrong in refused.json["errors"]] == ["continuation"]


@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("GET", "runs/p0:u1?workspace=*", None),
        ("POST", "runs/p0:u1/cancel?workspace=*", None),
        ("POST", "runs/p0:u1/cancel", {"workspace": "*"}),
        ("POST", "runs/p0:u1/abandon?workspace=*", None),
        ("POST", "runs/p0:u1/callbacks/redeliver?workspace=*", None),
        ("POST", "pipelines/p0/updates?workspace=*", None),
        ("POST", "pipelines/p0/updates", {"workspace": "*"}),
        ("POST", "pipelines/p0/cancel?workspace=*", None),
        ("GET", "jobs/p0?workspace=*", None),
        ("POST", "jobs/p0/sync?workspace=*", None),
        ("POST", "jobs/discover", {"workspace": "*"}),
        ("POST", "jobs/discover?workspace=*", None),
        ("PUT", "jobs/p0/parameters/full_refresh", {"value": True, "workspace": "*"}),
    ],
)
def test_every_other_route_wants_one_workspace(app: ServedApp, method: str, address: str, body: object) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    answer = app.send(method, f"/api/{address}", {**app.headers, "Content-Type": "application/json"}, content)
    check_problem(answer, 400, "InvalidRequest")
    (wrong,) = answer.json["errors"]
    assert (wrong["field"], wrong["given"]) == ("workspace", '"*"')
    assert "only in GET /api/runs and GET /api/jobs" in wrong["allowed"]
