"""The control methods about pipelines: adding, editing, forbidding and removing them, and the workspace's settings."""

from __future__ import annotations

import copy
import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from local.workspace import pipelines, states
from local.workspace.dispatch import WorkspaceParts
from local.workspace.pipelines import CAUSES, Failure, Pipeline, Retries
from local.workspace.settings import WorkspaceSettings

DEFAULT_FAILURE = (
    "org.apache.spark.sql.AnalysisException",
    "[TABLE_OR_VIEW_NOT_FOUND] The table or view `main`.`sales`.`orders` cannot be found.",
)
DEFAULT_SPEC: dict[str, Any] = {
    "continuous": False,
    "development": False,
    "photon": True,
    "serverless": False,
    "channel": "CURRENT",
    "edition": "ADVANCED",
    "catalog": "main",
    "target": "sales",
    "clusters": [{"label": "default", "autoscale": {"min_workers": 1, "max_workers": 4, "mode": "ENHANCED"}}],
    "libraries": [{"notebook": {"path": "/Repos/etl/orders"}}],
    "configuration": {"spark.sql.shuffle.partitions": "200", "custom.environment": "test"},
}


class PipelineControl:
    """Every method takes and gives plain values and is thread-safe. ValueError: no such pipeline, update, state."""

    def __init__(self, parts: WorkspaceParts) -> None:
        self._parts = parts

    @property
    def settings(self) -> WorkspaceSettings:
        return self._parts.settings

    def configure(self, **changes: Any) -> None:
        """Sets fields of WorkspaceSettings. Raises ValueError for a name it does not have."""
        known = {field.name for field in dataclasses.fields(WorkspaceSettings)}
        if unknown := changes.keys() - known:
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        with self._parts.lock:
            for name, value in changes.items():
                setattr(self._parts.settings, name, value)

    def add_pipeline(
        self,
        pipeline_id: str | None = None,
        name: str | None = None,
        *,
        spec: Mapping[str, Any] | None = None,
        script: Sequence[str] | None = None,
        pace_seconds: float | None = None,
        drain_seconds: float | None = None,
        retries: int = 0,
        retry_delay_seconds: float = 0.0,
        retry_cause: str = "RETRY_ON_FAILURE",
        retry_after_state: str = "FAILED",
        retry_script: Sequence[str] | None = None,
        failures: Sequence[Sequence[str]] = (DEFAULT_FAILURE,),
    ) -> str:
        """Adds a pipeline and gives its id (a new UUID unless given).

        spec: as Databricks keeps it, id and name added; default: DEFAULT_SPEC. script: the states its updates walk
        through (states.DEFAULT_SCRIPT). pace_seconds: None: the workspace's; math.inf: never by itself.
        drain_seconds: how long STOPPING lasts; None: as any other state. retry_…: see pipelines.Retries.
        failures: (class name, message) of what a failing update throws, the cause last.
        """
        _check_script(script)
        _check_script(retry_script)
        check_cause(retry_cause)
        pipeline_id = pipeline_id or str(uuid.uuid4())
        name = name or f"pipeline {pipeline_id[:8]}"
        with self._parts.lock:
            self._parts.registry.add(
                Pipeline(
                    pipeline_id=pipeline_id,
                    name=name,
                    spec=_full_spec(pipeline_id, name, DEFAULT_SPEC if spec is None else spec),
                    script=tuple(script or states.DEFAULT_SCRIPT),
                    pace_seconds=self.settings.pace_seconds if pace_seconds is None else pace_seconds,
                    drain_seconds=drain_seconds,
                    retries=Retries(
                        times=retries,
                        delay_seconds=retry_delay_seconds,
                        cause=retry_cause,
                        after_state=retry_after_state,
                        script=tuple(retry_script) if retry_script else None,
                    ),
                    failures=tuple(Failure(class_name=class_name, message=text) for class_name, text in failures),
                    last_modified=self._now_ms(),
                )
            )
        return pipeline_id

    def add_pipelines(self, count: int) -> list[str]:
        """Adds pipelines "pipeline 00000", "pipeline 00001", … and gives their ids."""
        with self._parts.lock:
            start = len(self._parts.registry.ordered_ids)
            return [self.add_pipeline(name=f"pipeline {start + index:05}") for index in range(count)]

    def remove_pipeline(self, pipeline_id: str) -> None:
        with self._parts.lock:
            self._parts.registry.remove(pipeline_id)

    def rename_pipeline(self, pipeline_id: str, name: str) -> None:
        with self._parts.lock:
            pipeline = self._parts.registry.get(pipeline_id)
            pipeline.name = name
            pipeline.spec = {**pipeline.spec, "name": name}
            pipeline.last_modified = self._now_ms()

    def set_spec(self, pipeline_id: str, spec: Mapping[str, Any]) -> None:
        """Replaces the whole spec, as an edit in Databricks does; id and name stay."""
        with self._parts.lock:
            pipeline = self._parts.registry.get(pipeline_id)
            pipeline.spec = _full_spec(pipeline_id, pipeline.name, spec)
            pipeline.last_modified = self._now_ms()

    def set_script(self, pipeline_id: str, script: Sequence[str]) -> None:
        """The states of the updates that start from now on."""
        _check_script(script)
        with self._parts.lock:
            self._parts.registry.get(pipeline_id).script = tuple(script)

    def forbid(self, pipeline_id: str, *, listed: bool = False) -> None:
        """Every call on the pipeline is 403 PERMISSION_DENIED; GET /pipelines leaves it out unless `listed`."""
        with self._parts.lock:
            pipeline = self._parts.registry.get(pipeline_id)
            pipeline.is_forbidden, pipeline.is_listed = True, listed

    def allow(self, pipeline_id: str) -> None:
        """Takes a forbid back."""
        with self._parts.lock:
            pipeline = self._parts.registry.get(pipeline_id)
            pipeline.is_forbidden, pipeline.is_listed = False, True

    def pipeline_ids(self) -> list[str]:
        with self._parts.lock:
            return list(self._parts.registry.ordered_ids)

    def _settled(self, pipeline_id: str) -> Pipeline:
        pipeline = self._parts.registry.get(pipeline_id)
        pipelines.settle(pipeline, self._parts.now())
        return pipeline

    def _now_ms(self) -> int:
        return int(self._parts.now() * 1000)


def _full_spec(pipeline_id: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {**copy.deepcopy(dict(spec)), "id": pipeline_id, "name": name}


def _check_script(script: Sequence[str] | None) -> None:
    if script is None:
        return
    if isinstance(script, str) or not script:
        raise ValueError(f"a script is a list of at least one state, not {script!r}")
    for state in script[:-1]:
        if state in states.TERMINAL_STATES:
            raise ValueError(f"no state follows {state} in a script: {list(script)}")


def check_cause(cause: str) -> None:
    if cause not in CAUSES:
        raise ValueError(f"cause is one of {', '.join(sorted(CAUSES))}, not {cause!r}")
