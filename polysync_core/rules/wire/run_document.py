"""The run document: how callers see a run. Every field is always there, null when unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from polysync_core.rules.decisions.run_states import error_code_of, outcome_code, sentence_of, status_of_run
from polysync_core.rules.wire.addresses import Addresses, monitor_url, update_url
from polysync_core.rules.wire.http_answers import Reply, problem_members
from polysync_core.values.callback import Callback, CallbackKind
from polysync_core.values.run import Attempt, JsonObject, Run, Status

SLOW_STOP = timedelta(minutes=10)


def encode_document(
    run: Run, *, workspace_url: str, addresses: Addresses, now: datetime, stale_since: datetime | None
) -> dict[str, object]:
    """The document of `run`. `stale_since` is set when its state could not be refreshed lately."""
    return {
        "runId": str(run.run_id),
        "pipelineId": run.run_id.pipeline_id,
        "updateId": run.run_id.update_id,
        "pipelineName": run.pipeline_name,
        "workspace": run.workspace,
        "status": status_of_run(run).value,
        "state": run.state,
        "isFinished": run.is_finished,
        "message": message_of(run, now, stale_since),
        "fullRefresh": run.full_refresh,
        "ignoredParameters": list(run.ignored_parameters),
        "monitorUrl": monitor_url(workspace_url, run.run_id.pipeline_id),
        "updateUrl": update_url(workspace_url, run.current_id),
        "statusUrl": addresses.status_url(run.run_id),
        "cancelUrl": addresses.cancel_url(run.run_id),
        "startedAt": iso(run.started_at),
        "updatedAt": iso(run.updated_at),
        "finishedAt": iso(run.finished_at),
        "durationSeconds": _duration_seconds(run, now),
        "error": None if run.error is None else {"code": run.error.code, "message": run.error.message},
        "attempts": [_encode_attempt(attempt) for attempt in run.attempts],
        "attached": run.attached,
        "cancelRequestedAt": iso(run.cancel_requested_at),
        "staleSince": iso(stale_since),
        "callbacks": [_encode_callback(callback) for callback in run.callbacks],
    }


def message_of(run: Run, now: datetime, stale_since: datetime | None) -> str:
    """One line for a person: what Databricks is doing, and what else matters now."""
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
            parts.append(f"A stop was asked for at {iso(run.cancel_requested_at)}.")
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


def encode_outcome(run: Run, document: dict[str, object], instance: str) -> Reply:
    """The final answer of the await address: 200 Success, 424 Failed, 409 Cancelled, 410 given up.

    All below 500, so that Logic Apps does not repeat; all failures from 400, so that Data Factory's activity fails. A
    failure has the members of a problem beside the run's own (whose `status` is the mission's word).
    """
    code = outcome_code(run)
    if code == 200:
        return Reply(status=200, body=document)
    title = _TITLES[status_of_run(run)]
    members = problem_members(error_code_of(run), title, code, str(document["message"]), instance)
    return Reply(status=code, body={**members, **document, "error": members["error"]})


def iso(instant: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond."""
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _duration_seconds(run: Run, now: datetime) -> float | None:
    """From Databricks' creation time to the finish, or until now while the run is active."""
    if run.started_at is None:
        return None
    return round(max(0.0, ((run.finished_at or now) - run.started_at).total_seconds()), 3)


def _encode_attempt(attempt: Attempt) -> Mapping[str, object]:
    return {
        "updateId": attempt.update_id,
        "state": attempt.state,
        "cause": attempt.cause,
        "createdAt": iso(attempt.created_at),
    }


def _encode_callback(callback: Callback) -> Mapping[str, object]:
    """What callers may see of a callback: nothing of its address."""
    return {
        "kind": callback.kind.value,
        "state": callback.state.value,
        "tries": callback.tries,
        "lastError": callback.last_error,
        "nextAttemptAt": iso(callback.next_attempt_at),
    }


def encode_body(kind: CallbackKind, run: Run, document: JsonObject) -> bytes:
    """The JSON that is sent: the run document; for Data Factory in the form that `reportStatusOnCallBack` reads.

    There StatusCode is a string, from "400" on it fails the activity; Error is left out on success. Source:
    https://learn.microsoft.com/azure/data-factory/control-flow-webhook-activity
    """
    body: JsonObject = document
    if kind is CallbackKind.DATA_FACTORY:
        code = outcome_code(run)
        body = {"Output": document, "StatusCode": str(code)}
        if code >= 400:
            body = {**body, "Error": {"ErrorCode": error_code_of(run), "Message": document["message"]}}
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
