"""Discovery: the job after each possible change of its pipeline, and the cost of a discovery."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.values.databricks_errors import (
    DatabricksError,
    DatabricksNetworkRefused,
    DatabricksSignInPage,
    DatabricksUnreachable,
    PermissionRefused,
    TokenUnavailable,
)
from polysync_core.values.errors import JobNotFound, JobTooLarge
from polysync_core.values.job import Counts, Tally
from tests.use_cases.jobs_rig import (
    LEFT_OUT,
    PIPELINE,
    PIPELINES,
    columns_of,
    discover_all,
    document,
    etags,
    put,
    put_columns,
    sync,
    values,
    written,
)

REPORT = "discovery|last"


def test_every_pipeline_becomes_a_job_by_one_call_a_page_and_one_a_pipeline(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_ids = workspace.add_pipelines(230)
    report = discover_all(rig)
    assert report.tally == Tally(jobs=Counts(added=230), parameters=Counts(added=5 * 230))
    assert (report.rest, report.calls, len(report.changes)) == (None, 233, 1000)
    assert len(workspace.calls("GET", PIPELINES)) == 3
    assert len(workspace.calls("GET", PIPELINE)) == 230
    shown: dict[str, Any] = {**document(rig, pipeline_ids[7])}
    parameters = shown.pop("parameters")
    assert shown == {
        "externalId": pipeline_ids[7],
        "name": "pipeline 00007",
        "jobType": "Databricks Pipeline",
        "platform": "Azure Databricks",
        "workspace": rig.name,
        "monitorUrl": f"{workspace.url}/#joblist/pipelines/{pipeline_ids[7]}",
        "importedAt": "2026-11-22T08:00:00.000Z",
        "syncedAt": "2026-11-22T08:00:00.000Z",
        "accessible": True,
    }
    assert [(one["name"], one["value"], one["dataType"], one["direction"], one["forwarded"]) for one in parameters] == [
        ("continuous", False, "Bool", "Input", False),
        ("custom.environment", "test", "String", "Input", False),
        ("development", False, "Bool", "Input", False),
        ("photon", True, "Bool", "Input", False),
        ("spark.sql.shuffle.partitions", 200, "Int", "Input", False),
    ]


def test_a_second_discovery_of_an_unchanged_workspace_writes_nothing_but_its_report(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_ids = workspace.add_pipelines(130)
    workspace.forbid(pipeline_ids[1], listed=True)
    discover_all(rig)
    put(rig, pipeline_ids[0], True)
    before = etags(rig)
    clock.pass_time(hours=1)
    report = discover_all(rig)
    assert report.tally == Tally(jobs=Counts(unchanged=130), parameters=Counts(unchanged=5 * 129))
    assert written(before, etags(rig)) == {REPORT}
    assert document(rig, pipeline_ids[0])["syncedAt"] == "2026-11-22T09:00:00.000Z"
    assert document(rig, pipeline_ids[1])["syncedAt"] is None


def test_a_job_is_removed_only_when_the_get_of_its_pipeline_answers_that_it_is_gone(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    gone, kept = workspace.add_pipelines(2)
    discover_all(rig)
    put(rig, gone, True)
    workspace.remove_pipeline(gone)
    workspace.clear_calls()
    report = discover_all(rig)
    assert report.tally == Tally(jobs=Counts(removed=1, unchanged=1), parameters=Counts(removed=5, unchanged=5))
    assert [call.path for call in workspace.calls("GET", PIPELINE) if call.status == 404] == [
        f"/api/2.0/pipelines/{gone}"
    ]
    with pytest.raises(JobNotFound, match=r"POST /api/jobs/discover"):
        document(rig, gone)
    assert document(rig, kept)["accessible"]


@pytest.mark.parametrize("body", ["{}", '{"statuses": []}'])
def test_a_listing_that_leaves_pipelines_out_removes_no_job(rig: Rig, workspace: SimulatedWorkspace, body: str) -> None:
    workspace.add_pipelines(3)
    discover_all(rig)
    before = etags(rig)
    workspace.add_fault("garbage", route=PIPELINES, status=200, body=body)
    report = discover_all(rig)
    assert report.tally.jobs == Counts(unchanged=3)
    assert written(before, etags(rig)) == {REPORT}


def test_a_listing_in_another_order_with_repeats_and_a_loop_comes_to_the_same(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_ids = sorted(workspace.add_pipelines(6))

    def page(indices: list[int], token: str | None) -> str:
        return json.dumps({"statuses": [{"pipeline_id": pipeline_ids[i]} for i in indices], "next_page_token": token})

    pages = [page([5, 3], "a"), page([1, 3, 4], "b"), page([0, 2], "a")]
    for text in pages * 2:
        workspace.add_fault("garbage", route=PIPELINES, status=200, body=text)
    discover_all(rig)
    before = etags(rig)
    assert len(before) == 7
    assert discover_all(rig).tally.failed == 0
    assert written(before, etags(rig)) == {REPORT}


@pytest.mark.parametrize("listed", [False, True])
def test_a_forbidden_pipeline_keeps_its_job_marked_until_it_may_be_read_again(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, listed: bool
) -> None:
    pipeline_id = workspace.add_pipeline(name="orders")
    discover_all(rig)
    put(rig, pipeline_id, True)
    known = values(rig, pipeline_id)
    workspace.forbid(pipeline_id, listed=listed)
    clock.pass_time(hours=1)
    report = discover_all(rig)
    assert [(one.kind.value, one.before, one.after) for one in report.changes] == [
        ("changed", "accessible", "not accessible")
    ]
    shown = document(rig, pipeline_id)
    assert (shown["accessible"], shown["name"], shown["syncedAt"]) == (False, "orders", "2026-11-22T08:00:00.000Z")
    assert values(rig, pipeline_id) == known
    before = etags(rig)
    discover_all(rig)
    assert written(before, etags(rig)) == {REPORT}
    workspace.allow(pipeline_id)
    discover_all(rig)
    assert document(rig, pipeline_id)["accessible"]


def test_a_forbidden_pipeline_that_is_listed_becomes_a_job_without_parameters(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline(name="secret")
    workspace.forbid(pipeline_id, listed=True)
    discover_all(rig)
    shown = document(rig, pipeline_id)
    assert (shown["name"], shown["accessible"], shown["syncedAt"], shown["parameters"]) == ("secret", False, None, [])


def test_a_job_takes_its_pipeline_s_new_name_and_settings_and_keeps_the_user_s_full_refresh(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline(name="orders")
    discover_all(rig)
    put(rig, pipeline_id, True)
    workspace.rename_pipeline(pipeline_id, "orders v2")
    workspace.set_spec(
        pipeline_id, {"continuous": True, "configuration": {"full_refresh": "false", "custom.environment": "prod"}}
    )
    report = discover_all(rig)
    assert report.tally == Tally(jobs=Counts(changed=1), parameters=Counts(changed=3, removed=1, unchanged=1))
    assert document(rig, pipeline_id)["name"] == "orders v2"
    expected = {"continuous": True, "custom.environment": "prod", "full_refresh": True}
    assert values(rig, pipeline_id) == LEFT_OUT | expected


def test_keys_and_values_of_any_size_and_sign_come_through_and_shrink_again(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    configuration = {f"custom.key {number}/#?%+\\'\"ü😀": f"{number}" for number in range(600)}
    configuration |= {"spark.long": "x" * 30_000, "custom.wide": "ü😀" * 15_000}
    pipeline_id = workspace.add_pipeline(spec={"configuration": configuration})
    discover_all(rig)
    shown = values(rig, pipeline_id)
    assert len(shown) == 602 + len(LEFT_OUT)
    assert (shown["spark.long"], shown["custom.wide"]) == ("x" * 30_000, "ü😀" * 15_000)
    assert shown["custom.key 599/#?%+\\'\"ü😀"] == 599
    before = etags(rig)
    discover_all(rig)
    assert written(before, etags(rig)) == {REPORT}
    workspace.set_spec(pipeline_id, {"configuration": {"spark.long": "y"}})
    discover_all(rig)
    assert values(rig, pipeline_id) == LEFT_OUT | {"spark.long": "y"}


def test_many_large_jobs_are_written_in_batches_that_storage_takes(rig: Rig, workspace: SimulatedWorkspace) -> None:
    spec: dict[str, Any] = {"configuration": {"custom.x": '"' * 200_000}}
    pipeline_ids = [workspace.add_pipeline(spec=spec) for _ in range(12)]
    discover_all(rig)
    assert all(values(rig, pipeline_id) == LEFT_OUT | spec["configuration"] for pipeline_id in pipeline_ids)


def test_a_configuration_that_no_row_can_hold_fails_alone_and_keeps_what_was_known(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id, _ = workspace.add_pipelines(2)
    discover_all(rig)
    known = values(rig, pipeline_id)
    workspace.set_spec(pipeline_id, {"configuration": {"custom.x": "x" * 500_000}})
    assert discover_all(rig).tally == Tally(jobs=Counts(unchanged=1), parameters=Counts(unchanged=5), failed=1)
    assert values(rig, pipeline_id) == known
    with pytest.raises(JobTooLarge):
        sync(rig, pipeline_id)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 400},
        {"kind": "garbage", "status": 200, "body": "{}"},
        {"kind": "garbage", "status": 200, "body": "<html>"},
        {"kind": "garbage", "status": 404, "body": "<html>"},
        {"kind": "status", "status": 404, "error_code": "ENDPOINT_NOT_FOUND"},
    ],
)
def test_one_pipeline_without_a_usable_answer_keeps_its_job_and_fails_no_other(
    rig: Rig, workspace: SimulatedWorkspace, fault: dict[str, Any]
) -> None:
    workspace.add_pipelines(5)
    discover_all(rig)
    before = etags(rig)
    workspace.add_fault(**fault, route=PIPELINE)
    report = discover_all(rig)
    assert report.tally == Tally(jobs=Counts(unchanged=4), parameters=Counts(unchanged=20), failed=1)
    assert written(before, etags(rig)) == {REPORT}


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 500}, {"kind": "status", "status": 503}, {"kind": "reset"}, {"kind": "half"}],
)
def test_a_passing_trouble_is_waited_out(rig: Rig, workspace: SimulatedWorkspace, fault: dict[str, Any]) -> None:
    workspace.add_pipelines(3)
    workspace.add_fault(**fault, route=PIPELINE, times=2)
    workspace.add_fault(**fault, route=PIPELINES)
    assert discover_all(rig).tally == Tally(jobs=Counts(added=3), parameters=Counts(added=15))


def test_a_job_that_could_not_be_looked_at_says_when_it_was_in_step_last(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    discover_all(rig)
    clock.pass_time(hours=1)
    discover_all(rig)
    clock.pass_time(hours=1)
    workspace.add_fault("status", status=500, route=PIPELINE, times=3)
    assert discover_all(rig).tally.failed == 1
    assert document(rig, pipeline_id)["syncedAt"] == "2026-11-22T09:00:00.000Z"
    assert sync(rig, pipeline_id).tally.jobs == Counts(unchanged=1)
    assert document(rig, pipeline_id)["syncedAt"] == "2026-11-22T10:00:03.000Z", "3 s of patience later"


def test_databricks_wish_to_wait_is_kept_by_all_connections(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    workspace.add_pipelines(40)
    workspace.add_fault("status", status=429, route=PIPELINE, headers={"Retry-After": "7"}, times=30)
    began_at = clock.now()
    assert discover_all(rig).tally == Tally(jobs=Counts(added=40), parameters=Counts(added=200))
    assert clock.now() - began_at >= timedelta(seconds=7)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 403, "error_code": "PERMISSION_DENIED"}, PermissionRefused),
        ({"kind": "status", "status": 401}, PermissionRefused),
        ({"kind": "reset"}, DatabricksUnreachable),
        ({"kind": "status", "status": 500}, DatabricksError),
    ],
)
def test_without_a_listing_nothing_is_done(
    rig: Rig, workspace: SimulatedWorkspace, fault: dict[str, Any], error: type[Exception]
) -> None:
    workspace.add_pipeline()
    discover_all(rig)
    before = etags(rig)
    workspace.add_fault(**fault, route=PIPELINES, times=None)
    with pytest.raises(error):
        discover_all(rig)
    assert etags(rig) == before


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": 401}, PermissionRefused),
        ({"status": 400, "body": "Invalid Token"}, PermissionRefused),
        ({"status": 403, "message": "Token is expiring within 30 seconds"}, PermissionRefused),
        ({"status": 403, "message": "Source IP address: 1.2.3.4 is blocked by IP ACL"}, DatabricksNetworkRefused),
        ({"status": 403, "body": "Invalid access to Org"}, DatabricksNetworkRefused),
        ({"status": 302, "headers": {"Location": "/login.html"}, "body": ""}, DatabricksSignInPage),
        ({"status": 200, "body": "<html><title>Sign In</title></html>"}, DatabricksSignInPage),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value["status"]),
)
def test_an_answer_that_refuses_the_app_stops_the_discovery_and_marks_no_job(
    rig: Rig, workspace: SimulatedWorkspace, answer: dict[str, Any], error: type[DatabricksError]
) -> None:
    pipeline_id = workspace.add_pipelines(3)[0]
    discover_all(rig)
    before = etags(rig)
    workspace.add_fault("status", route=PIPELINE, times=None, **answer)
    with pytest.raises(error):
        discover_all(rig)
    with pytest.raises(error):
        sync(rig, pipeline_id)
    assert etags(rig) == before


def test_without_a_token_nothing_is_done(rig: Rig, workspace: SimulatedWorkspace) -> None:
    workspace.add_fault("status", status=500, route="/msi/token", times=None)
    with pytest.raises(TokenUnavailable):
        discover_all(rig)


def test_an_unreadable_job_row_is_written_again_and_the_user_s_columns_are_kept(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    unreadable, gone = workspace.add_pipeline(name="orders"), workspace.add_pipeline()
    discover_all(rig)
    put(rig, unreadable, True)
    known = values(rig, unreadable)
    put_columns(rig, unreadable, {"parameters0": "{"})
    put_columns(rig, gone, {"pieces": "many"})
    workspace.remove_pipeline(gone)
    discover_all(rig)
    assert values(rig, unreadable) == known
    assert f"job|{gone}" not in etags(rig)
    put_columns(rig, unreadable, {"fullRefreshDirection": "Sideways"})
    before = etags(rig)
    discover_all(rig)
    assert written(before, etags(rig)) == {REPORT}, "the user's columns are not a discovery's to write"
    assert columns_of(rig, unreadable)["fullRefreshDirection"] == "Sideways"
