"""Executes Data Factory pipelines: Microsoft's data-factory-testing-framework evaluates them.

data_factory_calls makes their calls. This file has the rule for success or failure of a pipeline.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integrations.data_factory_calls import FAILED, SUCCEEDED, ActivityRun, Calls

_MOST_ACTIVITIES = 500


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
    """A data factory whose Git folder is `folder`. `report` is called with every run."""

    def __init__(self, folder: Path, report: Callable[[PipelineRun], None]) -> None:
        self._folder = folder
        self._report = report

    def run(self, name: str, run_id: str, note: str, calls: Calls, **parameters: Any) -> PipelineRun:
        """Execute a pipeline with these parameters. `run_id` is the id of this run, and `calls` makes its calls."""
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
                done = calls.execute(activity.name, activity.type, _evaluated(activity.type_properties))
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
