"""The event log of a pipeline as the JSON of the Databricks API. Pure.

Source of the shapes: databricks-sdk-py, service/pipelines.py (PipelineEvent), and
https://learn.microsoft.com/azure/databricks/ldp/monitor-event-log-schema. The order of the events of an update is that
of live logs, such as https://github.com/databricks/bundle-examples, knowledge_base/pipeline_with_schema.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from local.workspace.encoding import iso_time
from local.workspace.pipelines import Pipeline
from local.workspace.states import Update

Event = dict[str, Any]

FLOWS = ("orders_raw", "orders")
"""The flows of every pipeline."""


def events(pipeline: Pipeline) -> list[Event]:
    """Return the event log, oldest first.

    An update begins with `create_update`. Each further state is an `update_progress`. While it is RUNNING, its flows
    report `flow_progress`. A failure looks as on a real workspace: the message is only "Update 27bc77 is FAILED.", and
    the reason is in `error.exceptions`. Each failure has two neighbours that do not belong to it. Before it comes an
    error event of an update that is no longer listed. After it comes an error event of the pipeline that names no
    update.
    """
    log = [*pipeline.extra_events, *(event for update in pipeline.updates for event in _events_of(pipeline, update))]
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
    details: dict[str, Any] | None = None,
) -> Event:
    """One entry of the event log. Its id is derived from `key`. `at` is in epoch seconds."""
    origin = {"cloud": "Azure", "pipeline_id": pipeline.pipeline_id, "pipeline_name": pipeline.name}
    if update_id is not None:
        origin["update_id"] = update_id
    entry: Event = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, key)),
        "timestamp": iso_time(at),
        "level": level,
        "event_type": event_type,
        "maturity_level": "STABLE",
        "message": message,
        "origin": origin,
        "details": {event_type: details or {}},
    }
    if exceptions:
        entry["error"] = {"fatal": True, "exceptions": exceptions}
    return entry


def _events_of(pipeline: Pipeline, update: Update) -> Iterator[Event]:
    begun, message = update.history[0][1], f"Update {_short(update)} started by {update.cause}."
    yield _info(pipeline, update, "create_update", begun, message, {"cause": update.cause})
    flows_run = False
    for index, (state, at) in enumerate(update.history):
        failed = state == "FAILED"
        if failed:
            yield _error_of_another_update(pipeline, update, at)
        if state == "RUNNING" and not flows_run:
            for flow in FLOWS:
                yield _info(pipeline, update, "flow_definition", at, f"Flow '{flow}' defined as APPEND.")
        if state == "COMPLETED" and flows_run:
            yield from _progress_of_flows(pipeline, update, at, "has COMPLETED")
        if state != "CREATED":  # live logs show no progress to it; create_update is there instead
            yield event(
                pipeline,
                key=f"{update.update_id}/{index}",
                at=at,
                level="ERROR" if failed else "INFO",
                event_type="update_progress",
                message=f"Update {_short(update)} is {state}.",
                update_id=update.update_id,
                exceptions=[asdict(failure) for failure in pipeline.failures] if failed else [],
                details={"state": state},
            )
        if state == "RUNNING" and not flows_run:
            for progress in ("is QUEUED", "is PLANNING", "is STARTING", "is RUNNING"):
                yield from _progress_of_flows(pipeline, update, at, progress)
            flows_run = True
        if failed:
            yield _error_of_no_update(pipeline, update, at)


def _progress_of_flows(pipeline: Pipeline, update: Update, at: float, progress: str) -> Iterator[Event]:
    for flow in FLOWS:
        status = {"status": progress.split()[-1]}
        yield _info(pipeline, update, "flow_progress", at, f"Flow '{flow}' {progress}.", status)


def _info(
    pipeline: Pipeline,
    update: Update,
    event_type: str,
    at: float,
    message: str,
    details: dict[str, Any] | None = None,
) -> Event:
    return event(
        pipeline,
        key=f"{update.update_id}/{message}",
        at=at,
        level="INFO",
        event_type=event_type,
        message=message,
        update_id=update.update_id,
        exceptions=[],
        details=details,
    )


def _short(update: Update) -> str:
    """The part of an update's id that messages show."""
    return update.update_id[:6]


def _error_of_another_update(pipeline: Pipeline, update: Update, at: float) -> Event:
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
        details={"state": "FAILED"},
    )


def _error_of_no_update(pipeline: Pipeline, update: Update, at: float) -> Event:
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
