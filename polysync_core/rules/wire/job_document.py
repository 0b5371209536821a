"""The documents of jobs and discoveries that callers see. Every field is always present, and null when unknown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from polysync_core.rules.decisions.parameters import show_parameters
from polysync_core.rules.wire.addresses import monitor_url
from polysync_core.rules.wire.http_answers import Instant
from polysync_core.rules.wire.run_document import iso, iso_or_none
from polysync_core.values.job import (
    Change,
    ChangeKind,
    Counts,
    DataType,
    Direction,
    DiscoveryReport,
    Job,
    Parameter,
    Value,
)
from polysync_core.values.workspace import Workspace

JOB_TYPE: Literal["Databricks Pipeline"] = "Databricks Pipeline"
PLATFORM: Literal["Azure Databricks"] = "Azure Databricks"
_MAX_SHOWN = 500
"""The most characters of a value in a list of changes. The job's own document has the whole value."""


class ParameterDocument(TypedDict):
    """A parameter of a job."""

    name: str
    value: Annotated[Value | None, Field(description="Null when it is hidden.")]
    dataType: DataType
    direction: Direction
    forwarded: Annotated[bool, Field(description="A start that does not say otherwise sends it.")]
    hidden: Annotated[
        bool,
        Field(
            description="The value is a secret, and only a change of it is reported. "
            "A reference to a secret of Databricks is shown."
        ),
    ]


class JobDocument(TypedDict):
    """A pipeline imported into Polysync."""

    externalId: Annotated[str, Field(description="The pipeline id.")]
    name: str | None
    jobType: Literal["Databricks Pipeline"]
    platform: Literal["Azure Databricks"]
    workspace: str
    monitorUrl: str
    importedAt: Instant
    syncedAt: Instant | None
    accessible: Annotated[
        bool,
        Field(
            description="False: Databricks does not let this app read the configuration, and the last known is shown."
        ),
    ]
    parameters: list[ParameterDocument]


class JobListDocument(TypedDict):
    """Jobs, sorted by pipeline id."""

    items: list[JobDocument]
    continuation: Annotated[str | None, Field(description="For the next page; null at the end.")]


class CountsDocument(TypedDict):
    """The number of each kind."""

    added: int
    changed: int
    removed: int
    unchanged: int


ChangeDocument = TypedDict(
    "ChangeDocument",
    {
        "job": str,
        "parameter": Annotated[str | None, Field(description="Null: the job itself.")],
        "change": ChangeKind,
        "from": Value | None,
        "to": Value | None,
    },
)
ChangeDocument.__doc__ = "One difference."


class DiscoveryReportDocument(TypedDict):
    """The result of this call of a discovery or of Sync Parameters."""

    workspace: str
    jobs: CountsDocument
    parameters: CountsDocument
    failed: Annotated[int, Field(description="Jobs that could not be looked at; they are as they were.")]
    changes: Annotated[list[ChangeDocument], Field(description="At most 1,000.")]
    complete: bool
    continuation: Annotated[str | None, Field(description="Send it in the next call to continue; null when complete.")]


def encode_job_document(job: Job, *, workspace: Workspace, synced_at: datetime | None) -> JobDocument:
    """Return the document of `job`. `synced_at` is the last time that it was known to be in sync with Databricks."""
    return {
        "externalId": job.pipeline_id,
        "name": job.name,
        "jobType": JOB_TYPE,
        "platform": PLATFORM,
        "workspace": workspace.name,
        "monitorUrl": monitor_url(workspace.url, job.pipeline_id),
        "importedAt": iso(job.imported_at),
        "syncedAt": iso_or_none(synced_at),
        "accessible": job.accessible,
        "parameters": [_encode_parameter(shown) for shown in show_parameters(job.parameters, job.full_refresh)],
    }


def encode_report(report: DiscoveryReport, continuation: str | None) -> DiscoveryReportDocument:
    """Return the report of a discovery: the counts and changes of this one call."""
    return {
        "workspace": report.workspace,
        "jobs": _encode_counts(report.tally.jobs),
        "parameters": _encode_counts(report.tally.parameters),
        "failed": report.tally.failed,
        "changes": [_encode_change(change) for change in report.changes],
        "complete": report.rest is None,
        "continuation": continuation,
    }


def _encode_counts(counts: Counts) -> CountsDocument:
    return {
        "added": counts.added,
        "changed": counts.changed,
        "removed": counts.removed,
        "unchanged": counts.unchanged,
    }


def _encode_parameter(parameter: Parameter) -> ParameterDocument:
    return {
        "name": parameter.name,
        "value": parameter.value,
        "dataType": parameter.data_type,
        "direction": parameter.direction,
        "forwarded": parameter.forwarded,
        "hidden": parameter.hidden,
    }


def _encode_change(change: Change) -> ChangeDocument:
    return {
        "job": change.job,
        "parameter": change.parameter,
        "change": change.kind,
        "from": _shown(change.before),
        "to": _shown(change.after),
    }


def _shown(value: Value | None) -> Value | None:
    return f"{value[:_MAX_SHOWN]}…" if isinstance(value, str) and len(value) > _MAX_SHOWN else value
