"""Pipelines, updates and events as the JSON of the Databricks API. Pure.

Source of the shapes: databricks-sdk-py, service/pipelines.py (GetPipelineResponse, PipelineStateInfo, UpdateInfo,
UpdateStateInfo, PipelineEvent). `creation_time` is a number of epoch milliseconds in an update, but an ISO 8601 string
in `latest_updates`. Empty lists are left out, as in protobuf JSON.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict
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


def events(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Return the event log, oldest first.

    It has one `update_progress` event for every state of every update. A failure looks as on a real workspace: the
    message is only "Update 27bc77 is FAILED.", and the reason is in `error.exceptions`. Each failure has two neighbours
    that do not belong to it. Before it comes an error event of an update that is no longer listed. After it comes an
    error event of the pipeline that names no update.
    """
    log = list(pipeline.extra_events)
    for update in pipeline.updates:
        for index, (state, at) in enumerate(update.history):
            failed = state == "FAILED"
            if failed:
                log.append(_error_of_another_update(pipeline, update, at))
            log.append(
                event(
                    pipeline,
                    key=f"{update.update_id}/{index}",
                    at=at,
                    level="ERROR" if failed else "INFO",
                    event_type="update_progress",
                    message=f"Update {update.update_id[:6]} is {state}.",
                    update_id=update.update_id,
                    exceptions=[asdict(failure) for failure in pipeline.failures] if failed else [],
                )
            )
            if failed:
                log.append(_error_of_no_update(pipeline, update, at))
    return sorted(log, key=lambda entry: str(entry["timestamp"]))


def event(
    pipeline: Pipeline,
    *,
    key: str,
    at: float,
    level: str,
    event_type: str,
    message: str,
    update_id: str | None,
    exceptions: list[dict[str, Any]],
) -> dict[str, Any]:
    """One entry of the event log. Its id is derived from `key`. `at` is in epoch seconds."""
    origin = {"cloud": "Azure", "pipeline_id": pipeline.pipeline_id, "pipeline_name": pipeline.name}
    if update_id is not None:
        origin["update_id"] = update_id
    entry: dict[str, Any] = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, key)),
        "timestamp": iso_time(at),
        "level": level,
        "event_type": event_type,
        "maturity_level": "STABLE",
        "message": message,
        "origin": origin,
    }
    if exceptions:
        entry["error"] = {"fatal": True, "exceptions": exceptions}
    return entry


def _error_of_another_update(pipeline: Pipeline, update: Update, at: float) -> dict[str, Any]:
    other = str(uuid.uuid5(uuid.NAMESPACE_OID, f"before {update.update_id}"))
    return event(
        pipeline,
        key=f"other/{update.update_id}",
        at=at,
        level="ERROR",
        event_type="update_progress",
        message=f"Update {other[:6]} is FAILED.",
        update_id=other,
        exceptions=[{"class_name": "java.lang.RuntimeException", "message": "The error of another update."}],
    )


def _error_of_no_update(pipeline: Pipeline, update: Update, at: float) -> dict[str, Any]:
    return event(
        pipeline,
        key=f"maintenance/{update.update_id}",
        at=at,
        level="ERROR",
        event_type="maintenance_progress",
        message="Maintenance of a table has FAILED.",
        update_id=None,
        exceptions=[],
    )
