"""Jobs: Sync Parameters, the user's full_refresh, and the listing."""

from __future__ import annotations

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.use_cases import jobs
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable
from polysync_core.values.errors import JobNotFound, RowUnreadable
from polysync_core.values.job import Counts, Direction
from tests.use_cases.jobs_rig import (
    LEFT_OUT,
    PIPELINE,
    discover_all,
    document,
    etags,
    put,
    put_columns,
    sync,
    values,
)


class TestSyncParameters:
    def test_one_job_is_brought_into_step_by_one_call(
        self, rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
    ) -> None:
        pipeline_id, other = workspace.add_pipelines(2)
        discover_all(rig)
        put(rig, pipeline_id, True, Direction.BOTH)
        clock.pass_time(hours=1)
        workspace.clear_calls()
        for changed in (pipeline_id, other):
            workspace.set_spec(changed, {"photon": False})
        report = sync(rig, pipeline_id)
        assert (report.tally.jobs, report.tally.parameters) == (
            Counts(changed=1),
            Counts(changed=1, removed=2, unchanged=2),
        )
        assert (report.rest, len(workspace.calls())) == (None, 1)
        assert values(rig, pipeline_id) == LEFT_OUT | {"full_refresh": True}
        assert len(values(rig, other)) == 5
        assert document(rig, pipeline_id)["syncedAt"] == "2026-11-22T09:00:00.000Z"

    def test_a_job_in_step_says_that_it_was_looked_at(
        self, rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
    ) -> None:
        pipeline_id = workspace.add_pipeline()
        discover_all(rig)
        clock.pass_time(hours=1)
        assert sync(rig, pipeline_id).tally.jobs == Counts(unchanged=1)
        assert document(rig, pipeline_id)["syncedAt"] == "2026-11-22T09:00:00.000Z"

    def test_an_unknown_job_is_404_with_the_advice_to_discover(self, rig: Rig, workspace: SimulatedWorkspace) -> None:
        with pytest.raises(JobNotFound, match=r"A discovery imports .* POST /api/jobs/discover"):
            sync(rig, workspace.add_pipeline())

    def test_a_deleted_pipeline_s_job_is_removed(self, rig: Rig, workspace: SimulatedWorkspace) -> None:
        pipeline_id = workspace.add_pipeline()
        discover_all(rig)
        workspace.remove_pipeline(pipeline_id)
        assert sync(rig, pipeline_id).tally.jobs == Counts(removed=1)
        with pytest.raises(JobNotFound):
            sync(rig, pipeline_id)

    def test_a_forbidden_pipeline_s_job_is_marked(self, rig: Rig, workspace: SimulatedWorkspace) -> None:
        pipeline_id = workspace.add_pipeline()
        discover_all(rig)
        workspace.forbid(pipeline_id)
        assert sync(rig, pipeline_id).tally.jobs == Counts(changed=1)
        assert not document(rig, pipeline_id)["accessible"]

    def test_a_pipeline_that_cannot_be_read_is_reported_and_its_job_kept(
        self, rig: Rig, workspace: SimulatedWorkspace
    ) -> None:
        pipeline_id = workspace.add_pipeline()
        discover_all(rig)
        before = etags(rig)
        workspace.add_fault("status", status=429, headers={"Retry-After": "90"}, route=PIPELINE)
        with pytest.raises(DatabricksError) as told:
            sync(rig, pipeline_id)
        assert (told.value.http_status, told.value.retry_after_seconds) == (429, 90)
        workspace.down()
        with pytest.raises(DatabricksUnreachable):
            sync(rig, pipeline_id)
        assert etags(rig) == before

    def test_an_unreadable_job_row_is_written_again(self, rig: Rig, workspace: SimulatedWorkspace) -> None:
        pipeline_id = workspace.add_pipeline()
        discover_all(rig)
        put_columns(rig, pipeline_id, {"accessible": "yes"})
        with pytest.raises(RowUnreadable, match="Sync Parameters writes it again"):
            document(rig, pipeline_id)
        sync(rig, pipeline_id)
        assert len(values(rig, pipeline_id)) == 5


class TestSettingFullRefresh:
    @pytest.mark.parametrize(
        ("direction", "forwarded"), [(Direction.INPUT, True), (Direction.BOTH, True), (Direction.OUTPUT, False)]
    )
    def test_it_is_a_parameter_of_the_user_s_own(
        self, rig: Rig, workspace: SimulatedWorkspace, direction: Direction, forwarded: bool
    ) -> None:
        pipeline_id = workspace.add_pipeline()
        discover_all(rig)
        put(rig, pipeline_id, False)
        put(rig, pipeline_id, True, direction)
        shown = [one for one in document(rig, pipeline_id)["parameters"] if one["name"] == "full_refresh"]
        assert shown == [
            {
                "name": "full_refresh",
                "value": True,
                "dataType": "Bool",
                "direction": direction.value,
                "forwarded": forwarded,
                "hidden": False,
            }
        ]

    def test_an_unknown_job_is_404_and_no_row_is_made(self, rig: Rig, workspace: SimulatedWorkspace) -> None:
        with pytest.raises(JobNotFound):
            put(rig, workspace.add_pipeline(), True)
        assert etags(rig) == {}

    def test_it_replaces_unreadable_columns(self, rig: Rig, workspace: SimulatedWorkspace) -> None:
        pipeline_id = workspace.add_pipeline()
        discover_all(rig)
        put_columns(rig, pipeline_id, {"fullRefresh": "yes"})
        assert "full_refresh" not in values(rig, pipeline_id)
        put(rig, pipeline_id, True)
        assert values(rig, pipeline_id)["full_refresh"] is True


class TestListing:
    def test_jobs_come_by_pipeline_id_in_pages(self, rig: Rig, workspace: SimulatedWorkspace) -> None:
        pipeline_ids = sorted(workspace.add_pipelines(5))
        discover_all(rig)
        seen, continuation = [], None
        for expected in (2, 2, 1):
            found = jobs.list_jobs(rig.ws, limit=2, continuation=continuation)
            assert len(found.views) == expected
            seen += [view.job.pipeline_id for view in found.views]
            continuation = found.continuation
        assert (seen, continuation) == (pipeline_ids, None)

    def test_a_page_ends_early_where_jobs_are_large_and_leaves_unreadable_rows_out(
        self, rig: Rig, workspace: SimulatedWorkspace
    ) -> None:
        spec = {"configuration": {"custom.x": "x" * 400_000}}
        pipeline_ids = sorted(workspace.add_pipeline(spec=spec) for _ in range(5))
        discover_all(rig)
        put_columns(rig, pipeline_ids[0], {"pieces": "many"})
        first = jobs.list_jobs(rig.ws, limit=50, continuation=None)
        assert [view.job.pipeline_id for view in first.views] == pipeline_ids[1:4]
        assert first.continuation is not None
        rest = jobs.list_jobs(rig.ws, limit=50, continuation=first.continuation)
        assert [view.job.pipeline_id for view in rest.views] == pipeline_ids[4:]
