"""How callers see a job and a discovery. Every field is always there, null when unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from polysync_core.rules.decisions.parameters import show_parameters
from polysync_core.rules.wire.addresses import monitor_url
from polysync_core.rules.wire.run_document import iso
from polysync_core.values.job import Change, DiscoveryReport, Job, Parameter, Value

JOB_TYPE, PLATFORM = "Databricks Pipeline", "Azure Databricks"
_MAX_SHOWN = 500
"""Characters of a value in a list of changes; the job's own document has it whole."""


def encode_job_document(job: Job, *, workspace_url: str, synced_at: datetime | None) -> dict[str, object]:
    """The document of `job`. `synced_at` is when it was last known to be in step with Databricks."""
    return {
        "externalId": job.pipeline_id,
        "name": job.name,
        "jobType": JOB_TYPE,
        "platform": PLATFORM,
        "workspace": job.workspace,
        "monitorUrl": monitor_url(workspace_url, job.pipeline_id),
        "importedAt": iso(job.imported_at),
        "syncedAt": iso(synced_at),
        "accessible": job.accessible,
        "parameters": [_encode_parameter(shown) for shown in show_parameters(job.parameters, job.full_refresh)],
    }


def encode_report(report: DiscoveryReport, continuation: str | None) -> dict[str, object]:
    """The discovery report: counts and changes of this one call."""
    return {
        "workspace": report.workspace,
        "jobs": asdict(report.tally.jobs),
        "parameters": asdict(report.tally.parameters),
        "failed": report.tally.failed,
        "changes": [_encode_change(change) for change in report.changes],
        "complete": report.rest is None,
        "continuation": continuation,
    }


def _encode_parameter(parameter: Parameter) -> Mapping[str, object]:
    return {
        "name": parameter.name,
        "value": parameter.value,
        "dataType": parameter.data_type.value,
        "direction": parameter.direction.value,
        "forwarded": parameter.forwarded,
        "hidden": parameter.hidden,
    }


def _encode_change(change: Change) -> Mapping[str, object]:
    return {
        "job": change.job,
        "parameter": change.parameter,
        "change": change.kind.value,
        "from": _shown(change.before),
        "to": _shown(change.after),
    }


def _shown(value: Value | None) -> Value | None:
    return f"{value[:_MAX_SHOWN]}…" if isinstance(value, str) and len(value) > _MAX_SHOWN else value
