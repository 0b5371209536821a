"""Reading: a fresh run costs no call and a stale run costs one. An outage shows as staleness, never as a status."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.receiver import Receiver
from local.rig import ManualClock, Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.use_cases import reading
from polysync_core.values.callback import CallbackState
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import RunNotFound
from polysync_core.values.ids import RunId
from polysync_core.values.run import RunFilter, Status
from tests.conftest import RigOf

UPDATE = "/pipelines/{id}/updates/{uid}"


def test_a_thousand_reads_of_a_fresh_run_cause_no_call(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    clock.pass_time(minutes=10)
    rig.sweep()
    clock.pass_time(seconds=30)
    workspace.clear_calls()
    with ThreadPoolExecutor(8) as pool:
        views = [*pool.map(lambda _: rig.read(run_id), range(1_000))]
    assert workspace.calls() == []
    assert {view.stale_since for view in views} == {None}


def test_a_thousand_reads_of_a_stale_run_cause_one_call(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    clock.pass_time(seconds=31)
    workspace.clear_calls()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: rig.read(run_id), range(1_000)))
    assert len(workspace.calls("GET", UPDATE)) == 1
    view = rig.read(run_id)
    assert (view.run.state, view.stale_since) == ("RUNNING", None)


def test_an_unchanged_stale_run_is_remembered_as_seen_for_other_instances(
    rig: Rig, azurite: str, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    rig.sweep()
    clock.pass_time(seconds=31)
    rig.read(run_id)
    workspace.clear_calls()
    another = Rig(azurite, {rig.name: workspace.url}, workspace, clock)
    another.read(run_id)
    assert workspace.calls() == []


def test_a_read_finishes_a_run_through_the_sweeps_transition(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "FAILED")
    clock.pass_time(minutes=1)
    run = rig.read(run_id).run
    assert (status_of_run(run), run.is_finished) == (Status.FAILED, True)
    assert rig.active_ids() == set()
    assert rig.sweep().active == 0


def test_an_outage_shows_as_staleness_and_costs_a_thousand_readers_one_try(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    rig.sweep()
    swept_at = clock.now()
    workspace.set_state(pipeline_id, None, "COMPLETED")
    clock.pass_time(minutes=7)
    workspace.add_fault("status", method="GET", status=400, times=None)
    workspace.clear_calls()
    views = [rig.read(run_id) for _ in range(50)]
    assert len(workspace.calls()) == 1
    assert {(status_of_run(view.run), view.stale_since) for view in views} == {(Status.RUNNING, swept_at)}
    workspace.clear_faults()
    clock.pass_time(seconds=31)
    view = rig.read(run_id)
    assert (status_of_run(view.run), view.stale_since) == (Status.SUCCESS, None)


def test_a_run_that_the_last_sweep_could_not_see_is_not_fresh(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    rig.sweep()
    clock.pass_time(minutes=1)
    workspace.add_fault("status", method="GET", route=UPDATE, status=400)
    assert rig.sweep().failed == 1
    workspace.clear_calls()
    assert rig.read(run_id).stale_since is None
    assert len(workspace.calls("GET", UPDATE)) == 1


def test_a_run_unchanged_for_hours_that_one_sweep_missed_is_as_old_as_the_sweep_before(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    rig.sweep()
    clock.pass_time(hours=3)
    rig.sweep()
    swept_at = clock.now()
    workspace.down()
    clock.pass_time(seconds=15)
    assert rig.sweep().failed == 1
    workspace.clear_calls()
    assert rig.read(run_id).stale_since is None
    assert workspace.calls() == [], "it is 15 s old"
    for _ in range(3):
        clock.pass_time(seconds=15)
        rig.sweep()
    assert rig.read(run_id).stale_since == swept_at
    page = reading.list_runs(rig.ws, RunFilter(), limit=1, continuation=None, max_age_seconds=30)
    assert page.views[0].stale_since == swept_at


def test_a_second_reader_waits_for_the_observation_of_the_first(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "COMPLETED")
    clock.pass_time(minutes=1)
    workspace.add_fault("delay", method="GET", route=UPDATE, seconds=0.7, times=None)
    workspace.clear_calls()
    with ThreadPoolExecutor(8) as pool:
        views = [*pool.map(lambda _: rig.read(run_id), range(8))]
    assert [(status_of_run(view.run), view.stale_since) for view in views] == [(Status.SUCCESS, None)] * 8
    assert len(workspace.calls("GET", UPDATE)) == 1


def test_a_reader_answers_in_time_when_databricks_hangs(azurite: str, rig: Rig, workspace: SimulatedWorkspace) -> None:
    real_time = Rig(azurite, {rig.name: workspace.url}, workspace, Clock(), POLYSYNC_STATUS_MAX_AGE_SECONDS="1")
    run_id = real_time.start(workspace.add_pipeline()).run.run_id
    workspace.add_fault("hang", seconds=60, times=None)
    time.sleep(1.1)

    def read(_: int) -> float:
        began = time.monotonic()
        assert real_time.read(run_id).stale_since is not None
        return time.monotonic() - began

    with ThreadPoolExecutor(2) as pool:
        assert max(pool.map(read, range(2))) < 10


def test_a_silent_workspace_holds_few_readers_and_the_others_get_the_stored_answer_at_once(
    azurite: str, rig: Rig, workspace: SimulatedWorkspace
) -> None:
    real_time = Rig(azurite, {rig.name: workspace.url}, workspace, Clock(), POLYSYNC_STATUS_MAX_AGE_SECONDS="1")
    runs = track_running(real_time, workspace, workspace.add_pipelines(40))
    workspace.add_fault("hang", method="GET", seconds=60, times=None)
    time.sleep(1.1)

    def read(run_id: RunId) -> float:
        began = time.monotonic()
        assert real_time.read(run_id).stale_since is not None
        return time.monotonic() - began

    with ThreadPoolExecutor(20) as pool:
        seconds = sorted(pool.map(read, [run.run_id for run in runs[:20]]))
        assert seconds[11] < 2 < seconds[12], "eight readers wait for Databricks, the others do not"
        workspace.clear_calls()
        assert max(pool.map(read, [run.run_id for run in runs[20:]])) < 2
    assert workspace.calls() == [], "the last look got no answer"
    workspace.clear_faults()
    real_time.sweep()
    time.sleep(1.1)
    assert real_time.read(runs[30].run_id).stale_since is None, "the sweep got an answer"
    assert workspace.calls("GET", UPDATE) != []


def test_a_sweep_that_reached_only_some_silent_runs_lets_no_reader_through(
    azurite: str, rig: Rig, workspace: SimulatedWorkspace
) -> None:
    """Seen before: the runs that a sweep had no time for counted as answers, and let eight readers through again."""
    real_time = Rig(azurite, {rig.name: workspace.url}, workspace, Clock(), POLYSYNC_STATUS_MAX_AGE_SECONDS="1")
    runs = track_running(real_time, workspace, workspace.add_pipelines(60))
    workspace.add_fault("hang", method="GET", seconds=60, times=None)
    real_time.sweep()
    workspace.clear_calls()
    began = time.monotonic()
    for run in runs[:20]:
        assert real_time.read(run.run_id).stale_since is not None
    assert time.monotonic() - began < 5
    assert workspace.calls() == []


def test_without_sweeps_a_silent_workspace_is_asked_again_by_one_reader_after_30_seconds(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    runs = [rig.start(workspace.add_pipeline()).run for _ in range(6)]
    clock.pass_time(minutes=1)
    workspace.down()
    rig.read(runs[0].run_id)
    workspace.up()
    rig.read(runs[1].run_id)
    assert rig.read(runs[1].run_id).stale_since is not None, "not asked yet"
    clock.pass_time(seconds=30)
    assert rig.read(runs[2].run_id).stale_since is None
    assert rig.read(runs[3].run_id).stale_since is None, "it answers again"


def test_a_run_is_looked_for_in_every_workspace(rig: Rig, azurite: str, workspace: SimulatedWorkspace) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    other_url = workspace.url.rpartition(":")[0] + ":1"
    both = Rig(azurite, {"first": other_url, rig.name: workspace.url}, workspace, rig.clock)
    assert both.read(run_id).workspace.name == rig.name
    with pytest.raises(RunNotFound):
        both.read(RunId(run_id.pipeline_id, "no-such-update"))


def test_the_listing_is_newest_first_filtered_and_paged(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_ids = []
    for number in range(7):
        pipeline_id = workspace.add_pipeline()
        run_ids.append(rig.start(pipeline_id).run.run_id)
        if number % 2:
            workspace.set_state(pipeline_id, None, "COMPLETED")
        clock.pass_time(seconds=1)
    rig.sweep()

    def listed(limit: int, wanted: RunFilter) -> list[RunId]:
        found: list[RunId] = []
        continuation: str | None = None
        while True:
            page = reading.list_runs(rig.ws, wanted, limit=limit, continuation=continuation, max_age_seconds=30)
            assert len(page.views) <= limit
            found += [view.run.run_id for view in page.views]
            continuation = page.continuation
            if continuation is None:
                return found

    newest_first = run_ids[::-1]
    for limit in (1, 3, 7, 200):
        assert listed(limit, RunFilter()) == newest_first
        assert listed(limit, RunFilter(status=Status.SUCCESS)) == newest_first[1::2]
        assert listed(limit, RunFilter(active=True)) == newest_first[::2]
        assert listed(limit, RunFilter(pipeline_id=run_ids[3].pipeline_id)) == [run_ids[3]]
        assert listed(limit, RunFilter(active=True, status=Status.SUCCESS)) == []


def test_the_listing_of_a_time_holds_the_runs_that_were_started_in_it(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    begins, run_ids = [], []
    for _ in range(5):
        begins.append(clock.now())
        run_ids.append(rig.start(workspace.add_pipeline()).run.run_id)
        clock.pass_time(days=20)

    def listed(**wanted: Any) -> list[RunId]:
        for active in (False, True):
            page = reading.list_runs(
                rig.ws, RunFilter(active=active, **wanted), limit=10, continuation=None, max_age_seconds=30
            )
            found = [view.run.run_id for view in page.views]
        return found

    assert listed(since=begins[1], until=begins[4]) == [run_ids[3], run_ids[2], run_ids[1]]
    assert listed(since=begins[3]) == [run_ids[4], run_ids[3]]
    assert listed(until=begins[1]) == [run_ids[0]]
    assert listed(since=clock.now()) == []
    assert listed(status=Status.UNKNOWN, since=begins[2]) == [run_ids[4], run_ids[3], run_ids[2]]


def test_the_listing_of_an_end_holds_the_runs_that_ended_in_it_however_long_ago_they_started(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipelines = [workspace.add_pipeline() for _ in range(4)]
    run_ids, ended = [], []
    for pipeline_id in pipelines:
        run_ids.append(rig.start(pipeline_id).run.run_id)
        clock.pass_time(minutes=1)
    for pipeline_id, state in ((pipelines[2], "COMPLETED"), (pipelines[1], "FAILED"), (pipelines[0], "FAILED")):
        clock.pass_time(days=20)
        ended.append(clock.now())
        workspace.set_state(pipeline_id, None, state)
        rig.sweep()

    def listed(**wanted: Any) -> list[RunId]:
        page = reading.list_runs(rig.ws, RunFilter(**wanted), limit=10, continuation=None, max_age_seconds=30)
        return [view.run.run_id for view in page.views]

    assert listed(finished_since=ended[2]) == [run_ids[0]]
    assert listed(finished_since=ended[1]) == [run_ids[1], run_ids[0]]
    assert listed(finished_since=ended[0], status=Status.FAILED) == [run_ids[1], run_ids[0]]
    assert listed(finished_since=ended[0], pipeline_id=pipelines[2]) == [run_ids[2]]
    assert listed(finished_since=datetime(1, 1, 1, tzinfo=UTC)) == [run_ids[2], run_ids[1], run_ids[0]]
    assert listed(finished_since=clock.now() + timedelta(days=1)) == []


def test_a_filtered_listing_answers_in_time_and_goes_on_where_it_stopped(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_ids = []
    for number in range(9):
        pipeline_id = workspace.add_pipeline()
        run_ids.append(rig.start(pipeline_id).run.run_id)
        workspace.set_state(pipeline_id, None, "FAILED" if number in {0, 4} else "COMPLETED")
        rig.sweep()
        clock.pass_time(days=9)
    over = Deadline.after(clock, -1)
    found: list[RunId] = []
    sizes = []
    continuation: str | None = None
    while True:
        page = rig.ws.runs.list_recent(
            RunFilter(status=Status.FAILED), limit=10, continuation=continuation, deadline=over
        )
        found += [run.run_id for run in page.runs]
        sizes.append(len(page.runs))
        continuation = page.continuation
        if continuation is None:
            break
    assert found == [run_ids[4], run_ids[0]]
    assert sizes.count(0) > 1, "what was found so far may be nothing"


def test_a_read_that_fails_once_is_repeated(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, "RUNNING")
    clock.pass_time(minutes=1)
    workspace.add_fault("status", method="GET", status=503)
    view = rig.read(run_id)
    assert (view.run.state, view.stale_since) == ("RUNNING", None)


def test_the_read_that_finishes_a_run_shows_its_callbacks_as_due(
    rig_of: RigOf, receiver: Receiver, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    rig = rig_of(receiver)
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id, {"callbackUrl": receiver.url()}).run.run_id
    workspace.set_state(pipeline_id, None, "COMPLETED")
    clock.pass_time(minutes=1)
    (callback,) = rig.read(run_id).run.callbacks
    assert callback.state is CallbackState.DUE
