"""Merging the jobs of all workspaces: by workspace, then by pipeline id."""

from __future__ import annotations

import pytest

from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.job_entity import JOB, job_key
from polysync_core.rules.wire.merged_jobs import (
    START,
    JobsPlace,
    MergedJobs,
    ReadJobs,
    decode_jobs_place,
    encode_jobs_place,
    first_of,
    merge_jobs,
)
from polysync_core.rules.wire.merged_runs import RunsPlace, encode_runs_place
from polysync_core.values.errors import InvalidRequest
from polysync_core.values.job import Job
from tests.rules.examples import NOW


def job(pipeline_id: str, text: str = "") -> Job:
    return Job(pipeline_id=pipeline_id, name=None, imported_at=NOW, synced_at=NOW, parameters={"custom.x": text})


A = ReadJobs(workspace="a", jobs=(job("p1"), job("p2")), has_more=False)
EMPTY = ReadJobs(workspace="b", jobs=(), has_more=False)
C = ReadJobs(workspace="c", jobs=(job("p1"), job("p3")), has_more=True)


def merged(*parts: ReadJobs, limit: int = 10, max_characters: int = 100, unread: str | None = None) -> MergedJobs:
    return merge_jobs(parts, limit=limit, max_characters=max_characters, unread=unread)


@pytest.mark.parametrize(
    ("page", "count", "place", "reason"),
    [
        (merged(), 0, None, "no workspace is left"),
        (merged(A, EMPTY), 2, None, "all were read to their end"),
        (merged(A, EMPTY, limit=2), 2, None, "the page is full, and nothing follows"),
        (merged(A, limit=2, unread="b"), 2, first_of("b"), "something may follow"),
        (merged(A, limit=1), 1, JobsPlace(workspace="a", job_key=job_key("p1")), "within a workspace"),
        (merged(A, EMPTY, C, limit=2), 2, JobsPlace(workspace="a", job_key=job_key("p2")), "at its end"),
        (merged(A, EMPTY, C, limit=3), 3, JobsPlace(workspace="c", job_key=job_key("p1")), "in the last"),
        (merged(A, EMPTY, C, unread="d"), 4, JobsPlace(workspace="c", job_key=job_key("p3")), "there are more in c"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_page_continues_where_it_stopped(page: MergedJobs, count: int, place: JobsPlace | None, reason: str) -> None:
    assert (len(page.jobs), page.place) == (count, place), reason


def test_a_page_ends_early_where_jobs_are_large() -> None:
    large = [ReadJobs(workspace=name, jobs=(job("p", "x" * 60), job("q", "x" * 60)), has_more=False) for name in "ab"]
    page = merged(*large)
    assert [(name, found.pipeline_id) for name, found in page.jobs] == [("a", "p"), ("a", "q")]
    assert page.place == JobsPlace(workspace="a", job_key=job_key("q"))


def test_a_continuation_belongs_to_its_list() -> None:
    place = JobsPlace(workspace="a", job_key=job_key("p1"))
    assert decode_jobs_place(encode_jobs_place(place)) == place
    assert decode_jobs_place(None) == START
    of_runs = encode_runs_place(RunsPlace(key="recent|00000000000000|p:u", workspace="a"))
    for given in (of_runs, row_keys.encode_continuation(job_key("p1")), "", "ä"):
        with pytest.raises(InvalidRequest, match=r"^continuation: .* with workspace=\*"):
            decode_jobs_place(given)
    with pytest.raises(InvalidRequest, match=r"^continuation: "):
        row_keys.decode_continuation(encode_jobs_place(place), JOB)
