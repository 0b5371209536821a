"""The run document that callers see. Every field is always present, and null when its value is unknown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from polysync_core.rules.decisions.run_states import error_code_of, outcome_code, sentence_of, status_of_run
from polysync_core.rules.wire.addresses import Addresses, monitor_url, update_url
from polysync_core.rules.wire.http_answers import ErrorDocument, Instant, Reply, problem_members
from polysync_core.values.callback import Callback, CallbackKind, CallbackState
from polysync_core.values.caller import CallerId
from polysync_core.values.run import Attempt, JsonObject, Run, Status
from polysync_core.values.start_options import StartOptions
from polysync_core.values.workspace import Workspace

SLOW_STOP = timedelta(minutes=10)


class AttemptDocument(TypedDict):
    """One update of a run."""

    updateId: str
    state: str | None
    cause: str | None
    createdAt: Instant | None


class CallbackDocument(TypedDict):
    """A callback of a run, without any part of its address."""

    kind: Annotated[CallbackKind, Field(description="The field that asked for it.")]
    state: CallbackState
    tries: int
    lastError: str | None
    nextAttemptAt: Instant | None


class CallerDocument(TypedDict):
    """Who signed in: the ids of the user or service principal, and of its application."""

    objectId: str
    applicationId: str | None


class StartOptionsDocument(TypedDict, total=False):
    """The start options of the update. An option that was not given is left out."""

    refresh_selection: list[str]
    full_refresh_selection: list[str]
    reset_checkpoint_selection: list[str]
    validate_only: bool


CallerMember = CallerDocument | Literal["key"] | None


class _RunMembers(TypedDict):
    runId: Annotated[str, Field(description="{pipeline_id}:{update_id}")]
    pipelineId: str
    updateId: Annotated[str, Field(description="The update of the first attempt.")]
    pipelineName: str | None
    workspace: str
    state: Annotated[str | None, Field(description="Databricks' own word.")]
    isFinished: bool
    message: Annotated[str, Field(description="One line for a person.")]
    fullRefresh: bool | None
    ignoredParameters: list[str]
    options: StartOptionsDocument
    monitorUrl: Annotated[str, Field(description="The pipeline's page in Databricks.")]
    updateUrl: Annotated[str, Field(description="The page of the last attempt.")]
    statusUrl: str
    cancelUrl: str
    startedAt: Instant | None
    updatedAt: Instant
    finishedAt: Annotated[Instant | None, Field(description="When the run was first seen finished.")]
    durationSeconds: float | None
    timeoutAt: Annotated[Instant | None, Field(description="When the app asks Databricks to stop the update.")]
    attempts: list[AttemptDocument]
    attached: Annotated[bool, Field(description="This caller, or this app, joined an update that was already active.")]
    cancelRequestedAt: Instant | None
    startedBy: Annotated[
        CallerMember, Field(description='"key" for a function key; null if started elsewhere, or by an older version.')
    ]
    cancelledBy: Annotated[CallerMember, Field(description="Who asked the app for a stop first.")]
    staleSince: Annotated[Instant | None, Field(description="Set while Databricks cannot be asked.")]
    callbacks: list[CallbackDocument]
    status: Status


class RunDocument(_RunMembers):
    """A run: one update of a pipeline, with Databricks' automatic retries of it. Null means not known."""

    error: ErrorDocument | None


class StartedRunDocument(RunDocument):
    """A run, for the caller that started it."""

    resultUrl: Annotated[
        str, Field(description="Where to wait for the end. A credential: whoever has it can read this run.")
    ]


class UnhappyEndDocument(_RunMembers):
    """A run that did not end well, with the members of a problem document. `status` is the status of the run."""

    type: str
    title: str
    detail: str
    instance: str
    code: str
    error: ErrorDocument


class RunListDocument(TypedDict):
    """Runs, newest first."""

    items: list[RunDocument]
    continuation: Annotated[str | None, Field(description="For the next page; null at the end.")]


def encode_document(
    run: Run, *, workspace: Workspace, addresses: Addresses, now: datetime, stale_since: datetime | None
) -> RunDocument:
    """Return the document of `run`. `stale_since` is set when the state of the run could not be refreshed lately."""
    return {
        "runId": str(run.run_id),
        "pipelineId": run.run_id.pipeline_id,
        "updateId": run.run_id.update_id,
        "pipelineName": run.pipeline_name,
        "workspace": workspace.name,
        "status": status_of_run(run),
        "state": run.state,
        "isFinished": run.is_finished,
        "message": message_of(run, now, stale_since),
        "fullRefresh": run.full_refresh,
        "ignoredParameters": list(run.ignored_parameters),
        "options": _encode_options(run.options),
        "monitorUrl": monitor_url(workspace.url, run.run_id.pipeline_id),
        "updateUrl": update_url(workspace.url, run.current_id),
        "statusUrl": addresses.status_url(run.run_id),
        "cancelUrl": addresses.cancel_url(run.run_id),
        "startedAt": iso_or_none(run.started_at),
        "updatedAt": iso(run.updated_at),
        "finishedAt": iso_or_none(run.finished_at),
        "durationSeconds": _duration_seconds(run, now),
        "timeoutAt": iso_or_none(run.timeout_at),
        "error": None if run.error is None else {"code": run.error.code, "message": run.error.message},
        "attempts": [_encode_attempt(attempt) for attempt in run.attempts],
        "attached": run.attached,
        "cancelRequestedAt": iso_or_none(run.cancel_requested_at),
        "startedBy": _encode_caller(run.started_by),
        "cancelledBy": _encode_caller(run.cancelled_by),
        "staleSince": iso_or_none(stale_since),
        "callbacks": [_encode_callback(callback) for callback in run.callbacks],
    }


def _encode_options(options: StartOptions) -> StartOptionsDocument:
    document: StartOptionsDocument = {}
    if options.refresh_selection:
        document["refresh_selection"] = [*options.refresh_selection]
    if options.full_refresh_selection:
        document["full_refresh_selection"] = [*options.full_refresh_selection]
    if options.reset_checkpoint_selection:
        document["reset_checkpoint_selection"] = [*options.reset_checkpoint_selection]
    if options.validate_only:
        document["validate_only"] = True
    return document


def _encode_caller(caller: CallerId | None) -> CallerMember:
    if caller is None:
        return None
    if caller.object_id is None:
        return "key"
    return {"objectId": caller.object_id, "applicationId": caller.application_id}


def message_of(run: Run, now: datetime, stale_since: datetime | None) -> str:
    """Return one line for a person: what Databricks is doing, and what else matters now."""
    parts = [sentence_of(run.state) if run.error is None else run.error.message]
    if run.retried_as is not None:
        parts.append(
            f"Databricks retries it by itself as update {run.retried_as}; start with followRetries to follow that."
        )
    if not run.is_finished:
        if run.retry_awaited_since is not None:
            parts.append("Databricks may retry it by itself; that is waited for.")
        if run.state == "STOPPING" and run.state_since is not None and now - run.state_since >= SLOW_STOP:
            minutes = int((now - run.state_since).total_seconds() // 60)
            parts.append(f"It has been stopping for {minutes} minutes; for a continuous pipeline that is normal.")
        if run.missing_since is not None:
            parts = [f"Databricks answers since {iso(run.missing_since)} that this update does not exist."]
        if run.cancel_requested_at is not None:
            asks = "" if run.state == "STOPPING" else "; the app asks Databricks for it"
            parts.append(f"A stop was requested at {iso(run.cancel_requested_at)}{asks}.")
        if stale_since is not None:
            parts.append(
                f"This is how it stood at {iso(stale_since)}; Databricks has not been asked successfully since."
            )
    return " ".join(parts)


_TITLES = {
    Status.FAILED: "The update failed",
    Status.CANCELLED: "The update was cancelled",
    Status.UNKNOWN: "The update was given up",
}


def encode_outcome(run: Run, document: RunDocument, instance: str) -> Reply:
    """Return the final response of the await address: 200 Success, 424 Failed, 409 Cancelled, 410 given up.

    Every code is below 500, so that Logic Apps does not retry. Every failure is 400 or more, so that Data Factory's
    activity fails. The body of a failure has the members of the run and of a problem. Its `status` is the run's.
    """
    code = outcome_code(run)
    if code == 200:
        return Reply(status=200, body=document)
    title = _TITLES[status_of_run(run)]
    members = problem_members(error_code_of(run), title, code, document["message"], instance)
    # Both have a `status` and an `error`. The body has the run's status, and the problem's error, which is never null.
    return Reply(status=code, body={**members, **document, "error": members["error"]})


def iso_or_none(instant: datetime | None) -> Instant | None:
    return None if instant is None else iso(instant)


def iso(instant: datetime) -> Instant:
    """Return the time in ISO 8601, in UTC, to the millisecond."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _duration_seconds(run: Run, now: datetime) -> float | None:
    """Return the seconds from the update's creation in Databricks to the finish, or to now while the run is active."""
    if run.started_at is None:
        return None
    return round(max(0.0, ((run.finished_at or now) - run.started_at).total_seconds()), 3)


def _encode_attempt(attempt: Attempt) -> AttemptDocument:
    return {
        "updateId": attempt.update_id,
        "state": attempt.state,
        "cause": attempt.cause,
        "createdAt": iso_or_none(attempt.created_at),
    }


def _encode_callback(callback: Callback) -> CallbackDocument:
    """Return what callers may see of a callback. It holds no part of the address."""
    return {
        "kind": callback.kind,
        "state": callback.state,
        "tries": callback.tries,
        "lastError": callback.last_error,
        "nextAttemptAt": iso_or_none(callback.next_attempt_at),
    }


def encode_body(kind: CallbackKind, run: Run, document: RunDocument) -> bytes:
    """Return the JSON body of a callback: the run document.

    Data Factory gets the document in the form that `reportStatusOnCallBack` reads. There StatusCode is a string, and
    "400" or more fails the activity. Error is left out on success. Source:
    https://learn.microsoft.com/azure/data-factory/control-flow-webhook-activity
    """
    body: JsonObject = document
    if kind is CallbackKind.DATA_FACTORY:
        code = outcome_code(run)
        body = {"Output": document, "StatusCode": str(code)}
        if code >= 400:
            body = {**body, "Error": {"ErrorCode": error_code_of(run), "Message": document["message"]}}
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
