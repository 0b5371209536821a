"""The list of the jobs of all workspaces, by the name of the workspace and then by pipeline id. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter

from polysync_core.rules.rows.job_entity import job_key
from polysync_core.rules.wire.all_workspaces import decode_place, encode_place
from polysync_core.values.job import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class JobsPlace:
    """Where the list continues: in this `workspace`, after the row `job_key`. "" means from its first job."""

    job_key: Annotated[str, Field(pattern=r"^(job\|[A-Za-z0-9_-]+)?$")]
    workspace: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadJobs:
    """A page of one workspace. If `has_more` is true, the workspace has further jobs."""

    workspace: str
    jobs: tuple[Job, ...]
    has_more: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedJobs:
    """A page: the jobs with the names of their workspaces, and the place of the next page. None at the end."""

    jobs: tuple[tuple[str, Job], ...]
    place: JobsPlace | None


START = JobsPlace(workspace="", job_key="")
_MODEL = TypeAdapter(JobsPlace)


def encode_jobs_place(place: JobsPlace) -> str:
    return encode_place(place, _MODEL)


def decode_jobs_place(given: str | None) -> JobsPlace:
    """Return the place that a caller sent back. For None, it is the start. Raises InvalidRequest."""
    return START if given is None else decode_place(given, _MODEL)


def first_of(workspace: str) -> JobsPlace:
    """The place before the first job of the workspace."""
    return JobsPlace(workspace=workspace, job_key="")


def merge_jobs(parts: Iterable[ReadJobs], *, limit: int, max_characters: int, unread: str | None) -> MergedJobs:
    """Return the first `limit` jobs, or fewer when their parameters hold more than `max_characters`.

    `parts` are in order of workspace, and `unread` is the workspace after them. None when there is no other.
    """
    taken: list[tuple[str, Job]] = []
    characters = 0
    for part in parts:
        for job in part.jobs:
            if len(taken) == limit or characters > max_characters:
                return _stopped(taken)
            taken.append((part.workspace, job))
            characters += job.characters
        if part.has_more:
            return _stopped(taken)
    return MergedJobs(jobs=tuple(taken), place=None if unread is None else first_of(unread))


def _stopped(taken: Sequence[tuple[str, Job]]) -> MergedJobs:
    workspace, job = taken[-1]
    return MergedJobs(jobs=tuple(taken), place=JobsPlace(workspace=workspace, job_key=job_key(job.pipeline_id)))
