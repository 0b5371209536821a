"""Decide how a discovery changes a job, from the stored job, the response of Databricks and the time. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from polysync_core.rules.decisions.parameters import ImportRules, import_parameters, is_same
from polysync_core.values.databricks import Absent, PipelineSpec
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable
from polysync_core.values.errors import PolysyncError
from polysync_core.values.job import (
    Change,
    ChangeKind,
    Counts,
    DiscoveryPass,
    HiddenValue,
    ImportedValue,
    Job,
    LastDiscovery,
    Tally,
)

MAX_CHANGES = 1000
MAX_NOT_SYNCED = 20
"""At most this many failed jobs are listed in `not_synced`. A further one is marked in its own row (`failedAt`)."""
_TRIES, _TRIES_WHEN_BUSY = 3, 6
_LONGEST_PAUSE_SECONDS = 30.0


Seen = PipelineSpec | Absent


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineSeen:
    """A pipeline as Databricks returned it, with its name in the list of pipelines and its stored job (or None)."""

    pipeline_id: str
    seen: Seen
    listed_name: str | None = None
    stored: Job | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobDecision:
    """A job before and after (None: there is none). If `write` is false, the row is up to date."""

    before: Job | None
    after: Job | None
    write: bool


def decide_job(pipeline: PipelineSeen, *, rules: ImportRules, now: datetime, always_write: bool = False) -> JobDecision:
    """Decide how a job changes to match its pipeline.

    Absent.GONE removes the job. Absent.FORBIDDEN keeps its parameters and marks it as not accessible. The user's
    full_refresh is kept as it is. An unchanged job is written only if `always_write` is true and it is accessible.
    """
    before = pipeline.stored
    if pipeline.seen is Absent.GONE:
        return JobDecision(before=before, after=None, write=before is not None)
    known = before or Job(pipeline_id=pipeline.pipeline_id, name=None, imported_at=now, synced_at=None)
    if isinstance(pipeline.seen, PipelineSpec):
        after = replace(
            known,
            name=pipeline.seen.name or pipeline.listed_name or known.name,
            accessible=True,
            parameters=import_parameters(pipeline.seen, rules),
            synced_at=now,
        )
    else:
        after = replace(known, name=pipeline.listed_name or known.name, accessible=False)
    if before is not None and _is_in_step(before, after) and not (always_write and after.accessible):
        return JobDecision(before=before, after=before, write=False)
    return JobDecision(before=before, after=after, write=True)


def _is_in_step(one: Job, other: Job) -> bool:
    return (
        one.name == other.name
        and one.accessible == other.accessible
        and one.parameters.keys() == other.parameters.keys()
        and all(is_same(value, other.parameters[name]) for name, value in one.parameters.items())
    )


def tally(before: Job | None, after: Job | None) -> tuple[Tally, tuple[Change, ...]]:
    """Return the counts and the changes of one job. A job counts as changed when anything in it differs.

    The user's full_refresh is not compared, because a discovery never changes it.
    """
    job = after or before
    if job is None:
        return Tally(), ()
    own = _own_changes(before, after)
    parameters, changes = _parameter_changes(
        job.pipeline_id,
        {} if before is None else before.parameters,
        {} if after is None else after.parameters,
    )
    if before is None:
        jobs = Counts(added=1)
    elif after is None:
        jobs = Counts(removed=1)
    elif own or changes:
        jobs = Counts(changed=1)
    else:
        jobs = Counts(unchanged=1)
    return Tally(jobs=jobs, parameters=parameters), (*own, *changes)


def _own_changes(before: Job | None, after: Job | None) -> list[Change]:
    if before is None and after is not None:
        return [_change(after.pipeline_id, None, ChangeKind.ADDED, None, after.name)]
    if before is not None and after is None:
        return [_change(before.pipeline_id, None, ChangeKind.REMOVED, before.name, None)]
    changes = []
    if before is not None and after is not None:
        if before.name != after.name:
            changes.append(_change(after.pipeline_id, None, ChangeKind.CHANGED, before.name, after.name))
        if before.accessible != after.accessible:
            words = {True: "accessible", False: "not accessible"}
            states = (words[before.accessible], words[after.accessible])
            changes.append(_change(after.pipeline_id, None, ChangeKind.CHANGED, *states))
    return changes


def _parameter_changes(
    job: str, before: Mapping[str, ImportedValue], after: Mapping[str, ImportedValue]
) -> tuple[Counts, tuple[Change, ...]]:
    changes, unchanged = [], 0
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        if one is None:
            changes.append(_change(job, name, ChangeKind.ADDED, None, other))
        elif other is None:
            changes.append(_change(job, name, ChangeKind.REMOVED, one, None))
        elif is_same(one, other):
            unchanged += 1
        else:
            changes.append(_change(job, name, ChangeKind.CHANGED, one, other))
    kinds = [change.kind for change in changes]
    counts = Counts(
        added=kinds.count(ChangeKind.ADDED),
        changed=kinds.count(ChangeKind.CHANGED),
        removed=kinds.count(ChangeKind.REMOVED),
        unchanged=unchanged,
    )
    return counts, tuple(changes)


def _change(
    job: str, parameter: str | None, kind: ChangeKind, before: ImportedValue | None, after: ImportedValue | None
) -> Change:
    """If one of the values is hidden, neither is shown. The other may be the same secret."""
    if isinstance(before, HiddenValue) or isinstance(after, HiddenValue):
        return Change(job=job, parameter=parameter, kind=kind, before=None, after=None)
    return Change(job=job, parameter=parameter, kind=kind, before=before, after=after)


def synced_at(job: Job, last: LastDiscovery | None) -> datetime | None:
    """Return when the job was last known to be in sync, by its row or by a later discovery that did not change it."""
    if last is None or not job.accessible or job.synced_at is None:
        return job.synced_at
    if job.failed_at is not None and job.failed_at >= last.discovered_at:
        return job.synced_at
    confirmed_at = last.not_synced.get(job.pipeline_id, last.discovered_at)
    return job.synced_at if confirmed_at is None else max(job.synced_at, confirmed_at)


def completed(done: DiscoveryPass, before: LastDiscovery | None) -> LastDiscovery | None:
    """Return the LastDiscovery to store after a complete discovery.

    It is `before` if that is later. It is also `before` if this discovery only failed: more than MAX_NOT_SYNCED jobs
    failed, and no job succeeded.
    """
    is_failure = done.tally.failed > MAX_NOT_SYNCED and done.tally.jobs == Counts()
    if is_failure or (before is not None and before.discovered_at > done.began_at):
        return before
    return LastDiscovery(discovered_at=done.began_at, not_synced=done.not_synced)


def read_pause_seconds(error: PolysyncError, tries: int) -> float | None:
    """Return the seconds to wait before a read is retried after `tries` tries. None means no retry.

    Databricks' Retry-After is used first, at least 1 s. Without it the pause is 1 s, doubles with each try and is at
    most 30 s. A 429 is about the whole workspace, not about one pipeline, so this rule always allows a retry.
    """
    own = min(_LONGEST_PAUSE_SECONDS, float(2 ** min(tries - 1, 10)))
    if isinstance(error, DatabricksUnreachable):
        return own if tries < _TRIES else None
    if not isinstance(error, DatabricksError) or not error.is_transient:
        return None
    wished = own if error.retry_after_seconds is None else max(1.0, float(error.retry_after_seconds))
    if error.databricks_status == 429:
        return wished
    return wished if tries < (_TRIES_WHEN_BUSY if error.databricks_status == 503 else _TRIES) else None
