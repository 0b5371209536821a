"""The states of Databricks' updates: their status, which of them are final, and a sentence for a person.

The mission defines the statuses ("Execution flow", step 3). The Pipelines API defines the states:
https://docs.databricks.com/api/azure/workspace/pipelines/getupdate. A new state counts as active, with status Unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from polysync_core.values.run import Run, Status

STATUS_OF_STATE: Mapping[str, Status] = MappingProxyType(
    {
        "RUNNING": Status.RUNNING,
        "STOPPING": Status.RUNNING,
        "COMPLETED": Status.SUCCESS,
        "FAILED": Status.FAILED,
        "CANCELED": Status.CANCELLED,
    }
)

FINISHED_STATUSES = frozenset({Status.SUCCESS, Status.FAILED, Status.CANCELLED})

SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "QUEUED": "Databricks has queued the update.",
        "CREATED": "Databricks has created the update and is about to prepare it.",
        "WAITING_FOR_RESOURCES": "Databricks is waiting for compute to run the update.",
        "INITIALIZING": "Databricks is initializing the update: reading the pipeline's code and building its graph.",
        "RESETTING": "Databricks is resetting the pipeline's tables for the full refresh.",
        "SETTING_UP_TABLES": "Databricks is setting up the pipeline's tables.",
        "RUNNING": "The update is running.",
        "STOPPING": "The update is stopping: Databricks lets running micro-batches finish first.",
        "COMPLETED": "The update completed.",
        "FAILED": "The update failed.",
        "CANCELED": "The update was cancelled.",
    }
)


def status_of(state: str | None) -> Status:
    """Return the mission's status of a Databricks state. Any other state, or None, is Unknown."""
    return STATUS_OF_STATE.get(state or "", Status.UNKNOWN)


def status_of_run(run: Run) -> Status:
    """Return the status of the run's state, or Running if the last attempt has ended and the run waits for a retry."""
    if is_final(run.state) and not run.is_finished:
        return Status.RUNNING
    return status_of(run.state)


def is_final(state: str | None) -> bool:
    """Whether Databricks will not change this state any more."""
    return status_of(state) in FINISHED_STATUSES


def is_known(state: str | None) -> bool:
    """Whether the state is one of the API's documented states."""
    return state in SENTENCES


def sentence_of(state: str | None) -> str:
    """Return one plain sentence about what Databricks does in `state`."""
    if state is None:
        return "Databricks accepted the update but has not reported its state yet."
    return SENTENCES.get(
        state, f"Databricks reports the state {state}, which Polysync does not know; it keeps watching."
    )


_STATUS_CODES = {Status.SUCCESS: 200, Status.FAILED: 424, Status.CANCELLED: 409, Status.UNKNOWN: 410}


def outcome_code(run: Run) -> int:
    """Return the HTTP status for a finished run: 200 Success, 424 Failed, 409 Cancelled, 410 given up."""
    return _STATUS_CODES[status_of_run(run)]


def error_code_of(run: Run) -> str:
    """Return a code for programs that says why a run did not end well."""
    return run.error.code if run.error is not None else f"Update{status_of_run(run)}"
