"""An incomplete discovery is continued: over HTTP by its continuation, on schedule by the next discovery."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from local.fault import Fault
from local.faults import FaultPlan, FaultProxy, storage_label
from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.use_cases import jobs
from polysync_core.values.databricks_errors import DatabricksError
from polysync_core.values.errors import AllWorkspacesFailed
from polysync_core.values.job import Counts, DiscoveryPass, DiscoveryReport, Tally
from tests.use_cases.jobs_rig import PIPELINE, PIPELINES, discover_all, document, etags, table, written

REPORT = "discovery|last"


def interrupt(workspace: SimulatedWorkspace, *, after: int, route: str = PIPELINE) -> None:
    """After `after` calls, answer with a Retry-After that is longer than any discovery may take."""
    workspace.add_fault("status", status=429, headers={"Retry-After": "3000"}, route=route, after=after, times=None)


def discover_in_part(rig: Rig, workspace: SimulatedWorkspace, *, after: int, route: str = PIPELINE) -> DiscoveryReport:
    interrupt(workspace, after=after, route=route)
    report = discover_all(rig)
    workspace.clear_faults()
    return report


def rest_of(report: DiscoveryReport) -> DiscoveryPass:
    assert report.rest is not None
    return report.rest


def fetched(workspace: SimulatedWorkspace) -> list[str]:
    return [call.path.rpartition("/")[2] for call in workspace.calls("GET", PIPELINE) if call.status == 200]


@pytest.mark.parametrize(("after", "route"), [(130, PIPELINE), (1, PIPELINES), (2, PIPELINES)])
def test_what_is_left_goes_on_and_nothing_is_done_twice(
    rig: Rig, workspace: SimulatedWorkspace, after: int, route: str
) -> None:
    workspace.add_pipelines(230)
    first = discover_in_part(rig, workspace, after=after, route=route)
    done = first.tally.jobs.added
    assert 100 <= done < 230
    assert REPORT not in etags(rig)
    before = etags(rig)
    workspace.clear_calls()
    second = discover_all(rig, rest_of(first))
    assert second.rest is None
    assert second.tally.jobs == Counts(added=230 - done)
    assert len(fetched(workspace)) == 230 - done
    assert not written(before, etags(rig)) & before.keys()


def test_a_page_token_that_expired_only_restarts_the_listing(rig: Rig, workspace: SimulatedWorkspace) -> None:
    workspace.add_pipelines(230)
    first = discover_in_part(rig, workspace, after=130)
    workspace.clear_calls()
    second = discover_all(rig, replace(rest_of(first), page_token="of another time"))
    assert second.tally.jobs == Counts(added=230 - first.tally.jobs.added)
    assert [call.status for call in workspace.calls("GET", PIPELINES)] == [400, 200, 200, 200]
    assert len(fetched(workspace)) == second.tally.jobs.added


def test_pipelines_deleted_before_and_after_the_break_are_both_noticed(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_ids = sorted(workspace.add_pipelines(230))
    discover_all(rig)
    workspace.remove_pipeline(pipeline_ids[3])
    workspace.remove_pipeline(pipeline_ids[229])
    first = discover_in_part(rig, workspace, after=130)
    second = discover_all(rig, rest_of(first))
    assert (first.tally.jobs.removed, second.tally.jobs.removed) == (1, 1)
    assert len(etags(rig)) == 228 + 1


def test_a_workspace_that_lost_all_its_pipelines_is_followed_in_chunks(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_ids = workspace.add_pipelines(230)
    discover_all(rig)
    for pipeline_id in pipeline_ids:
        workspace.remove_pipeline(pipeline_id)
    first = discover_in_part(rig, workspace, after=150)
    second = discover_all(rig, rest_of(first))
    assert first.tally.jobs.removed + second.tally.jobs.removed == 230
    assert first.tally.jobs.removed >= 100
    assert etags(rig).keys() == {REPORT}


def test_an_error_before_any_progress_is_answered_with_its_retry_after(rig: Rig, workspace: SimulatedWorkspace) -> None:
    workspace.add_pipeline()
    interrupt(workspace, after=0, route=PIPELINES)
    with pytest.raises(DatabricksError) as told:
        discover_all(rig)
    assert (told.value.http_status, told.value.retry_after_seconds) == (429, 3000)


def test_a_call_ends_in_time_however_slowly_databricks_answers(azurite: str, workspace: SimulatedWorkspace) -> None:
    clock = Clock()
    rig = Rig(azurite, {f"test-{uuid.uuid4().hex[:12]}": workspace.url}, workspace, clock)
    workspace.add_pipelines(60)
    workspace.configure(latency_seconds=0.5)
    began_at = clock.monotonic()
    report = discover_all(rig, seconds=2.5)
    assert clock.monotonic() - began_at < 3.5
    assert 0 < report.tally.jobs.added < 60
    assert report.tally.failed == 0, "what time did not reach has not failed"
    workspace.configure(latency_seconds=0.0)
    rest = discover_all(rig, rest_of(report))
    assert rest.tally.jobs.added == 60 - report.tally.jobs.added


# --- on schedule


def on_schedule(rig: Rig) -> None:
    jobs.discover_on_schedule([*rig.services.workspaces.values()], rig.services.import_rules())


def test_the_scheduled_discovery_goes_on_by_itself_across_ticks_and_counts_the_whole(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_ids = workspace.add_pipelines(230)
    interrupt(workspace, after=130)
    on_schedule(rig)
    under_way = rig.ws.jobs.discoveries().under_way
    assert under_way is not None
    assert under_way.tally.jobs.added >= 100
    workspace.clear_faults()
    clock.pass_time(hours=1)
    on_schedule(rig)
    found = rig.ws.jobs.discoveries()
    assert found.under_way is None
    assert found.last is not None
    assert clock.now() - found.last.discovered_at >= timedelta(hours=1), "jobs are in step as of the first tick"
    with table(rig) as rows:
        assert '"added":230' in rows.get_entity(rig.partition, REPORT)["report"]
    assert len(fetched(workspace)) < 250
    assert document(rig, pipeline_ids[0])["syncedAt"] is not None


def test_a_discovery_over_http_does_not_disturb_the_scheduled_one(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    workspace.add_pipelines(130)
    interrupt(workspace, after=110)
    on_schedule(rig)
    workspace.clear_faults()
    clock.pass_time(minutes=5)
    discover_all(rig)
    found = rig.ws.jobs.discoveries()
    assert found.under_way is not None
    assert found.last is not None
    on_schedule(rig)
    after = rig.ws.jobs.discoveries()
    assert (after.under_way, after.last) == (None, found.last), "the later discovery's time stays"


def test_an_unreadable_row_of_the_last_discovery_stops_nothing(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    on_schedule(rig)
    with table(rig) as rows:
        rows.update_entity({"PartitionKey": rig.partition, "RowKey": REPORT, "underWay": "{", "notSynced": 3})
    assert document(rig, pipeline_id)["syncedAt"] is not None
    on_schedule(rig)
    assert rig.ws.jobs.discoveries().last is not None


def test_workspaces_are_discovered_side_by_side_and_one_that_is_down_is_logged(
    azurite: str, workspace: SimulatedWorkspace, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.add_pipelines(3)
    mark = uuid.uuid4().hex[:12]
    with SimulatedWorkspace() as other:
        other.down()
        rig = Rig(azurite, {f"down-{mark}": other.url, f"up-{mark}": workspace.url}, workspace, clock)
        with caplog.at_level(logging.ERROR):
            on_schedule(rig)
    assert f"workspace down-{mark} could not be discovered" in caplog.text
    assert rig.services.at(f"up-{mark}").jobs.discoveries().last is not None
    assert rig.services.at(f"up-{mark}").jobs.list_page(limit=10, continuation=None).continuation is None


def test_a_tick_fails_if_no_discovery_could_be_written_down_and_the_next_one_repeats_that(
    azurite: str, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    workspace.add_pipelines(3)
    direct, plan = azurite.partition("TableEndpoint=")[2].rpartition("/")[0], FaultPlan()
    with FaultProxy(direct, plan, label=storage_label) as proxy:
        urls = {f"w-{uuid.uuid4().hex[:12]}": workspace.url}
        rig = Rig(azurite.replace(direct, proxy.url), urls, workspace, clock)
        plan.add(Fault("status", label="PATCH PolysyncJobs(discovery)", times=None, status=403))
        with pytest.raises(AllWorkspacesFailed):
            on_schedule(rig)
        assert len([*rig.ws.jobs.iter_jobs(after="", upto=None)]) == 3, "they were imported before"
        plan.clear()
        on_schedule(rig)
        assert rig.ws.jobs.discoveries().last is not None


def test_a_pass_counts_what_it_could_not_look_at(rig: Rig, workspace: SimulatedWorkspace) -> None:
    workspace.add_pipelines(30)
    workspace.add_fault("status", status=400, route=PIPELINE, times=None)
    report = discover_all(rig)
    assert report.tally == Tally(failed=30)
    assert rig.ws.jobs.discoveries().last is None, "nothing was brought into step"
