"""Events: passed on from Databricks, fetched once for all readers, and bounded in pages, time and memory."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.data.tables import TableServiceClient

from local.rig import ManualClock, Rig
from local.seeding import track_elsewhere, track_running
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.memory import LookGate
from polysync_core.services import RUNS_TABLE
from polysync_core.use_cases.events import read_events
from polysync_core.values.databricks import EventsPage
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable, PipelineNotFound
from polysync_core.values.errors import ContinuationExpired
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run
from tests.rules.examples import make_run

EVENTS = "/pipelines/{id}/events"


def read(rig: Rig, run_id: RunId, page_token: str | None = None) -> EventsPage:
    return read_events(rig.stored(run_id), rig.ws, page_token)


def messages(page: EventsPage) -> list[str | None]:
    return [event.message for event in page.events]


def started(rig: Rig, workspace: SimulatedWorkspace, state: str = "RUNNING", **pipeline: Any) -> RunId:
    """Start a run whose update is in `state`. No event of its beginning is at the time of a later one."""
    pipeline_id = workspace.add_pipeline(**pipeline)
    run_id = rig.start(pipeline_id).run.run_id
    workspace.set_state(pipeline_id, None, state)
    rig.sweep()
    rig.clock.sleep(1)
    workspace.clear_calls()
    return run_id


def log_lines(workspace: SimulatedWorkspace, clock: ManualClock, run_id: RunId, count: int, update_id: str) -> None:
    """Add `count` events, a second apart, whose messages are "0", "1", …"""
    for number in range(count):
        workspace.add_event(run_id.pipeline_id, message=str(number), level="INFO", update_id=update_id)
        clock.pass_time(seconds=1)


def newest_first(count: int) -> list[str]:
    return [str(number) for number in reversed(range(count))]


# --- whose events


def test_the_events_of_all_attempts_are_read_newest_first_and_no_others(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(retries=1)
    workspace.set_state(pipeline_id, workspace.start_elsewhere(pipeline_id), "COMPLETED")
    clock.pass_time(seconds=10)
    run_id = rig.start(pipeline_id, {"followRetries": True}).run.run_id
    clock.pass_time(seconds=10)
    workspace.set_state(pipeline_id, None, "FAILED")
    rig.sweep()
    clock.pass_time(seconds=10)
    workspace.set_state(pipeline_id, None, "INITIALIZING")
    rig.sweep()
    first, second = (attempt.update_id[:6] for attempt in rig.stored(run_id).attempts)
    page = read(rig, run_id)
    assert messages(page) == [
        f"Update {second} is INITIALIZING.",
        f"Update {second} started by RETRY_ON_FAILURE.",
        f"Update {first} is FAILED.",
        f"Update {first} started by API_CALL.",
    ]
    assert page.next_page_token is None
    (failure,) = page.events[2].failures
    assert failure.message is not None
    assert "TABLE_OR_VIEW_NOT_FOUND" in failure.message


def test_a_finished_run_is_not_searched_for_among_the_events_after_it(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = started(rig, workspace, "COMPLETED")
    expected = messages(read(rig, run_id))
    clock.pass_time(days=1)
    other = workspace.start_elsewhere(run_id.pipeline_id)
    log_lines(workspace, clock, run_id, 1_200, other)
    workspace.clear_calls()
    page = read(rig, run_id)
    assert (messages(page), page.next_page_token) == (expected, None)
    assert len(workspace.calls("GET", EVENTS)) == 1


def test_a_joined_update_that_is_older_than_its_run_has_all_its_events(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    update_id = workspace.start_elsewhere(pipeline_id)
    clock.pass_time(hours=5)
    run = track_elsewhere(rig, workspace, pipeline_id, update_id)
    assert messages(read(rig, run.run_id)) == [f"Update {update_id[:6]} started by USER_ACTION."]


# --- pages


def test_an_answer_ends_with_the_page_that_makes_it_enough_and_the_next_goes_on(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = started(rig, workspace)
    log_lines(workspace, clock, run_id, 600, run_id.update_id)
    first = read(rig, run_id)
    assert messages(first) == newest_first(600)[:250]
    second = read(rig, run_id, first.next_page_token)
    third = read(rig, run_id, second.next_page_token)
    assert messages(second) + messages(third)[:100] == newest_first(600)[250:]
    assert third.next_page_token is None
    assert len(workspace.calls("GET", EVENTS)) == 3


def test_an_answer_reads_four_pages_at_most_and_may_be_empty_with_more_to_come(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = started(rig, workspace)
    expected = messages(read(rig, run_id))
    log_lines(workspace, clock, run_id, 1_300, "of-another-update")
    workspace.clear_calls()
    first = read(rig, run_id)
    assert first.events == ()
    assert first.next_page_token is not None
    assert len(workspace.calls("GET", EVENTS)) == 4
    second = read(rig, run_id, first.next_page_token)
    assert (messages(second), second.next_page_token) == (expected, None)
    assert len(workspace.calls("GET", EVENTS)) == 6


def test_where_databricks_ignores_filters_the_search_ends_before_the_run_began(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    log_lines(workspace, clock, RunId(pipeline_id, "x"), 1_000, "of-an-earlier-update")
    clock.pass_time(minutes=5)
    run_id = rig.start(pipeline_id).run.run_id
    clock.pass_time(seconds=1)
    workspace.configure(ignores_event_filters=True)
    log_lines(workspace, clock, run_id, 10, run_id.update_id)
    workspace.clear_calls()
    page = read(rig, run_id)
    assert (messages(page)[:10], page.next_page_token) == (newest_first(10), None)
    assert len(workspace.calls("GET", EVENTS)) == 2, "the second page is older than the run"


def test_slow_pages_are_left_for_the_next_answer(
    azurite: str, rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    real_time = Rig(azurite, {rig.name: workspace.url}, workspace, Clock())
    (run,) = track_running(real_time, workspace, [workspace.add_pipeline()])
    clock.pass_time(seconds=1)
    log_lines(workspace, clock, run.run_id, 600, "of-another-update")
    workspace.configure(latency_seconds=0.8)
    workspace.clear_calls()
    began_at = time.monotonic()
    page = read(real_time, run.run_id)
    assert time.monotonic() - began_at < 5
    assert (page.events, page.next_page_token is None) == ((), False)
    assert len(workspace.calls("GET", EVENTS)) == 2


# --- shared by all readers


def test_many_readers_at_once_cause_one_fetch_and_so_do_all_within_five_seconds(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = started(rig, workspace)
    workspace.add_fault("delay", method="GET", route=EVENTS, seconds=0.5, times=None)

    def read_by(readers: int) -> set[EventsPage]:
        with ThreadPoolExecutor(readers) as pool:
            return {*pool.map(lambda _: read(rig, run_id), range(readers * 5))}

    (page,) = read_by(20)
    assert len(workspace.calls("GET", EVENTS)) == 1
    clock.pass_time(seconds=4.9)
    workspace.add_event(run_id.pipeline_id, message="new", update_id=run_id.update_id)
    assert read_by(20) == {page}
    assert len(workspace.calls("GET", EVENTS)) == 1
    clock.pass_time(seconds=0.1)
    (newer,) = read_by(20)
    assert messages(newer) == ["new", *messages(page)]
    assert len(workspace.calls("GET", EVENTS)) == 2


def test_an_error_is_shared_for_five_seconds_too(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    run_id = started(rig, workspace)
    workspace.add_fault("status", status=429, headers={"Retry-After": "33"}, error_code="REQUEST_LIMIT_EXCEEDED")
    for _ in range(20):
        with pytest.raises(DatabricksError) as busy:
            read(rig, run_id)
        assert (busy.value.http_status, busy.value.retry_after_seconds) == (429, 33)
    assert len(workspace.calls("GET", EVENTS)) == 1
    clock.pass_time(seconds=5)
    assert read(rig, run_id).events != ()


def test_equal_run_ids_of_two_workspaces_are_not_mixed_up(
    azurite: str, rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    with SimulatedWorkspace(now=lambda: clock.now().timestamp(), issuer=workspace.issuer) as other:
        both = Rig(azurite, {rig.name: workspace.url, f"{rig.name}-other": other.url}, workspace, clock)
        run = make_run(run_id=RunId("p", "u"), accepted_at=clock.now(), started_at=clock.now())
        found = []
        for ws, simulated in zip(both.services.workspaces.values(), (workspace, other), strict=True):
            simulated.add_pipeline("p")
            simulated.add_event("p", message=f"of {ws.workspace.name}", update_id="u")
            found += messages(read_events(run, ws, None))
        assert found == [f"of {name}" for name in both.services.workspaces]


# --- what Databricks refuses


def test_an_error_after_the_first_page_leaves_the_rest_to_the_next_answer(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    run_id = started(rig, workspace)
    log_lines(workspace, clock, run_id, 30, run_id.update_id)
    log_lines(workspace, clock, run_id, 240, "of-another-update")
    workspace.add_fault("status", route=EVENTS, status=429, after=1, times=1)
    page = read(rig, run_id)
    assert messages(page) == newest_first(30)[:10]
    assert messages(read(rig, run_id, page.next_page_token))[:20] == newest_first(30)[10:]


@pytest.mark.parametrize(
    "answer",
    [{"status": 400, "message": "Invalid page_token."}, {"status": 404, "error_code": "RESOURCE_DOES_NOT_EXIST"}],
)
def test_a_page_token_that_expired_is_said_so_and_the_list_begins_again(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, answer: dict[str, Any]
) -> None:
    run_id = started(rig, workspace)
    log_lines(workspace, clock, run_id, 260, run_id.update_id)
    page_token = read(rig, run_id).next_page_token
    clock.pass_time(seconds=5)
    workspace.add_fault("status", route=EVENTS, **answer)
    with pytest.raises(ContinuationExpired, match="start again without it"):
        read(rig, run_id, page_token)
    assert messages(read(rig, run_id))[0] == "259"


def test_a_page_token_that_was_made_up_is_like_one_that_expired(rig: Rig, workspace: SimulatedWorkspace) -> None:
    with pytest.raises(ContinuationExpired):
        read(rig, started(rig, workspace), "made up")


def test_a_deleted_pipeline_is_not_found(rig: Rig, workspace: SimulatedWorkspace) -> None:
    run_id = started(rig, workspace, "COMPLETED")
    workspace.remove_pipeline(run_id.pipeline_id)
    with pytest.raises(PipelineNotFound, match=r"was not found\. Databricks shows no event log without its pipeline\."):
        read(rig, run_id)


# --- a workspace that is silent


def test_no_answer_is_a_503_within_the_time_of_a_read(azurite: str, rig: Rig, workspace: SimulatedWorkspace) -> None:
    real_time = Rig(azurite, {rig.name: workspace.url}, workspace, Clock())
    runs = track_running(real_time, workspace, workspace.add_pipelines(20))
    workspace.add_fault("hang", method="GET", route=EVENTS, seconds=60, times=None)

    def seconds_until_503(run: Run) -> float:
        began_at = time.monotonic()
        with pytest.raises(DatabricksUnreachable) as silent:
            read(real_time, run.run_id)
        assert (silent.value.http_status, silent.value.retry_after_seconds) == (503, 15)
        return time.monotonic() - began_at

    readers = [*[runs[0]] * 10, *runs[1:]]
    with ThreadPoolExecutor(len(readers)) as pool:
        seconds = sorted(pool.map(seconds_until_503, readers))
        assert seconds[-1] < 10
        assert seconds[-9] < 3, "eight readers wait for Databricks, the others of the first run for 2 s at most"
        workspace.clear_calls()
        assert max(pool.map(seconds_until_503, readers)) < 2
    assert workspace.calls() == [], "the last look got no answer"


def test_a_reader_who_is_done_leaves_its_place_to_the_next(rig: Rig, workspace: SimulatedWorkspace) -> None:
    run_id = started(rig, workspace)
    for number in range(LookGate.MOST + 1):
        with pytest.raises(ContinuationExpired):
            read(rig, run_id, f"made up {number}")


def test_a_connection_that_breaks_is_a_503_too(rig: Rig, workspace: SimulatedWorkspace) -> None:
    run_id = started(rig, workspace)
    workspace.down()
    with pytest.raises(DatabricksUnreachable) as broken:
        read(rig, run_id)
    assert (broken.value.was_sent, broken.value.http_status) == (True, 503)


def test_a_silent_workspace_is_asked_again_after_30_seconds_and_its_answer_lets_all_readers_in(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    runs = [started(rig, workspace) for _ in range(4)]
    workspace.down()
    with pytest.raises(DatabricksUnreachable):
        read(rig, runs[0])
    workspace.up()
    workspace.clear_calls()
    with pytest.raises(DatabricksUnreachable, match="is not asked now"):
        read(rig, runs[1])
    assert workspace.calls() == []
    clock.pass_time(seconds=30)
    assert all(read(rig, run_id).events for run_id in runs)


# --- nothing is kept


def test_no_event_is_stored_or_logged(
    rig: Rig, azurite: str, workspace: SimulatedWorkspace, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = started(rig, workspace)
    secret = "the-secret-in-an-event"
    workspace.add_event(
        run_id.pipeline_id, message=secret, update_id=run_id.update_id, exceptions=[{"class_name": secret}]
    )
    with caplog.at_level("DEBUG"):
        assert messages(read(rig, run_id))[0] == secret
    rig.sweep()
    assert secret not in caplog.text
    with TableServiceClient.from_connection_string(azurite) as service:
        rows = service.get_table_client(RUNS_TABLE).query_entities(f"PartitionKey eq '{rig.partition}'")
        stored = str([*rows])
    assert run_id.update_id in stored
    assert secret not in stored
