"""Discovery when Databricks gives unexpected responses: no job is removed, marked or left out because of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.values.job import Counts
from tests.use_cases.jobs_rig import PIPELINE, PIPELINES, discover_all, document, etags, put, sync, table, values

ELSEWHERE: list[dict[str, Any]] = [
    {"status": 404, "error_code": "FEATURE_DISABLED", "message": "The feature is disabled."},
    {"status": 404, "body": '{"error":"Bad Target: /api/2.0/pipelines"}'},
    {"status": 404, "body": '{"statusCode":404,"message":"Resource not found"}'},
    {
        "status": 404,
        "error_code": "RESOURCE_DOES_NOT_EXIST",
        "message": "The workspace with resource ID 1 could not be found",
    },
]


@pytest.mark.parametrize("answer", ELSEWHERE, ids=lambda answer: str(answer.get("error_code", answer.get("body"))))
def test_a_404_about_something_else_removes_no_job_and_ends_no_run(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, answer: dict[str, Any]
) -> None:
    pipeline_id = workspace.add_pipeline()
    discover_all(rig)
    put(rig, pipeline_id, True)
    run_id = rig.start(pipeline_id).run.run_id
    workspace.remove_pipeline(pipeline_id)
    for route in (PIPELINE, f"{PIPELINE}/updates/{{uid}}"):
        workspace.add_fault("status", route=route, times=None, **answer)
    for _ in range(3):
        assert discover_all(rig).tally.failed == 1
        clock.pass_time(hours=1)
        rig.sweep()
    assert values(rig, pipeline_id)["full_refresh"] is True
    assert not rig.stored(run_id).is_finished


def test_a_pipeline_that_the_listing_names_keeps_its_job_whatever_its_own_get_answers(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    discover_all(rig)
    message = f"The specified pipeline {pipeline_id} was not found."
    workspace.add_fault(
        "status", route=PIPELINE, times=None, status=404, error_code="RESOURCE_DOES_NOT_EXIST", message=message
    )
    assert discover_all(rig).tally.failed == 1
    assert document(rig, pipeline_id)["accessible"]


def test_a_pipeline_that_a_later_page_names_keeps_its_job_too(rig: Rig, workspace: SimulatedWorkspace) -> None:
    first, second, third = sorted(workspace.add_pipelines(3))
    discover_all(rig)
    workspace.remove_pipeline(second)
    list_in_pages(workspace, [[third], [first], [second]])
    assert discover_all(rig).tally.failed == 1
    assert sorted(key for key in etags(rig) if key.startswith("job|")) == [
        f"job|{one}" for one in (first, second, third)
    ]


def test_a_pipeline_that_comes_back_has_its_users_full_refresh_again(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id, other = workspace.add_pipelines(2)
    discover_all(rig)
    put(rig, pipeline_id, True)
    workspace.remove_pipeline(pipeline_id)
    workspace.remove_pipeline(other)
    discover_all(rig)
    assert {key for key in etags(rig) if pipeline_id in key or other in key} == {f"removed|{pipeline_id}"}
    clock.pass_time(days=6)
    workspace.add_pipeline(pipeline_id)
    workspace.add_pipeline(other)
    discover_all(rig)
    assert values(rig, pipeline_id)["full_refresh"] is True
    assert "full_refresh" not in {name for name, value in values(rig, other).items() if value}


def test_what_is_kept_of_a_removed_job_goes_after_the_retention(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    discover_all(rig)
    put(rig, pipeline_id, True)
    workspace.remove_pipeline(pipeline_id)
    sync(rig, pipeline_id)
    rig.sweep()
    assert f"removed|{pipeline_id}" in etags(rig)
    clock.sleep(rig.settings.sweep_limits.retention.total_seconds() + 60)
    rig.sweep()
    assert f"removed|{pipeline_id}" not in etags(rig)


def test_each_job_is_in_step_by_itself_however_many_others_failed(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_ids = sorted(workspace.add_pipelines(30))
    discover_all(rig)
    clock.pass_time(hours=1)
    workspace.add_fault("garbage", route=PIPELINE, times=29, status=200, body="{}")
    assert discover_all(rig).tally.failed == 29
    shown = [document(rig, pipeline_id)["syncedAt"] for pipeline_id in pipeline_ids]
    assert sorted(set(shown), key=str) == ["2026-11-22T08:00:00.000Z", "2026-11-22T09:00:00.000Z"]
    assert shown.count("2026-11-22T09:00:00.000Z") == 1
    clock.pass_time(hours=1)
    discover_all(rig)
    shown = [document(rig, pipeline_id)["syncedAt"] for pipeline_id in pipeline_ids]
    assert set(shown) == {"2026-11-22T10:00:00.000Z"}


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_page_token_that_is_refused_begins_the_listing_again(
    rig: Rig, workspace: SimulatedWorkspace, status: int
) -> None:
    workspace.add_pipelines(230)
    workspace.add_fault("status", status=429, headers={"Retry-After": "3000"}, route=PIPELINE, after=130, times=None)
    first = discover_all(rig)
    workspace.clear_faults()
    assert first.rest is not None
    assert first.rest.page_token is not None
    workspace.add_fault("status", status=status, route=PIPELINES, times=3 if status == 500 else 1)
    second = discover_all(rig, first.rest)
    assert second.rest is None
    assert second.tally.jobs == Counts(added=230 - first.tally.jobs.added)


def list_in_pages(workspace: SimulatedWorkspace, pages: Sequence[Sequence[str]]) -> None:
    for number, ids in enumerate(pages):
        token = None if number + 1 == len(pages) else f"t{number}"
        body = json.dumps({"statuses": [{"pipeline_id": one} for one in ids], "next_page_token": token})
        workspace.add_fault("garbage", route=PIPELINES, status=200, body=body)


@pytest.mark.parametrize("refuses_token", [False, True], ids=["goes on", "begins again"])
@pytest.mark.parametrize("after", [1, 2, 3, 4, 5])
def test_a_listing_in_no_order_is_complete_however_often_it_is_interrupted(
    rig: Rig, workspace: SimulatedWorkspace, after: int, refuses_token: bool
) -> None:
    ids = sorted(workspace.add_pipelines(6))
    pages = [[ids[5], ids[3]], [ids[1], ids[4]], [ids[0], ids[2]]]
    list_in_pages(workspace, pages)
    workspace.add_fault("status", status=429, headers={"Retry-After": "3000"}, route=PIPELINE, after=after, times=None)
    first = discover_all(rig)
    workspace.clear_faults()
    assert first.rest is not None
    rest = first.rest
    if refuses_token:
        rest = replace(rest, page_token="of another time")
        workspace.add_fault("status", status=404, route=PIPELINES, times=1)
        list_in_pages(workspace, pages)
    else:
        begun = 0 if rest.page_token is None else int(rest.page_token[1:]) + 1
        list_in_pages(workspace, pages[begun:])
    assert discover_all(rig, rest).rest is None
    with table(rig) as rows:
        found = rows.query_entities("PartitionKey eq @name", parameters={"name": rig.partition})
        assert sorted(row["RowKey"] for row in found if row["RowKey"].startswith("job|")) == [
            f"job|{one}" for one in ids
        ]
