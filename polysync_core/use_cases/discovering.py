"""Discovery: list the workspace's pipelines, fetch the configuration of each one, and sync the jobs.

A discovery works page by page. It takes a page of the listing and the stored jobs in the same range of ids. It works
through both in order of id, 100 pipelines at a time. It fetches every pipeline that is in either of them. A job that is
not listed is removed only if that fetch answers that its pipeline does not exist. So the listing needs to be neither
complete nor in order.

A discovery may end at any point and continue later: a DiscoveryPass holds its progress. An unchanged job is not
written.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import discovery_rules
from polysync_core.rules.decisions.discovery_rules import MAX_CHANGES, MAX_NOT_SYNCED
from polysync_core.rules.decisions.parameters import ImportRules
from polysync_core.use_cases.fetching import Fetcher, OutOfTime
from polysync_core.use_cases.syncing import FetchedPipeline, JobSyncer
from polysync_core.values.databricks import Absent, PipelinesPage
from polysync_core.values.databricks_errors import DatabricksError
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import PolysyncError
from polysync_core.values.job import Change, DiscoveryPass, DiscoveryReport, StoredJob, Tally

CONNECTIONS = 16
"""The most calls to Databricks at the same time."""
_CHUNK = 100
_SAVE_EVERY_SECONDS = 30.0
"""If the process of a scheduled discovery dies, only the work since the last save is repeated."""
_log = logging.getLogger("polysync.discovery")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    """A pipeline to fetch. `listed_name` is the listing's name for it, if any. `stored` is its job's row, if any."""

    pipeline_id: str
    is_listed: bool
    listed_name: str | None
    stored: StoredJob | None


def discover(
    ws: WorkspaceServices,
    rules: ImportRules,
    go_on_from: DiscoveryPass | None = None,
    *,
    deadline: Deadline,
    connections: int = CONNECTIONS,
    scheduled: bool = False,
) -> DiscoveryReport:
    """Discover a workspace until `deadline`, from the beginning or from `go_on_from`. Returns the report.

    A complete discovery writes one report row. A scheduled discovery saves its progress too. If a pipeline cannot be
    fetched, its job stays unchanged and is counted as failed. An error of Databricks or storage that ends the listing
    early is raised only if nothing was done before. Otherwise the report says how far the discovery came. An error is
    always raised if it occurs while jobs are removed or progress is saved at the end.
    """
    return _Discovery(ws, rules, go_on_from, scheduled=scheduled).run(deadline, connections)


class _Discovery:
    def __init__(
        self, ws: WorkspaceServices, rules: ImportRules, go_on_from: DiscoveryPass | None, *, scheduled: bool
    ) -> None:
        self._ws = ws
        self._name = ws.workspace.name
        self._scheduled = scheduled
        self._last = ws.jobs.discoveries().last
        self._keeper = JobSyncer(ws, rules, self._last)
        self._pass = go_on_from or DiscoveryPass(began_at=ws.clock.now())
        self._reads_again = self._pass.page_token is None
        self._skip_upto = self._pass.after if self._reads_again else self._pass.page_after
        self._highest = ""
        self._has_begun_again = False
        self._listed: set[str] = set()
        self._done: set[str] = set()
        self._gone: dict[str, FetchedPipeline] = {}
        self._tally = Tally()
        self._changes: list[Change] = []
        self._saved_at = ws.clock.monotonic()

    def run(self, deadline: Deadline, connections: int) -> DiscoveryReport:
        clock = self._ws.clock
        began_at = clock.monotonic()
        client = self._ws.databricks.client(deadline)
        with Fetcher(client, clock, connections) as fetcher:
            complete = self._go_as_far_as_possible(fetcher)
        if complete or self._pass.in_order:
            self._remove_gone()
        self._write_down(complete)
        report = DiscoveryReport(
            workspace=self._name,
            tally=self._tally,
            changes=tuple(self._changes),
            rest=None if complete else self._so_far,
            calls=client.calls,
            seconds=round(clock.monotonic() - began_at, 3),
        )
        _log_report(report)
        return report

    def _go_as_far_as_possible(self, fetcher: Fetcher) -> bool:
        """Whether the discovery reached its end. Raises an error only if nothing was done before it."""
        try:
            return self._go_through(fetcher)
        except OutOfTime as late:
            if late.because is not None and self._tally == Tally():
                raise late.because from None
        except PolysyncError as error:
            if self._tally == Tally():
                raise
            _log.warning("the discovery of workspace %s stops: %s", self._name, error.detail)
        return False

    # --- gather

    def _go_through(self, fetcher: Fetcher) -> bool:
        """Work page by page. False when time ran out. A repeated page token ends the listing."""
        used: set[str] = set()
        while True:
            page = self._page(fetcher)
            next_token = None if page.next_page_token in used else page.next_page_token
            self._note_order(page)
            candidates = self._candidates(page, is_last=next_token is None)
            while chunk := [*islice(candidates, _CHUNK)]:
                if not self._bring_into_step(chunk, fetcher):
                    return False
                self._save_now_and_then()
            if next_token is None:
                return True
            used.add(next_token)
            self._pass = replace(self._pass, page_token=next_token, page_after="")
            if not self._reads_again or self._skip_upto < self._highest:
                self._skip_upto = ""

    def _note_order(self, page: PipelinesPage) -> None:
        """Note whether this page lists a lower id than an earlier page did. Databricks lists in order of id.

        If it does, nothing is skipped by id any more, because a skip could miss pipelines.
        """
        ids = [listed.pipeline_id for listed in page.pipelines]
        if ids and min(ids) <= self._highest:
            self._pass = replace(self._pass, in_order=False)
            self._skip_upto = ""
        self._highest = max([self._highest, *ids])
        self._listed.update(ids)

    def _remove_gone(self) -> None:
        """Remove the jobs whose pipelines do not exist. A job stays if any page that was read lists its pipeline.

        This runs after a complete listing. It also runs after an incomplete one in order of id, because its pages have
        passed the ids of these jobs.
        """
        gone = [fetched for pipeline_id, fetched in self._gone.items() if pipeline_id not in self._listed]
        failed: dict[str, PolysyncError] = {one: _contradiction() for one in self._gone if one in self._listed}
        self._note_failed(failed | self._sync(gone), {one: fetched.stored for one, fetched in self._gone.items()})

    def _page(self, fetcher: Fetcher) -> PipelinesPage:
        """The page to work on. If its page token is refused, the listing is read from its start, once in a call."""
        try:
            return fetcher.fetch_page(self._pass.page_token)
        except DatabricksError as error:
            is_token = error.databricks_status in {400, 404, 500} and not error.refuses_app
            if not is_token or self._pass.page_token is None or self._has_begun_again:
                raise
            _log.warning("workspace %s: the listing is read from its start: %s", self._name, error.detail)
        self._has_begun_again = self._reads_again = True
        self._pass = replace(self._pass, page_token=None, page_after="")
        self._skip_upto, self._highest = (self._pass.after if self._pass.in_order else ""), ""
        return fetcher.fetch_page(None)

    def _candidates(self, page: PipelinesPage, *, is_last: bool) -> Iterator[_Candidate]:
        """The pipelines that the page lists, and those with a stored job in its range of ids, in order of id.

        Rows are read only as they are used. Pipelines that are already done are left out.
        """
        names = {
            listed.pipeline_id: listed.name
            for listed in page.pipelines
            if listed.pipeline_id > self._skip_upto and listed.pipeline_id not in self._done
        }
        after, upto = self._pass.after, None if is_last else max(names, default="")
        stored = self._ws.jobs.iter_jobs(after=after, upto=upto) if upto is None or upto > after else ()
        listed: Iterator[tuple[str, StoredJob | None]] = ((pipeline_id, None) for pipeline_id in sorted(names))
        kept: Iterator[tuple[str, StoredJob | None]] = ((row.pipeline_id, row) for row in stored)
        for pipeline_id, pair in groupby(heapq.merge(listed, kept, key=_first), key=_first):
            row = next((row for _, row in pair if row is not None), None)
            if pipeline_id not in self._done:
                is_listed = pipeline_id in self._listed
                yield _Candidate(
                    pipeline_id=pipeline_id, is_listed=is_listed, listed_name=names.get(pipeline_id), stored=row
                )

    # --- decide and apply

    def _bring_into_step(self, chunk: Sequence[_Candidate], fetcher: Fetcher) -> bool:
        """Fetch the pipelines of a chunk and save the changes. False when time ran out before the last one.

        The next call then continues after the last one that was fetched.
        """
        answered: list[FetchedPipeline] = []
        failed: dict[str, PolysyncError] = {}
        reached = None
        for candidate, seen in zip(chunk, fetcher.fetch_all([one.pipeline_id for one in chunk]), strict=True):
            if seen is None:
                break
            reached = candidate.pipeline_id
            self._done.add(reached)
            if isinstance(seen, PolysyncError):
                failed[reached] = seen
                continue
            fetched = FetchedPipeline(
                pipeline_id=reached, seen=seen, listed_name=candidate.listed_name, stored=candidate.stored
            )
            if seen is not Absent.GONE:
                answered.append(fetched)
            elif candidate.is_listed:
                failed[reached] = _contradiction()
            else:
                self._gone[reached] = fetched
        failed |= self._sync(answered)
        self._note_failed(failed, {one.pipeline_id: one.stored for one in chunk})
        if reached is not None:
            self._pass = replace(self._pass, after=max(self._pass.after, reached), page_after=reached)
        return reached == chunk[-1].pipeline_id

    def _sync(self, answered: Sequence[FetchedPipeline]) -> dict[str, PolysyncError]:
        """Save and count the changes. Returns the errors of the jobs that could not be saved, by pipeline id."""
        failed: dict[str, PolysyncError] = {}
        for pipeline_id, outcome in self._keeper.sync(answered).items():
            if isinstance(outcome, PolysyncError):
                failed[pipeline_id] = outcome
            else:
                tally, changes = discovery_rules.tally(outcome.before, outcome.after)
                self._tally += tally
                self._changes += changes[: MAX_CHANGES - len(self._changes)]
        return failed

    def _note_failed(self, failed: Mapping[str, PolysyncError], stored: Mapping[str, StoredJob | None]) -> None:
        not_synced = dict(self._pass.not_synced)
        marked: list[StoredJob] = []
        for pipeline_id, error in failed.items():
            _log.warning(
                "pipeline %s could not be imported: %s",
                pipeline_id,
                error.detail,
                extra={"pipeline_id": pipeline_id, "action": "discover"},
            )
            row = stored[pipeline_id]
            job = None if row is None else row.job
            if len(not_synced) < MAX_NOT_SYNCED:
                not_synced[pipeline_id] = None if job is None else discovery_rules.synced_at(job, self._last)
            elif row is not None:
                marked.append(row)
        self._keeper.mark_failed(marked, self._pass.began_at)
        self._tally += Tally(failed=len(failed))
        self._pass = replace(self._pass, not_synced=not_synced)

    # --- write down

    def _save_now_and_then(self) -> None:
        now = self._ws.clock.monotonic()
        if self._scheduled and now - self._saved_at >= _SAVE_EVERY_SECONDS:
            self._ws.jobs.save_under_way(self._so_far)
            self._saved_at = now

    def _write_down(self, complete: bool) -> None:
        if complete:
            last = discovery_rules.completed(self._so_far, self._last)
            self._ws.jobs.save_completed(last, self._so_far.tally, scheduled=self._scheduled)
        elif self._scheduled:
            self._ws.jobs.save_under_way(self._so_far)

    @property
    def _so_far(self) -> DiscoveryPass:
        return replace(self._pass, tally=self._pass.tally + self._tally)


def _contradiction() -> DatabricksError:
    return DatabricksError("Databricks lists the pipeline and answers that it does not exist.", databricks_status=404)


def _first(pair: tuple[str, StoredJob | None]) -> str:
    return pair[0]


def _log_report(report: DiscoveryReport) -> None:
    jobs, parameters = report.tally.jobs, report.tally.parameters
    _log.info(
        "discovery: workspace=%s added=%d changed=%d removed=%d unchanged=%d failed=%d parameters_changed=%d "
        "complete=%s calls=%d seconds=%.2f",
        report.workspace,
        jobs.added,
        jobs.changed,
        jobs.removed,
        jobs.unchanged,
        report.tally.failed,
        parameters.added + parameters.changed + parameters.removed,
        report.rest is None,
        report.calls,
        report.seconds,
        extra={"action": "discover", "workspace": report.workspace},
    )
