"""The sweep's listing of pipelines, and the cost of a slow or refused listing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from local.rig import ManualClock, Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.rules.decisions.budgets import SweepTimes


def _finish(workspace: SimulatedWorkspace, pipeline_ids: list[str]) -> None:
    for pipeline_id in pipeline_ids:
        workspace.set_state(pipeline_id, None, "COMPLETED")


@pytest.fixture
def real_time(azurite: str, rig: Rig, workspace: SimulatedWorkspace) -> Rig:
    """A rig in real time on the partition of `rig`."""
    return Rig(azurite, {rig.name: workspace.url}, workspace, Clock())


def test_a_listing_that_takes_longer_than_a_sweep_goes_on_where_it_stopped(
    rig: Rig, real_time: Rig, workspace: SimulatedWorkspace
) -> None:
    real_time.sweep_times = SweepTimes(listing=1.5)
    pipeline_ids = workspace.add_pipelines(1_300)
    track_running(rig, workspace, pipeline_ids[::13])
    _finish(workspace, pipeline_ids[::13])
    workspace.add_fault("delay", method="GET", route="/pipelines", seconds=0.3, times=None)
    finished: list[int] = []
    pages: list[object] = []
    while sum(finished) < 100:
        workspace.clear_calls()
        report = real_time.sweep()
        finished.append(report.finished)
        pages += [call.query.get("page_token") for call in workspace.calls("GET", "/pipelines")]
        looks = workspace.calls("GET", "/pipelines/{id}/updates/{uid}")
        assert len(looks) == report.finished, "no look in place of the listing"
        assert len(finished) < 6
    assert len(finished) >= 2
    assert len([*dict.fromkeys(pages)]) == 13, "each page was fetched"
    assert len(pages) <= 13 + len(finished), "and only the one that was cut off came twice"


def test_a_run_that_a_whole_listing_in_parts_has_not_shown_gets_its_own_look(
    rig: Rig, real_time: Rig, workspace: SimulatedWorkspace
) -> None:
    real_time.sweep_times = SweepTimes(listing=1.2)
    pipeline_ids = workspace.add_pipelines(800)
    runs = track_running(rig, workspace, pipeline_ids[::10])
    hidden = max((run.run_id for run in runs), key=str)
    workspace.hide(hidden.pipeline_id)
    _finish(workspace, [hidden.pipeline_id])
    workspace.add_fault("delay", method="GET", route="/pipelines", seconds=0.3, times=None)
    looks = []
    while str(hidden) in rig.active_ids():
        workspace.clear_calls()
        real_time.sweep()
        looks.append(len(workspace.calls("GET", "/pipelines/{id}/updates/{uid}")))
        assert len(looks) < 5
    assert len(looks) >= 2
    assert max(looks) <= 3, "the round's two, and the run that no page showed"


def test_a_stored_page_token_that_is_refused_begins_the_listing_again(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_ids = workspace.add_pipelines(300)
    track_running(rig, workspace, pipeline_ids)
    rig.sweep()
    last = rig.ws.runs.last_sweep()
    assert last is not None
    listing = replace(last.listing, page_token="expired", listing_began_at=clock.now(), pages_listed=1)
    rig.ws.runs.save_last_sweep(replace(last, listing=listing))
    clock.pass_time(seconds=15)
    workspace.clear_calls()
    report = rig.sweep()
    assert (report.active, report.failed) == (300, 0)
    tokens = [call.query.get("page_token") for call in workspace.calls("GET", "/pipelines")]
    assert tokens[:2] == ["expired", None]
    assert len(tokens) == 4
    last = rig.ws.runs.last_sweep()
    assert last is not None
    assert (last.listing.pages, last.listing.page_token) == (3, None)


def test_a_listing_of_which_no_page_comes_leaves_a_few_looks_to_the_next_sweep(
    rig: Rig, real_time: Rig, workspace: SimulatedWorkspace
) -> None:
    real_time.sweep_times = SweepTimes(least=0.1, page=0.4, listing=0.5, databricks=1.0)
    pipeline_ids = workspace.add_pipelines(60)
    track_running(rig, workspace, pipeline_ids)
    _finish(workspace, pipeline_ids)
    workspace.add_fault("hang", method="GET", route="/pipelines", seconds=30, times=None)
    for _ in range(3):
        workspace.clear_calls()
        real_time.sweep()
        assert len(workspace.calls("GET", "/pipelines/{id}/updates/{uid}")) <= 40
    assert rig.active_ids() == set()


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 500}, {"kind": "reset"}, {"kind": "garbage", "status": 200, "body": "["}]
)
def test_a_listing_that_fails_leaves_the_runs_to_be_looked_at_one_by_one(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, fault: dict[str, Any]
) -> None:
    pipeline_ids = workspace.add_pipelines(20)
    track_running(rig, workspace, pipeline_ids)
    _finish(workspace, pipeline_ids[:10])
    workspace.add_fault(method="GET", route="/pipelines", times=None, **fault)
    assert rig.sweep().finished == 10
    _finish(workspace, pipeline_ids[10:])
    workspace.clear_calls()
    clock.pass_time(seconds=15)
    assert rig.sweep().finished == 10
    assert workspace.calls("GET", "/pipelines") == [], "it is not tried again at once"


@pytest.mark.parametrize("answer", ["throttled", "unavailable"])
def test_while_listings_are_refused_for_now_a_few_runs_are_looked_at_singly_the_longest_unseen_first(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, answer: str
) -> None:
    pipeline_ids = workspace.add_pipelines(100)
    track_running(rig, workspace, pipeline_ids)
    _finish(workspace, pipeline_ids)
    workspace.answer_with(answer, method="GET", route="/pipelines")
    looks = []
    for _ in range(4):
        workspace.clear_calls()
        rig.sweep()
        looks.append(len(workspace.calls("GET", "/pipelines/{id}/updates/{uid}")))
        clock.pass_time(seconds=15)
    assert looks == [40, 40, 20, 0]
    assert rig.active_ids() == set()


def test_a_refused_listing_is_tried_again_a_minute_later_or_when_databricks_says(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    track_running(rig, workspace, workspace.add_pipelines(5))
    workspace.answer_with("throttled", method="GET", route="/pipelines", times=1)
    workspace.add_fault("status", method="GET", route="/pipelines", status=429, headers={"Retry-After": "300"}, times=1)

    def listings_of(seconds: int) -> int:
        workspace.clear_calls()
        for _ in range(seconds // 15):
            rig.sweep()
            clock.pass_time(seconds=15)
        return len(workspace.calls("GET", "/pipelines"))

    assert listings_of(60) == 1
    assert listings_of(300) == 1
    assert listings_of(60) > 1
    assert rig.sweep().failed == 0
