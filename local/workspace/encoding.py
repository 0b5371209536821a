"""Pipelines and updates as the JSON of the Databricks API. Pure.

Source of the shapes: databricks-sdk-py, service/pipelines.py (GetPipelineResponse, PipelineStateInfo, UpdateInfo,
UpdateStateInfo). `creation_time` is a number of epoch milliseconds in an update, but an ISO 8601 string
in `latest_updates`. Empty lists are left out, as in protobuf JSON.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from local.workspace.pipelines import OPTIONS, Pipeline
from local.workspace.states import Update

CREATOR = "someone@example.com"
LATEST_UPDATES = 5

DOCUMENTED = frozenset({"validate_only", "refresh_selection", "full_refresh_selection", "parameters", "mode"})
"""The options that UpdateInfo of the SDK has. Whether a real workspace shows others too is not known."""
SHOWN = frozenset(OPTIONS) - {"development"}
_BEFORE_A_CLUSTER = frozenset({"QUEUED", "CREATED", "WAITING_FOR_RESOURCES"})


def iso_time(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def update_info(
    pipeline: Pipeline, update: Update, *, with_config: bool, shown_options: frozenset[str]
) -> dict[str, Any]:
    """An update. `config` is only in the answer about one. It shows those of `shown_options` that it was given."""
    info: dict[str, Any] = {
        "pipeline_id": pipeline.pipeline_id,
        "update_id": update.update_id,
        "cause": update.cause,
        "state": update.state,
        "creation_time": update.creation_time,
        "full_refresh": update.full_refresh,
    }
    info |= {name: value for name, value in update.options.items() if value not in ([], {}) and name in shown_options}
    if update.state not in _BEFORE_A_CLUSTER:
        info["cluster_id"] = pipeline.cluster_id
    if with_config:
        info["config"] = pipeline.spec
    return info


def pipeline_summary(pipeline: Pipeline) -> dict[str, Any]:
    """An entry of GET /pipelines. It has no spec."""
    summary: dict[str, Any] = {
        "pipeline_id": pipeline.pipeline_id,
        "name": pipeline.name,
        "state": _pipeline_state(pipeline),
        "creator_user_name": CREATOR,
        "run_as_user_name": CREATOR,
    }
    if pipeline.active:
        summary["cluster_id"] = pipeline.cluster_id
    if pipeline.updates:
        summary["health"] = "UNHEALTHY" if pipeline.updates[-1].state == "FAILED" else "HEALTHY"
        summary["latest_updates"] = [
            {
                "update_id": update.update_id,
                "state": update.state,
                "creation_time": iso_time(update.creation_time / 1000),
            }
            for update in pipeline.updates[: -LATEST_UPDATES - 1 : -1]
        ]
    return summary


def pipeline_details(pipeline: Pipeline) -> dict[str, Any]:
    return {**pipeline_summary(pipeline), "spec": pipeline.spec, "last_modified": pipeline.last_modified}


def _pipeline_state(pipeline: Pipeline) -> str:
    """The state of the pipeline. It does not show how its last update ended: it is IDLE after a failure too."""
    active = pipeline.active
    if active is None:
        return "IDLE"
    return active.state if active.state in ("RUNNING", "STOPPING", "RESETTING") else "STARTING"
