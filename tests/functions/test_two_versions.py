"""The previous version of the app and this one on one storage, as during a deployment and after a rollback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.data.tables import TableClient, UpdateMode

from local.receiver import Receiver
from local.workspace import SimulatedWorkspace
from polysync_core import __version__
from polysync_core.services import RUNS_TABLE
from tests.chaos.host_process import HostProcess
from tests.functions.app import ROOT

PREVIOUS = "d6da71d"
"""The version that is deployed before this one. Move it on after each release, to the commit of that release."""
PUBLIC_URL = "https://polysync.example"
NEVER = "0 0 0 1 1 *"
WAYS = [("old", "new"), ("new", "old")]


@dataclass(frozen=True, kw_only=True)
class App:
    """A version of the app. Its timers run only by `fire`, and it answers reads from storage."""

    host: HostProcess

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body)
        return requests.request(method, f"{self.host.url}/api/{path}", data=data, headers=named, timeout=30)

    def start(self, pipeline_id: str, body: object = None, **headers: str) -> dict[str, Any]:
        answer = self.ask("POST", f"pipelines/{pipeline_id}/updates", body, **headers)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def run(self, run_id: str) -> dict[str, Any]:
        answer = self.ask("GET", f"runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def result(self, started: dict[str, Any]) -> requests.Response:
        """The answer at the await address that a version has given out."""
        return self.ask("GET", started["resultUrl"].removeprefix(f"{PUBLIC_URL}/api/"))

    def fire(self, name: str) -> None:
        answer = requests.post(f"{self.host.url}/admin/functions/{name}", json={"input": ""}, timeout=10)
        assert answer.status_code == 202

    def swept(self, run_id: str, status: str) -> dict[str, Any]:
        """Sweep once. Returns the run, which then has this status."""
        self.fire("sweep_runs")
        wait_for(lambda: self.run(run_id)["status"] == status)
        return self.run(run_id)


@dataclass(frozen=True, kw_only=True)
class Stage:
    apps: dict[str, App]
    workspace: SimulatedWorkspace
    receiver: Receiver
    tables: str

    def pair(self, way: tuple[str, str]) -> tuple[App, App]:
        return self.apps[way[0]], self.apps[way[1]]


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sources of the previous version. Skips the tests without it. If CI is "true", fails instead."""
    say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    git = shutil.which("git")
    if git is None:
        say("there is no git, so the previous version cannot be had")
    archive = subprocess.run([git, "archive", PREVIOUS], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        say(f"git has no commit {PREVIOUS} here: fetch the whole history, or correct PREVIOUS in {Path(__file__).name}")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def stage(azurite: str, previous: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        workspace = stack.enter_context(SimulatedWorkspace())
        receiver = stack.enter_context(Receiver())
        environ = {
            **workspace.environ(),
            "POLYSYNC_TABLES": azurite,
            "POLYSYNC_PUBLIC_URL": PUBLIC_URL,
            "POLYSYNC_CALLBACK_HOSTS": receiver.host,
            "POLYSYNC_STATUS_MAX_AGE_SECONDS": "3600",
            "POLYSYNC_SWEEP_SCHEDULE": NEVER,
            "POLYSYNC_CALLBACK_SCHEDULE": NEVER,
            "POLYSYNC_DISCOVERY_SCHEDULE": NEVER,
        }
        apps = {}
        for name, folder in (("old", previous), ("new", ROOT)):
            host = HostProcess(environ, logs / name, folder=folder)
            stack.callback(host.kill)
            host.start()
            apps[name] = App(host=host)
        yield Stage(apps=apps, workspace=workspace, receiver=receiver, tables=azurite)


@pytest.mark.parametrize("way", WAYS, ids="{0[0]} starts, {0[1]} sweeps".format)
def test_one_starts_and_the_other_sweeps_to_the_end_and_delivers(stage: Stage, way: tuple[str, str]) -> None:
    first, second = stage.pair(way)
    pipeline_id = stage.workspace.add_pipeline()
    stage.receiver.deliveries.clear()
    body = {"callbackUrl": stage.receiver.url(), "full_refresh": "true", "timeoutMinutes": 60}
    started = first.start(pipeline_id, body, Idempotency_Key="once")
    assert second.start(pipeline_id, body, Idempotency_Key="once")["runId"] == started["runId"], "a repeat"
    assert [app.result(started).status_code for app in (first, second)] == [202, 202]
    stage.workspace.set_state(pipeline_id, None, "RUNNING")
    second.swept(started["runId"], "Running")
    stage.workspace.set_state(pipeline_id, None, "COMPLETED")
    first.swept(started["runId"], "Success")
    second.fire("deliver_callbacks")
    wait_for(lambda: first.run(started["runId"])["callbacks"][0]["state"] == "delivered")
    (delivered,) = [json.loads(request.body) for request in stage.receiver.deliveries]
    documents = [app.run(started["runId"]) for app in (first, second)]
    _check_same(*documents)
    assert (documents[0]["fullRefresh"], documents[0]["isFinished"]) == (True, True)
    callbacks_change = {"callbacks": documents[0]["callbacks"]}
    _check_same(delivered | callbacks_change, documents[0])
    assert [app.result(started).status_code for app in (first, second)] == [200, 200]
    listed = [app.ask("GET", f"runs?pipelineId={pipeline_id}").json()["items"] for app in (first, second)]
    for (item,) in listed:
        _check_same(item, documents[0])


def _check_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Assert that both versions show the same run. The newer one may show more fields."""
    common = one.keys() & other.keys()
    assert common in (one.keys(), other.keys())
    assert {name: one[name] for name in common} == {name: other[name] for name in common}


@pytest.mark.parametrize("way", WAYS, ids="{0[0]} starts, {0[1]} cancels".format)
def test_one_starts_and_the_other_cancels(stage: Stage, way: tuple[str, str]) -> None:
    first, second = stage.pair(way)
    pipeline_id = stage.workspace.add_pipeline()
    started = first.start(pipeline_id)
    assert second.ask("POST", f"pipelines/{pipeline_id}/updates", {}).status_code == 409
    assert second.ask("POST", f"runs/{started['runId']}/cancel").status_code == 202
    assert first.run(started["runId"])["cancelRequestedAt"] == second.run(started["runId"])["cancelRequestedAt"]
    stage.workspace.set_state(pipeline_id, None, "CANCELED")
    document = first.swept(started["runId"], "Cancelled")
    _check_same(document, second.run(started["runId"]))


@pytest.mark.parametrize("way", WAYS, ids="{0[0]} discovers first, then {0[1]}".format)
def test_jobs_and_their_hidden_parameters_are_the_same_for_both(stage: Stage, way: tuple[str, str]) -> None:
    first, second = stage.pair(way)
    secret = {"spark.hadoop.fs.azure.account.key.lake": "a-key", "photon": "true"}
    pipeline_id = stage.workspace.add_pipeline(spec={"configuration": secret})
    assert first.ask("POST", "jobs/discover").json()["jobs"]["added"] >= 1
    report = second.ask("POST", "jobs/discover").json()
    assert (report["complete"], report["jobs"]["added"], report["jobs"]["changed"]) == (True, 0, 0)
    assert (report["parameters"]["added"], report["parameters"]["changed"]) == (0, 0)
    value = {"value": True, "direction": "Input"}
    assert second.ask("PUT", f"jobs/{pipeline_id}/parameters/full_refresh", value).status_code == 200
    assert first.ask("POST", f"jobs/{pipeline_id}/sync").json()["parameters"]["changed"] == 0
    jobs = [app.ask("GET", f"jobs/{pipeline_id}").json() for app in (first, second)]
    assert jobs[0] == jobs[1]
    assert first.start(pipeline_id)["fullRefresh"] is True


@pytest.mark.parametrize("way", WAYS, ids="{0[0]} rotates".format)
def test_await_addresses_of_older_and_newer_keys_open_both(stage: Stage, way: tuple[str, str]) -> None:
    first, second = stage.pair(way)
    before = second.start(stage.workspace.add_pipeline())
    assert first.ask("POST", "secrets/await/rotate", {}).status_code == 200
    after = first.start(stage.workspace.add_pipeline())
    wait_for(lambda: second.result(after).status_code == 202)
    for app in (first, second):
        assert [app.result(started).status_code for started in (before, after)] == [202, 202]


def test_each_reads_the_row_of_the_others_sweep_and_only_this_version_names_itself(stage: Stage) -> None:
    new, pipeline_id = stage.apps["new"], stage.workspace.add_pipeline()
    run_id = new.start(pipeline_id)["runId"]

    def sweep(name: str, state: str) -> object:
        """Sweep, and return the version that the sweep's row names."""
        before = _last_sweep(stage).get("sweptAt")
        stage.workspace.set_state(pipeline_id, None, state)
        stage.apps[name].fire("sweep_runs")
        wait_for(lambda: _last_sweep(stage).get("sweptAt") != before)
        assert new.run(run_id)["state"] == state
        return _last_sweep(stage).get("version")

    assert sweep("new", "RUNNING") == __version__
    assert sweep("old", "STOPPING") is None
    assert sweep("new", "CANCELED") == __version__
    health = new.ask("GET", "health").json()
    assert health["workspaces"]["default"]["lastSweep"]["version"] == __version__ == health["version"]
    assert [app.ask("GET", "health").status_code for app in stage.apps.values()] == [200, 200]


def test_a_run_with_a_field_of_a_later_version_is_swept_by_both(stage: Stage) -> None:
    """The previous version loses that field, and nothing else. This version keeps it."""
    pipeline_id = stage.workspace.add_pipeline()
    started = stage.apps["new"].start(pipeline_id, {"followRetries": True, "timeoutMinutes": 60})
    run_id = started["runId"]
    _add_to_active_row(stage, run_id, {"ofALaterVersion": {"a": [1]}})
    stage.workspace.set_state(pipeline_id, None, "RUNNING")
    stage.apps["new"].swept(run_id, "Running")
    assert _active_row(stage, run_id)["ofALaterVersion"] == {"a": [1]}
    stage.workspace.set_state(pipeline_id, None, "STOPPING")
    stage.apps["old"].fire("sweep_runs")
    wait_for(lambda: stage.apps["new"].run(run_id)["state"] == "STOPPING")
    stage.workspace.set_state(pipeline_id, None, "COMPLETED")
    document = stage.apps["new"].swept(run_id, "Success")
    _check_same(document, stage.apps["old"].run(run_id))
    for name in ("pipelineId", "fullRefresh", "timeoutAt", "startedBy"):
        assert document[name] == started[name]


def _rows(stage: Stage) -> TableClient:
    return TableClient.from_connection_string(stage.tables, RUNS_TABLE)


def _partition(stage: Stage) -> str:
    return stage.workspace.url.partition("//")[2]


def _last_sweep(stage: Stage) -> dict[str, Any]:
    """The row `sweep|last`, or {} before the first sweep."""
    with _rows(stage) as rows:
        found = rows.query_entities(f"PartitionKey eq '{_partition(stage)}' and RowKey eq 'sweep|last'")
        return next((dict(row) for row in found), {})


def _active_row(stage: Stage, run_id: str) -> dict[str, Any]:
    with _rows(stage) as rows:
        return dict(json.loads(rows.get_entity(_partition(stage), f"active|{run_id}")["run0"]))


def _add_to_active_row(stage: Stage, run_id: str, members: dict[str, object]) -> None:
    text = json.dumps({**_active_row(stage, run_id), **members})
    row = {"PartitionKey": _partition(stage), "RowKey": f"active|{run_id}", "run0": text}
    with _rows(stage) as rows:
        rows.update_entity(row, mode=UpdateMode.MERGE)


def wait_for(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "not in time"
        time.sleep(0.05)
