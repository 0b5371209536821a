"""The lists of all workspaces: every run and every job once, in order, whatever time there was for each page."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain

import pytest

from local.rig import ManualClock, Rig
from local.seeding import put_row
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.job_entity import encode_job
from polysync_core.rules.rows.run_entity import RUN
from polysync_core.use_cases import jobs, listing, reading
from polysync_core.use_cases.listing import THREADS
from polysync_core.use_cases.reading import RunList
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import InvalidRequest, StorageUnavailable
from polysync_core.values.ids import RunId
from polysync_core.values.job import Job, JobWrite
from polysync_core.values.run import LastSweep, RunFilter, Status, SweepReport
from tests.rules.examples import make_run

NAMES = ("west", "east", "north")


class TickingClock(ManualClock):
    """Every look at it takes 20 ms, so that a list of many workspaces runs out of time."""

    def monotonic(self) -> float:
        self.sleep(0.02)
        return super().monotonic()


@pytest.fixture
def many(azurite: str, workspace: SimulatedWorkspace, clock: ManualClock) -> Rig:
    """An app with three workspaces. Nothing calls them."""
    return rig_with(azurite, workspace, clock, *NAMES)


def rig_with(azurite: str, workspace: SimulatedWorkspace, clock: ManualClock, *names: str) -> Rig:
    mark = uuid.uuid4().hex
    return Rig(azurite, {name: f"https://{name}-{mark}.localhost" for name in names}, workspace, clock)


def put_run(rig: Rig, name: str, *, days_ago: float, state: str = "COMPLETED", pipeline_id: str = "p1") -> RunId:
    """Write a finished run of the workspace `name` into the table."""
    at, run_id = rig.clock.now() - timedelta(days=days_ago), RunId(pipeline_id, uuid.uuid4().hex)
    times = {"accepted_at": at, "seen_at": at, "updated_at": at, "finished_at": at}
    columns = RUN.encode(make_run(run_id=run_id, state=state, **times))
    put_row(rig, row_keys.recent(run_id, at), columns, partition=rig.services.at(name).workspace.partition)
    return run_id


def list_runs(rig: Rig, continuation: str | None, *, limit: int = 2, seconds: float = 60, **wanted: object) -> RunList:
    return listing.list_all_runs(
        workspaces_of(rig),
        RunFilter(**wanted),  # type: ignore[arg-type]
        limit=limit,
        continuation=continuation,
        max_age_seconds=30,
        deadline=Deadline.after(rig.clock, seconds),
    )


def workspaces_of(rig: Rig) -> list[WorkspaceServices]:
    return [*rig.services.workspaces.values()]


def pages(rig: Rig, *, limit: int = 2, seconds: float = 60, **wanted: object) -> Iterator[list[RunId]]:
    """The run ids of each page until the end."""
    continuation: str | None = None
    while True:
        page = list_runs(rig, continuation, limit=limit, seconds=seconds, **wanted)
        assert len(page.views) <= limit
        yield [view.run.run_id for view in page.views]
        if page.continuation is None:
            return
        assert page.continuation != continuation, "each page advances"
        continuation = page.continuation


def all_of(found: Iterable[list[RunId]]) -> list[RunId]:
    return [*chain.from_iterable(found)]


class TestRuns:
    @pytest.mark.parametrize("limit", [1, 2, 7, 200])
    def test_they_are_newest_first_over_all_workspaces_and_filtered(self, many: Rig, limit: int) -> None:
        run_ids = [
            put_run(many, NAMES[number * number % 3], days_ago=number, state="FAILED" if number % 3 else "COMPLETED")
            for number in range(9)
        ]
        assert [*pages(many, limit=limit)] == [run_ids[begin : begin + limit] for begin in range(0, 9, limit)]
        for seconds in (60, -1):
            wanted = [run_ids[number] for number in (0, 3, 6)]
            assert all_of(pages(many, limit=limit, seconds=seconds, status=Status.SUCCESS)) == wanted
            until, since = (many.clock.now() - timedelta(days=days) for days in (2.5, 6.5))
            assert all_of(pages(many, limit=limit, seconds=seconds, until=until, since=since)) == run_ids[3:7]
        assert all_of(pages(many, limit=limit, pipeline_id="p2")) == []

    def test_each_names_its_workspace_and_was_seen_by_that_workspaces_sweep(self, many: Rig) -> None:
        seen_at = many.clock.now() - timedelta(hours=1)
        for name in ("east", "north"):
            run = make_run(run_id=RunId("p1", uuid.uuid4().hex), accepted_at=seen_at, seen_at=seen_at)
            assert many.services.at(name).runs.insert(run, ())
        report = SweepReport(workspace="east")
        many.services.at("east").runs.save_last_sweep(LastSweep(swept_at=many.clock.now(), report=report))
        views = list_runs(many, None).views
        assert {(view.workspace.name, view.stale_since) for view in views} == {("east", None), ("north", seen_at)}

    def test_active_ones_only(self, many: Rig) -> None:
        put_run(many, "west", days_ago=1)
        expected = []
        for number in range(5):
            run = make_run(run_id=RunId("p1", uuid.uuid4().hex), accepted_at=many.clock.now() - timedelta(number))
            assert many.services.at(NAMES[number % 2]).runs.insert(run, ())
            expected.append(run.run_id)
        assert all_of(pages(many, active=True)) == expected

    def test_what_is_rare_is_found_page_by_page_when_there_is_no_time(self, many: Rig) -> None:
        """Each page reads one range of each workspace. The workspaces come to different places."""
        for number in range(12):
            put_run(many, NAMES[number % 2], days_ago=7 * number)
        failed = [
            put_run(many, name, days_ago=days, state="FAILED")
            for name, days in (("west", 8), ("north", 9), ("east", 40), ("north", 41), ("west", 80))
        ]
        found = [*pages(many, seconds=-1, status=Status.FAILED)]
        assert all_of(found) == failed
        assert found.count([]) > 0, "what was found so far may be nothing"

    def test_more_workspaces_than_one_page_has_time_for_are_searched_in_turn(
        self, azurite: str, workspace: SimulatedWorkspace, clock: ManualClock
    ) -> None:
        names = [f"w{number:02}" for number in range(3 * THREADS)]
        rig = rig_with(azurite, workspace, clock, *names)
        run_ids = [put_run(rig, name, days_ago=number + 1) for number, name in enumerate(names)]
        found = [*pages(rig, limit=50, seconds=-1)]
        assert all_of(found) == run_ids
        assert found[:2] == [[], []]
        assert all_of(pages(rig, limit=5)) == run_ids

    def test_a_page_ends_in_time_and_the_next_ones_skip_nothing(
        self, azurite: str, workspace: SimulatedWorkspace
    ) -> None:
        names = [f"w{number:02}" for number in range(5 * THREADS)]
        rig = rig_with(azurite, workspace, TickingClock(), *names)
        run_ids = [put_run(rig, name, days_ago=number + 1) for number, name in enumerate(names)]
        found: list[RunId] = []
        began, count = rig.clock.monotonic(), 0
        for page in pages(rig, limit=9, seconds=budgets.LISTING, status=Status.SUCCESS):
            found, count = found + page, count + 1
            assert rig.clock.monotonic() - began < budgets.LISTING_STORAGE
            began = rig.clock.monotonic()
        assert found == run_ids
        assert count > len(run_ids) / 9 + 1, "some pages ran out of time"

    def test_runs_of_one_moment_are_never_waited_for_without_end(
        self, azurite: str, workspace: SimulatedWorkspace, clock: ManualClock
    ) -> None:
        names = [f"w{number:02}" for number in range(2 * THREADS)]
        rig = rig_with(azurite, workspace, clock, *names)
        run_ids = {put_run(rig, name, days_ago=1) for name in names}
        found = all_of(pages(rig, limit=3, seconds=-1))
        assert (len(found), set(found)) == (len(run_ids), run_ids)

    def test_a_run_that_begins_between_two_pages_changes_nothing(self, many: Rig) -> None:
        run_ids = [put_run(many, NAMES[number % 3], days_ago=number + 1) for number in range(5)]
        found: list[RunId] = []
        for page in pages(many):
            found += page
            put_run(many, NAMES[len(found) % 3], days_ago=0)
        assert found == run_ids

    def test_no_workspaces_have_no_runs(self, clock: ManualClock) -> None:
        deadline = Deadline.after(clock, 2)
        page = listing.list_all_runs([], RunFilter(), limit=2, continuation=None, max_age_seconds=30, deadline=deadline)
        assert page == RunList(views=(), continuation=None)

    def test_a_continuation_is_of_one_workspace_or_of_all(self, many: Rig) -> None:
        for number in range(3):
            put_run(many, "west", days_ago=number)
        of_all = list_runs(many, None).continuation
        of_one = reading.list_runs(many.ws, RunFilter(), limit=2, continuation=None, max_age_seconds=30).continuation
        assert of_all is not None
        assert of_one is not None
        with pytest.raises(InvalidRequest, match=r"^continuation: "):
            list_runs(many, of_one)
        with pytest.raises(InvalidRequest, match=r"^continuation: "):
            reading.list_runs(many.ws, RunFilter(), limit=2, continuation=of_all, max_age_seconds=30)


def put_job(rig: Rig, name: str, pipeline_id: str, text: str = "") -> tuple[str, str]:
    job = Job(
        pipeline_id=pipeline_id,
        name=None,
        imported_at=rig.clock.now(),
        synced_at=None,
        parameters={"custom.x": text},
    )
    assert not rig.services.at(name).jobs.save(
        [JobWrite(pipeline_id=pipeline_id, stored=None, columns=encode_job(job))]
    )
    return name, pipeline_id


def job_pages(rig: Rig, *, limit: int, seconds: float = 60) -> Iterator[list[tuple[str, str]]]:
    """The workspace and the pipeline id of the jobs of each page until the end."""
    continuation: str | None = None
    while True:
        deadline = Deadline.after(rig.clock, seconds)
        page = listing.list_all_jobs(workspaces_of(rig), limit=limit, continuation=continuation, deadline=deadline)
        assert len(page.views) <= limit
        yield [(view.workspace.name, view.job.pipeline_id) for view in page.views]
        if page.continuation is None:
            return
        assert page.continuation != continuation, "each page advances"
        continuation = page.continuation


class TestJobs:
    @pytest.mark.parametrize("limit", [1, 2, 3, 200])
    def test_they_come_by_workspace_and_pipeline_id(self, many: Rig, limit: int) -> None:
        expected = [put_job(many, "east", pipeline_id) for pipeline_id in ("p1", "p2", "p3")]
        expected += [put_job(many, "west", pipeline_id) for pipeline_id in ("p1", "p4")]
        assert [*job_pages(many, limit=limit)] == [expected[begin : begin + limit] for begin in range(0, 5, limit)]

    def test_workspaces_for_which_there_is_no_time_come_in_the_next_page(
        self, azurite: str, workspace: SimulatedWorkspace, clock: ManualClock
    ) -> None:
        names = [f"w{number:02}" for number in range(2 * THREADS + 1)]
        rig = rig_with(azurite, workspace, clock, *names)
        expected = [put_job(rig, names[number], "p1") for number in (1, 2, 16)]
        assert [*job_pages(rig, limit=9, seconds=-1)] == [expected[:2], [], expected[2:]]
        assert [*job_pages(rig, limit=9)] == [expected]

    def test_a_page_ends_early_where_jobs_are_large(self, many: Rig) -> None:
        expected = [put_job(many, name, "p1", "x" * 300_000) for name in ("east", "north", "west")]
        expected.insert(2, put_job(many, "north", "p2", "x" * 420_000))
        assert [*job_pages(many, limit=50)] == [expected[:3], expected[3:]]

    def test_a_continuation_is_of_one_workspace_or_of_all(self, many: Rig) -> None:
        for pipeline_id in ("p1", "p2"):
            put_job(many, "west", pipeline_id)
        deadline, workspaces = Deadline.after(many.clock, 60), workspaces_of(many)
        of_all = listing.list_all_jobs(workspaces, limit=1, continuation=None, deadline=deadline).continuation
        of_one = jobs.list_jobs(many.ws, limit=1, continuation=None).continuation
        assert of_all is not None
        assert of_one is not None
        with pytest.raises(InvalidRequest, match=r"^continuation: "):
            listing.list_all_jobs(workspaces, limit=1, continuation=of_one, deadline=deadline)
        with pytest.raises(InvalidRequest, match=r"^continuation: "):
            jobs.list_jobs(many.ws, limit=1, continuation=of_all)


def test_a_storage_that_does_not_answer_is_the_answer_for_the_whole_list(
    workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    nowhere = (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5;"
        "TableEndpoint=http://127.0.0.1:1/devstoreaccount1"
    )
    rig = rig_with(nowhere, workspace, clock, *NAMES)
    with pytest.raises(StorageUnavailable):
        list_runs(rig, None)
    with pytest.raises(StorageUnavailable):
        next(job_pages(rig, limit=1))
