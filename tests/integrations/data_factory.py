"""Executes Data Factory pipelines: Microsoft's data-factory-testing-framework evaluates them, this makes their calls.

This file follows Data Factory's documentation: polling on 202, the callback of a WebHook activity, the reserved names
of outputs, and the rule for success or failure of a pipeline. All waits are shorter than in Data Factory.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.integrations.loopback import CallbackHost, identity_token
from tests.integrations.stack import PATIENCE_SECONDS

SUCCEEDED, FAILED = "Succeeded", "Failed"
_POLL_SECONDS = 0.2
_MOST_ACTIVITIES = 500
_MAX_RESPONSE_BYTES = 4 * 1024 * 1024
# The names that an activity's output already holds:
# https://learn.microsoft.com/azure/data-factory/control-flow-web-activity
_RESERVED = {
    "ADFWebActivityResponseHeaders",
    "effectiveIntegrationRuntime",
    "executionDuration",
    "durationInQueue",
    "billingReference",
}


def why_not_here() -> str | None:
    """Return why pipelines cannot be executed here and what to do, or None when they can."""
    if importlib.util.find_spec("data_factory_testing_framework") is None:
        return "data-factory-testing-framework is not installed: it supports Python 3.9 to 3.13"
    if not os.environ.get("DOTNET_ROOT") and shutil.which("dotnet") is None:
        return (
            "the Data Factory pipelines are not executed: no .NET runtime found. Install .NET 9 "
            "(https://dotnet.microsoft.com/download), or unpack it anywhere and set DOTNET_ROOT to its folder"
        )
    return None


@dataclass(frozen=True, kw_only=True)
class ActivityRun:
    """One executed activity: its status, and its output or its error ({errorCode, message})."""

    name: str
    status: str
    output: Mapping[str, Any]
    error: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class PipelineRun:
    """One run of a pipeline. `activities` are in the order in which they ran, without containers."""

    pipeline: str
    status: str
    activities: tuple[ActivityRun, ...]
    note: str

    def last(self, name: str) -> ActivityRun:
        """Return the last run of the activity with that name."""
        return next(run for run in reversed(self.activities) if run.name == name)


class DataFactory:
    """A data factory whose Git folder is `folder`. `callback_host` receives the callbacks of WebHook activities."""

    def __init__(self, folder: Path, callback_host: CallbackHost, report: Callable[[PipelineRun], None]) -> None:
        self._folder = folder
        self._callback_host = callback_host
        self._report = report

    def run(self, name: str, run_id: str, note: str, **parameters: Any) -> PipelineRun:
        """Execute a pipeline with these parameters. `run_id` is the id of this run."""
        from data_factory_testing_framework import TestFramework, TestFrameworkType
        from data_factory_testing_framework.exceptions import (
            NoRemainingPipelineActivitiesMeetDependencyConditionsError,
        )
        from data_factory_testing_framework.state import DependencyCondition, RunParameter, RunParameterType

        framework = TestFramework(TestFrameworkType.DataFactory, root_folder_path=str(self._folder))
        given = [RunParameter(RunParameterType.Pipeline, key, value) for key, value in parameters.items()]
        given.append(RunParameter(RunParameterType.System, "RunId", run_id))
        ran: list[ActivityRun] = []
        try:
            for activity in framework.evaluate_pipeline(framework.get_pipeline_by_name(name), given):
                done = self._execute(activity.name, activity.type, _evaluated(activity.type_properties))
                activity.set_result(DependencyCondition(done.status), dict(done.output))
                ran.append(done)
                assert len(ran) < _MOST_ACTIVITIES, f"{name} does not come to an end"
        except NoRemainingPipelineActivitiesMeetDependencyConditionsError:
            # The remaining activities are skipped. Inside a container, the framework stops where Data Factory would
            # continue.
            assert ran[-1].name in {activity["name"] for activity in self.activities_of(name)}, ran[-1]
        activities = self.activities_of(name)
        status = _status_of(activities, {done.name: done.status for done in ran})
        run = PipelineRun(pipeline=name, status=status, activities=tuple(ran), note=note)
        self._report(run)
        return run

    def activities_of(self, name: str) -> list[dict[str, Any]]:
        """Return the activities of a pipeline as they are in its file."""
        content = json.loads((self._folder / "pipeline" / f"{name}.json").read_text())
        activities: list[dict[str, Any]] = content["properties"]["activities"]
        return activities

    def after_a_failed(self, before: str, name: str, activity: str, **variables: str) -> list[dict[str, Any]]:
        """Return what the last activity of a pipeline runs when the activity before it failed.

        The result holds evaluated type properties.
        """
        from data_factory_testing_framework import TestFramework, TestFrameworkType
        from data_factory_testing_framework.state import (
            ActivityResult,
            DependencyCondition,
            PipelineRunState,
            PipelineRunVariable,
        )

        framework = TestFramework(TestFrameworkType.DataFactory, root_folder_path=str(self._folder))
        state = PipelineRunState(
            variables=[PipelineRunVariable(key, value) for key, value in variables.items()],
            activity_results=[ActivityResult(before, DependencyCondition.FAILED)],
        )
        last = framework.get_pipeline_by_name(name).get_activity_by_name(activity)
        return [_evaluated(ran.type_properties) for ran in framework.evaluate_activity(last, state)]

    def _execute(self, name: str, kind: str, properties: Mapping[str, Any]) -> ActivityRun:
        if kind == "WebActivity":
            return _web(name, properties)
        if kind == "WebHook":
            return self._web_hook(name, properties)
        if kind == "Fail":
            error = {"errorCode": properties["errorCode"], "message": properties["message"]}
            return ActivityRun(name=name, status=FAILED, output={}, error=error)
        if kind == "Wait":
            time.sleep(properties["waitTimeInSeconds"] / 60)
        else:
            assert kind == "SetVariable", f"{kind} is not known here"
        return ActivityRun(name=name, status=SUCCEEDED, output={})

    def _web_hook(self, name: str, properties: Mapping[str, Any]) -> ActivityRun:
        """Send the request with callBackUri, and wait for the callback. A response must come within a minute."""
        address = self._callback_host.new_address("data-factory")
        body = {**json.loads(properties["body"]), "callBackUri": address}
        assert properties["method"] == "POST"
        assert properties["reportStatusOnCallBack"] is True
        answer = _send({**properties, "body": json.dumps(body)})
        if answer.status_code >= 400:
            return _failed(name, str(answer.status_code), answer.text)
        assert "Location" not in answer.headers, "whether Data Factory would poll it is not documented"
        callback = self._callback_host.next_at(address, within_seconds=PATIENCE_SECONDS)
        if callback is None:
            return _failed(name, "TimedOut", f"not called back within {properties['timeout']}")
        report = callback.json
        assert isinstance(report["StatusCode"], str)
        if int(report["StatusCode"]) >= 400:
            return _failed(name, report["Error"]["ErrorCode"], report["Error"]["Message"])
        assert "Error" not in report
        return ActivityRun(name=name, status=SUCCEEDED, output=report["Output"])


def _web(name: str, properties: Mapping[str, Any]) -> ActivityRun:
    """Send the request. On 202 poll the Location without the headers of the request.

    Data Factory's documentation does not say whether it sends those headers.
    """
    answer = _send(properties)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while answer.status_code == 202 and not properties.get("turnOffAsync", False):
        assert time.monotonic() < deadline, f"{name} is still answered with 202: {answer.text}"
        time.sleep(_POLL_SECONDS)
        answer = requests.get(answer.headers["Location"], timeout=60, allow_redirects=False)
    if answer.status_code >= 400:
        return _failed(name, str(answer.status_code), answer.text)
    assert len(answer.content) <= _MAX_RESPONSE_BYTES
    output = answer.json()
    assert isinstance(output, dict), "Data Factory wants a JSON object"
    assert not _RESERVED & set(output)
    headers = {"ADFWebActivityResponseHeaders": dict(answer.headers)}
    return ActivityRun(name=name, status=SUCCEEDED, output=output | headers)


def _send(properties: Mapping[str, Any]) -> requests.Response:
    assert urlsplit(properties["url"]).hostname == "127.0.0.1", "nothing here calls another machine"
    headers = dict(properties.get("headers", {}))
    authentication = properties.get("authentication")
    if authentication is not None:
        assert authentication["type"] == "MSI"
        headers["Authorization"] = f"Bearer {identity_token(authentication['resource'])}"
    return requests.request(
        properties["method"],
        properties["url"],
        data=properties.get("body"),
        headers=headers,
        timeout=60,
        allow_redirects=False,
    )


def _failed(name: str, code: str, message: str) -> ActivityRun:
    return ActivityRun(name=name, status=FAILED, output={}, error={"errorCode": code, "message": message})


def _evaluated(value: Any) -> Any:
    """Replace each expression in `value` by its result."""
    if isinstance(value, dict):
        return {key: _evaluated(inner) for key, inner in value.items()}
    return value.result if hasattr(value, "result") else value


def _status_of(activities: Iterable[Mapping[str, Any]], ended: Mapping[str, str]) -> str:
    """Return Failed when a last activity failed, or was skipped after a failure. Else return Succeeded.

    https://learn.microsoft.com/azure/data-factory/tutorial-pipeline-failure-error-handling
    """
    by_name = {activity["name"]: activity for activity in activities}

    def status(name: str) -> str | None:
        """Return None for a skipped activity. A container fails when an activity inside it fails."""
        inner = _inner_names(by_name[name])
        if not inner:
            return ended.get(name)
        if not all(is_met(step) for step in by_name[name]["dependsOn"]):
            return None
        return FAILED if any(ended.get(child) == FAILED for child in inner) else SUCCEEDED

    def is_met(step: Mapping[str, Any]) -> bool:
        before = status(step["activity"])
        return before is not None and bool({before, "Completed"} & set(step["dependencyConditions"]))

    def fails(name: str) -> bool:
        own = status(name)
        return own == FAILED or (own is None and any(fails(step["activity"]) for step in by_name[name]["dependsOn"]))

    awaited = {step["activity"] for activity in by_name.values() for step in activity["dependsOn"]}
    return FAILED if any(fails(name) for name in by_name if name not in awaited) else SUCCEEDED


def _inner_names(activity: Mapping[str, Any]) -> list[str]:
    properties = activity["typeProperties"]
    return [step["name"] for key in properties if key.lower().endswith("activities") for step in properties[key]]
