"""The sweep's listing of pipelines, and the cost of a slow or refused listing."""

from __future__ import annotations

from typing import Any

import pytest

from local.rig import ManualClock, Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock


def _finish(workspace: SimulatedWorkspace, pipeline_ids: list[str]) -> None:
    for pipeline_id in pipeline_ids:
        workspace.set_state(pipeline_id, None, "COMPLETED")


def test_a_listing_that_crawls_does_not_keep_runs_from_being_swept(
    azurite: str, rig: Rig, workspace: SimulatedWorkspace
) -> None:
    real_time = Rig(azurite, {rig.name: workspace.url}, workspace, Clock())
    pipeline_ids = workspace.add_pipelines(1_300)
    track_running(rig, workspace, pipeline_ids[:20])
    _finish(workspace, pipeline_ids[:20])
    workspace.add_fault("delay", method="GET", route="/pipelines", seconds=0.8, times=None)
    report = real_time.sweep()
    assert (report.finished, report.failed) == (20, 0)


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
