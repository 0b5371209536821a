"""Sync jobs with their pipelines. It is safe while PUTs, starts and other discoveries run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial

from polysync_core.adapters.storage.races import retry_lost_races
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import discovery_rules
from polysync_core.rules.decisions.discovery_rules import JobDecision, PipelineSeen, Seen
from polysync_core.rules.decisions.parameters import ImportRules
from polysync_core.rules.rows.job_entity import encode_full_refresh, encode_job, encode_removed
from polysync_core.values.errors import JobTooLarge, TooBusy
from polysync_core.values.job import FullRefresh, JobWrite, LastDiscovery, StoredJob

_MOST_RACES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedPipeline:
    """What Databricks answered for a pipeline, with its stored job.

    `listed_name` is the listing's name for it (None: the listing gave none). `stored` is the row of its job (None: no
    row).
    """

    pipeline_id: str
    seen: Seen
    listed_name: str | None
    stored: StoredJob | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    decision: JobDecision
    write: JobWrite | None


class JobSyncer:
    """Decides how jobs change, and saves them. `last` is the last complete discovery.

    With `always_write`, unchanged jobs are written too.
    """

    def __init__(
        self, ws: WorkspaceServices, rules: ImportRules, last: LastDiscovery | None, *, always_write: bool = False
    ) -> None:
        self._ws = ws
        self._rules = rules
        self._last = last
        self._always_write = always_write

    def sync(self, pipelines: Sequence[FetchedPipeline]) -> dict[str, JobDecision | JobTooLarge]:
        """Decide and save. Returns each job's decision, or JobTooLarge, by pipeline id.

        An unchanged job is not written, unless `always_write`. If somebody else changed a row meanwhile, it is read and
        decided again, so that the other write is kept. Raises TooBusy when that fails 5 times.
        """
        by_id = {pipeline.pipeline_id: pipeline for pipeline in pipelines}
        outcomes: dict[str, JobDecision | JobTooLarge] = {}
        writes: list[JobWrite] = []
        for pipeline in pipelines:
            try:
                plan = self._plan(pipeline)
            except JobTooLarge as error:
                outcomes[pipeline.pipeline_id] = error
                continue
            outcomes[pipeline.pipeline_id] = plan.decision
            if plan.write is not None:
                writes.append(plan.write)
        for refused in self._ws.jobs.save(writes):
            again = by_id[refused.pipeline_id]
            outcomes[refused.pipeline_id] = retry_lost_races(partial(self._save_again, again), _MOST_RACES)
        return outcomes

    def mark_failed(self, rows: Sequence[StoredJob], began_at: datetime) -> None:
        """Write into the rows of these jobs that the discovery of `began_at` could not fetch or save them."""
        writes = [self._mark(row, began_at) for row in rows if row.job is not None]
        again = [self._ws.jobs.find(refused.pipeline_id) for refused in self._ws.jobs.save(writes)]
        self._ws.jobs.save([self._mark(row, began_at) for row in again if row is not None and row.job is not None])

    def _mark(self, row: StoredJob, began_at: datetime) -> JobWrite:
        synced_at = None if row.job is None else discovery_rules.synced_at(row.job, self._last)
        columns = {"failedAt": began_at, **({} if synced_at is None else {"syncedAt": synced_at})}
        return JobWrite(pipeline_id=row.pipeline_id, stored=row, columns=columns)

    def _save_again(self, pipeline: FetchedPipeline) -> JobDecision:
        stored = self._ws.jobs.find(pipeline.pipeline_id)
        plan = self._plan(replace(pipeline, stored=stored))
        if plan.write is not None and self._ws.jobs.save([plan.write]):
            raise TooBusy(f"Job {pipeline.pipeline_id} changes all the time, so it was not saved; repeat the request.")
        return plan.decision

    def _plan(self, pipeline: FetchedPipeline) -> _Plan:
        row = pipeline.stored
        job = None if row is None else row.job
        seen = PipelineSeen(
            pipeline_id=pipeline.pipeline_id,
            seen=pipeline.seen,
            listed_name=pipeline.listed_name,
            stored=None if job is None else replace(job, synced_at=discovery_rules.synced_at(job, self._last)),
        )
        decision = discovery_rules.decide_job(
            seen,
            rules=self._rules,
            now=self._ws.clock.now(),
            always_write=self._always_write,
        )
        is_unreadable = row is not None and job is None
        if not decision.write and not is_unreadable:
            return _Plan(decision=decision, write=None)
        after = decision.after
        columns = kept = None
        if after is not None:
            columns = encode_job(after, pieces_before=0 if row is None else row.pieces)
            came_back = self._removed.get(pipeline.pipeline_id) if row is None else None
            columns |= {} if came_back is None else encode_full_refresh(came_back)
        elif job is not None and job.full_refresh is not None:
            kept = encode_removed(job.full_refresh, self._ws.clock.now())
        write = JobWrite(pipeline_id=pipeline.pipeline_id, stored=row, columns=columns, kept=kept)
        return _Plan(decision=decision, write=write)

    @cached_property
    def _removed(self) -> dict[str, FullRefresh]:
        """The full_refresh that users had set for removed jobs. It is read once, when the first job is new."""
        return self._ws.jobs.removed_full_refresh()
