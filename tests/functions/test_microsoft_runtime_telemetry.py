"""Telemetry on Microsoft's azure-functions-runtime, with the settings of infra/, as Azure Monitor receives it."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from local.workspace import SimulatedWorkspace
from tests.functions.app import ROOT, settings_of
from tests.functions.microsoft_runtime.client import PYTHON, MicrosoftRuntime
from tests.functions.secrecy import check_told
from tests.functions.telemetry.ingestion import Ingestion

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BICEP = (ROOT / "infra/main.bicep").read_text(encoding="utf-8")
OFF_THE_NETWORK = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
}
"""What the exporter would send to Microsoft itself."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What the app sent about starts, sweeps, a refusal with 429, and a pass of callbacks."""

    ingestion: Ingestion
    name: str


@pytest.fixture(scope="module")
def sent(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    if not PYTHON.exists():
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("make setup found no Python 3.13 or newer, so there is no .venv-runtime with Microsoft's runtime")
    folder = tmp_path_factory.mktemp("deployed")
    for file in ("function_app.py", "host.json"):
        shutil.copy(ROOT / file, folder)
    shutil.copytree(ROOT / "polysync_core", folder / "polysync_core", ignore=shutil.ignore_patterns("__pycache__"))
    name = f"azure-{os.urandom(4).hex()}"
    of_infra = dict(re.findall(r"^ +((?:PYTHON_APPLICATIONINSIGHTS|OTEL)_\w+): '([^'$]+)'", BICEP, re.MULTILINE))
    assert of_infra["PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"] == "true"
    with Ingestion() as ingestion, SimulatedWorkspace() as workspace:
        environ = settings_of(azurite, name, workspace) | of_infra | OFF_THE_NETWORK
        environ |= {"APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string, "HOME": str(folder)}
        with MicrosoftRuntime(folder, environ, folder / "driver.log") as runtime:
            pipeline_id, unclear = workspace.add_pipelines(2)
            headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
            assert runtime.send("POST", f"/api/pipelines/{pipeline_id}/updates", headers, b"{}").status == 202
            workspace.add_fault("status", method="GET", route="/pipelines/{id}/updates/{uid}", status=429)
            runtime.fire("sweep_runs")
            workspace.set_state(pipeline_id, None, "COMPLETED")
            runtime.fire("sweep_runs")
            workspace.add_fault("reset", method="POST", route="/pipelines/{id}/updates", when="before")
            assert runtime.send("POST", f"/api/pipelines/{unclear}/updates", {}, b"{}").status == 504
            runtime.fire("deliver_callbacks")
            ends_at = time.monotonic() + 30
            while not ingestion.of("MessageData") or not ingestion.of("RemoteDependencyData"):
                assert time.monotonic() < ends_at, runtime.log
                time.sleep(0.1)
            yield Sent(ingestion=ingestion, name=name)


def test_each_alert_asks_for_metrics_and_values_that_arrive(sent: Sent) -> None:
    queries = re.findall(r"query: '''(.+?)'''", (ROOT / "infra/alerts.bicep").read_text(encoding="utf-8"), re.DOTALL)
    assert len(queries) == 5
    for query in queries:
        (metric,) = re.findall(r'Name == "([^"]+)"', query)
        properties = sent.ingestion.metrics[metric]
        for attribute, value in re.findall(r'Properties\.(\w+)\)? [=!]= "([^"]+)"', query):
            values = {one[attribute] for one in properties}
            assert value in values, query


def test_the_call_to_databricks_belongs_to_the_callers_trace(sent: Sent) -> None:
    ours = [item for item in sent.ingestion.of("RemoteDependencyData") if item["tags"]["ai.operation.id"] == TRACE]
    assert {item["name"] for item in ours} == {"start_update", "POST /pipelines/{pipeline_id}/updates"}
    start = next(item for item in ours if item["name"] == "start_update")
    assert start["tags"]["ai.operation.parentId"] == CALLER
    assert start["properties"]["polysync.workspace"] == sent.name
    assert start["properties"]["faas.invocation_id"]


def test_no_library_adds_calls_of_its_own(sent: Sent) -> None:
    names = {item["name"] for item in sent.ingestion.of("RemoteDependencyData")}
    assert {"sweep_runs", "sweep", "deliver_callbacks"} <= names
    assert all(re.fullmatch(r"[a-z_]+|(GET|POST) /pipelines[/\w{}]*", name) for name in names), names


def test_a_log_line_arrives_once_with_its_trace_and_its_invocation(sent: Sent) -> None:
    lines = [item for item in sent.ingestion.of("MessageData") if item["message"].startswith("sweep: workspaces=1")]
    assert len(lines) == 2
    for line in lines:
        assert line["properties"]["logger_name"] == "polysync.sweep"
        assert line["properties"]["faas.invocation_id"]
        assert line["tags"]["ai.operation.id"].strip("0")
    assert all(item["properties"]["logger_name"].startswith("polysync") for item in sent.ingestion.of("MessageData"))


def test_nothing_that_arrives_holds_a_secret(sent: Sent) -> None:
    assert len(sent.ingestion.envelopes) > 20
    for envelope in sent.ingestion.envelopes:
        for name in ("code.file.path", "code.filepath"):
            envelope["data"]["baseData"].get("properties", {}).pop(name, None)
        check_told(str(envelope))
