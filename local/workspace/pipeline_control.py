"""The control methods that add, change, forbid and remove pipelines, and that change the workspace's settings."""

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
    """Every method takes and returns plain values and is thread-safe.

    Methods raise ValueError for an unknown pipeline, update or state.
    """

    def __init__(self, parts: WorkspaceParts) -> None:
        self._parts = parts

    @property
    def settings(self) -> WorkspaceSettings:
        return self._parts.settings

    def configure(self, **changes: Any) -> None:
        """Set fields of WorkspaceSettings. Raises ValueError for a name that it does not have."""
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
        """Add a pipeline and return its id. Without `pipeline_id` the id is a new UUID.

        spec: as Databricks keeps it. Id and name are added. The default is DEFAULT_SPEC.
        script: the states of its updates, in order. The default is states.DEFAULT_SCRIPT.
        pace_seconds: how long a state lasts. None: the workspace's setting. math.inf: no state ends by itself.
        drain_seconds: how long STOPPING lasts. None: as long as any other state.
        retries, retry_…: see pipelines.Retries.
        failures: (class name, message) of each exception of a failed update, the cause last.
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
        """Add pipelines named "pipeline 00000", "pipeline 00001", … and return their ids."""
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
        """Replace the whole spec, as an edit in Databricks does. Id and name stay."""
        with self._parts.lock:
            pipeline = self._parts.registry.get(pipeline_id)
            pipeline.spec = _full_spec(pipeline_id, pipeline.name, spec)
            pipeline.last_modified = self._now_ms()

    def set_script(self, pipeline_id: str, script: Sequence[str]) -> None:
        """Set the states of the updates that start from now on."""
        _check_script(script)
        with self._parts.lock:
            self._parts.registry.get(pipeline_id).script = tuple(script)

    def forbid(self, pipeline_id: str, *, listed: bool = False) -> None:
        """Answer every call on the pipeline with 403 PERMISSION_DENIED. GET /pipelines omits it unless `listed`."""
        with self._parts.lock:
            pipeline = self._parts.registry.get(pipeline_id)
            pipeline.is_forbidden, pipeline.is_listed = True, listed

    def hide(self, pipeline_id: str) -> None:
        """Leave the pipeline out of GET /pipelines. Its own routes still answer."""
        with self._parts.lock:
            self._parts.registry.get(pipeline_id).is_listed = False

    def allow(self, pipeline_id: str) -> None:
        """Undo forbid() and hide()."""
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
