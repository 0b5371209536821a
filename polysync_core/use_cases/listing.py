"""The two lists that merge all workspaces. The workspaces are read side by side, until the page is complete.

When the time is over, a page holds what is certain by then, perhaps nothing. Its continuation goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence

from polysync_core.adapters.storage.job_store import MAX_PAGE_CHARACTERS
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.threads import ContextPool
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets
from polysync_core.rules.rows import row_keys
from polysync_core.rules.wire.merged_jobs import (
    ReadJobs,
    decode_jobs_place,
    encode_jobs_place,
    first_of,
    merge_jobs,
)
from polysync_core.rules.wire.merged_runs import (
    SearchedRuns,
    begin_search,
    decode_runs_place,
    encode_runs_place,
    merge_runs,
    plan_search,
)
from polysync_core.use_cases import jobs, reading
from polysync_core.use_cases.jobs import JobList
from polysync_core.use_cases.reading import RunList
from polysync_core.values.deadline import Deadline
from polysync_core.values.job import LastDiscovery
from polysync_core.values.run import LastSweep, RunFilter

THREADS = 8
_LEAST_RUNS = 10
"""The runs that are read of a workspace at once: a smaller page takes as long."""


def list_all_runs(
    workspaces: Sequence[WorkspaceServices],
    wanted: RunFilter,
    *,
    limit: int,
    continuation: str | None,
    max_age_seconds: int,
    deadline: Deadline,
) -> RunList:
    """Runs of all `workspaces`, newest first, as they are stored. At `deadline`, what is certain so far.

    A page after the deadline still advances, so that its caller comes to the end. Raises InvalidRequest when the
    continuation is not from an earlier page of this list. Raises StorageUnavailable after `budgets.LISTING_STORAGE`.
    """
    place = decode_runs_place(continuation)
    by_name = {ws.workspace.name: ws for ws in workspaces}
    parts = {part.workspace: part for part in begin_search(place, by_name)}
    sweeps: dict[str, LastSweep | None] = {}
    share = 2 * limit // max(1, len(workspaces))

    def search(part: SearchedRuns) -> SearchedRuns:
        ws, found = by_name[part.workspace], part.runs
        if part.workspace not in sweeps:
            sweeps[part.workspace] = ws.runs.last_sweep()  # read before the runs, whose rows lack what a sweep saw
        most = limit + 1 - len(found)
        page = ws.runs.list_recent(
            wanted,
            # Each page of active runs reads all of them, so one page has to do.
            limit=most if wanted.active else min(most, max(_LEAST_RUNS, share, len(found))),
            continuation=row_keys.encode_continuation(part.upto) if part.upto else None,
            deadline=deadline.within(budgets.LISTING * THREADS / len(workspaces)),
        )
        upto = None if page.continuation is None else row_keys.decode_continuation(page.continuation, row_keys.RECENT)
        return SearchedRuns(workspace=part.workspace, upto=upto, runs=(*found, *page.runs))

    with storage_deadline(Deadline.after(deadline.clock, budgets.LISTING_STORAGE)), ContextPool(THREADS) as pool:
        while behind := plan_search(parts.values(), limit)[:THREADS]:
            for part in pool.map(search, behind):
                parts[part.workspace] = part
            if deadline.is_over() and merge_runs(parts.values(), limit, place).place != place:
                break
    page = merge_runs(parts.values(), limit, place)
    return RunList(
        views=tuple(
            reading.view_after(run, by_name[name], sweeps.get(name), max_age_seconds) for name, run in page.runs
        ),
        continuation=None if page.place is None else encode_runs_place(page.place),
    )


def list_all_jobs(
    workspaces: Sequence[WorkspaceServices], *, limit: int, continuation: str | None, deadline: Deadline
) -> JobList:
    """Jobs of all `workspaces`, by the name of the workspace and then by pipeline id. At `deadline`, what was read.

    Raises InvalidRequest when the continuation is not from an earlier page of this list. Raises StorageUnavailable
    after `budgets.LISTING_STORAGE`.
    """
    place = decode_jobs_place(continuation)
    by_name = {ws.workspace.name: ws for ws in workspaces}
    unread = sorted(name for name in by_name if name >= place.workspace)
    discoveries: dict[str, LastDiscovery | None] = {}
    parts: list[ReadJobs] = []

    def read(name: str) -> ReadJobs:
        ws, after = by_name[name], place.job_key if name == place.workspace else ""
        page = ws.jobs.list_page(limit=limit, continuation=row_keys.encode_continuation(after) if after else None)
        if page.jobs:
            discoveries[name] = ws.jobs.discoveries().last
        return ReadJobs(workspace=name, jobs=page.jobs, has_more=page.continuation is not None)

    with storage_deadline(Deadline.after(deadline.clock, budgets.LISTING_STORAGE)), ContextPool(THREADS) as pool:
        while True:
            next_ones, unread = unread[:THREADS], unread[THREADS:]
            parts += pool.map(read, next_ones)
            following = unread[0] if unread else None
            page = merge_jobs(parts, limit=limit, max_characters=MAX_PAGE_CHARACTERS, unread=following)
            is_cut = following is None or page.place != first_of(following)
            if is_cut or deadline.is_over():
                break
    return JobList(
        views=tuple(jobs.view_after(job, by_name[name], discoveries[name]) for name, job in page.jobs),
        continuation=None if page.place is None else encode_jobs_place(page.place),
    )
