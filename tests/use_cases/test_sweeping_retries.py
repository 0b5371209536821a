"""Databricks' automatic retries, and the reason of a failure."""

from __future__ import annotations

from typing import Any

import pytest

from local.rig import ManualClock, Rig
from local.seeding import track_elsewhere
from local.workspace import SimulatedWorkspace, script_ending
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.decisions.run_transitions import MOST_ATTEMPTS
from polysync_core.rules.wire.run_document import message_of
from polysync_core.values.errors import UpdateConflict
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run, Status

EVENTS = "/pipelines/{id}/events"
FAILING = script_ending("FAILED")
FOLLOW = {"followRetries": True}


@pytest.fixture
def workspace(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A workspace on the test's clock. Each state of an update lasts one second."""
    with SimulatedWorkspace(pace_seconds=1, now=lambda: clock.now().timestamp()) as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


def _sweep_for(rig: Rig, clock: ManualClock, run_id: RunId, seconds: int) -> list[tuple[str | None, Status]]:
    """Sweep every second, and return the states and statuses of the run in order."""
    seen: list[tuple[str | None, Status]] = []
    for _ in range(seconds):
        clock.pass_time(seconds=1)
        rig.sweep()
        run = rig.stored(run_id)
        if not seen or seen[-1] != (run.state, status_of_run(run)):
            seen.append((run.state, status_of_run(run)))
    return seen


@pytest.mark.parametrize(
    ("end", "cause", "status"),
    [
        ("FAILED", "RETRY_ON_FAILURE", Status.FAILED),
        ("CANCELED", "SETTINGS_CHANGE", Status.CANCELLED),
        ("CANCELED", "SCHEMA_CHANGE", Status.CANCELLED),
    ],
)
def test_by_default_a_run_is_exactly_its_update_and_says_that_databricks_goes_on_by_itself(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, end: str, cause: str, status: Status
) -> None:
    pipeline_id = workspace.add_pipeline(
        script=(*FAILING[:-1], end), retries=1, retry_cause=cause, retry_after_state=end
    )
    run_id = rig.start(pipeline_id).run.run_id
    _sweep_for(rig, clock, run_id, 10)
    run = rig.stored(run_id)
    first, second = workspace.updates_of(pipeline_id)
    assert (status_of_run(run), run.is_finished, len(run.attempts)) == (status, True, 1)
    assert run.run_id.update_id == first.update_id
    assert f"retries it by itself as update {second.update_id}" in message_of(run, clock.now(), None)


def test_a_followed_run_continues_with_the_retry_until_that_is_final(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(
        script=FAILING, retries=2, retry_delay_seconds=20, retry_script=script_ending("COMPLETED")
    )
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    seen = _sweep_for(rig, clock, run_id, 60)
    run = rig.stored(run_id)
    updates = workspace.updates_of(pipeline_id)
    assert [attempt.update_id for attempt in run.attempts] == [update.update_id for update in updates]
    assert (status_of_run(run), run.error, run.is_finished) == (Status.SUCCESS, None, True)
    assert ("FAILED", Status.RUNNING) in seen, "a failed attempt that may still be retried is Running"
    assert ("FAILED", Status.FAILED) not in seen


def test_a_followed_run_without_a_retry_fails_after_the_grace_time(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING)
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    _sweep_for(rig, clock, run_id, 60)
    assert not rig.stored(run_id).is_finished
    _sweep_for(rig, clock, run_id, 10)
    run = rig.stored(run_id)
    assert (status_of_run(run), run.is_finished) == (Status.FAILED, True)
    assert run.error is not None
    assert "TABLE_OR_VIEW_NOT_FOUND" in run.error.message
    assert len(workspace.calls("GET", EVENTS)) == 1, "the reason is read once"


def test_a_start_by_somebody_else_is_not_a_retry(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING)
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    clock.pass_time(seconds=10)
    workspace.start_elsewhere(pipeline_id)
    rig.sweep()
    assert (status_of_run(rig.stored(run_id)), len(rig.stored(run_id).attempts)) == (Status.FAILED, 1)


def test_a_retry_is_tracked_by_one_run_only(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING, retries=1, retry_script=script_ending("RUNNING"))
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    _sweep_for(rig, clock, run_id, 12)
    retry = workspace.updates_of(pipeline_id)[1]
    joined = rig.start(pipeline_id, {"onConflict": "attach"})
    assert joined.run.run_id == run_id, "attach finds the run by its retry"
    assert rig.read(RunId(pipeline_id, retry.update_id)).run.run_id == run_id
    assert rig.active_ids() == {str(run_id)}


def test_a_retry_that_has_a_run_of_its_own_is_not_followed(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING, retries=1, retry_script=script_ending("RUNNING"))
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    clock.pass_time(seconds=20)
    other = track_elsewhere(rig, workspace, pipeline_id, workspace.updates_of(pipeline_id)[1].update_id)
    rig.sweep()
    run = rig.stored(run_id)
    assert other.run_id.update_id == workspace.updates_of(pipeline_id)[1].update_id
    assert (status_of_run(run), len(run.attempts)) == (Status.FAILED, 1)


def test_attach_joins_the_run_that_goes_on_with_the_retry_before_any_sweep_has_seen_it(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING, retries=1, retry_script=script_ending("COMPLETED"))
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    clock.pass_time(seconds=8)
    retry = workspace.updates_of(pipeline_id)[1]
    joined = rig.start(pipeline_id, {"onConflict": "attach"})
    assert (joined.attached, joined.run.run_id) == (True, run_id)
    assert joined.run.current_id.update_id == retry.update_id
    _sweep_for(rig, clock, run_id, 20)
    assert status_of_run(rig.stored(run_id)) is Status.SUCCESS


def test_attach_finds_the_run_of_a_retry_over_several_that_no_sweep_has_seen(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING, retries=2)
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    while len(workspace.updates_of(pipeline_id)) < 3:
        clock.pass_time(seconds=1)
    assert rig.start(pipeline_id, {"onConflict": "attach"}).run.run_id == run_id
    assert len(rig.stored(run_id).attempts) == 3


def test_attach_is_refused_while_the_run_of_a_retry_is_unknown(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING, retries=1, retry_script=script_ending("RUNNING"))
    first = rig.start(pipeline_id, FOLLOW).run
    clock.pass_time(seconds=8)
    workspace.add_fault("status", method="GET", route="/pipelines/{id}/updates/{uid}", status=500, after=2, times=9)
    with pytest.raises(UpdateConflict, match="whether a run goes on with it") as conflict:
        rig.start(pipeline_id, {"onConflict": "attach"}, key="k")
    assert conflict.value.retry_after_seconds
    assert rig.active_ids() == {str(first.run_id)}
    workspace.clear_faults()
    assert rig.start(pipeline_id, {"onConflict": "attach"}, key="k").run.run_id == first.run_id, "its key is free"


def test_attach_adopts_a_retry_that_no_run_follows(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING, retries=1, retry_script=script_ending("RUNNING"))
    rig.start(pipeline_id)
    clock.pass_time(seconds=8)
    joined = rig.start(pipeline_id, {"onConflict": "attach"})
    assert joined.run.run_id.update_id == workspace.updates_of(pipeline_id)[1].update_id


def test_a_retry_that_began_before_the_cancel_is_followed_and_stopped(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING, retries=1, retry_script=script_ending("RUNNING"))
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    clock.pass_time(seconds=12)
    rig.cancel(run_id)
    rig.sweep()
    retry = workspace.updates_of(pipeline_id)[1]
    assert rig.stored(run_id).current_id.update_id == retry.update_id
    assert workspace.updates_of(pipeline_id)[1].state == "STOPPING", "in the same sweep"
    seen = _sweep_for(rig, clock, run_id, 5)
    assert seen[-1] == ("CANCELED", Status.CANCELLED)


def test_every_retry_leads_to_its_run_however_many_there_were(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=("FAILED",), retries=MOST_ATTEMPTS + 1)
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    for _ in range(MOST_ATTEMPTS + 3):
        clock.pass_time(seconds=1)
        rig.sweep()
    updates = workspace.updates_of(pipeline_id)
    run = rig.stored(run_id)
    assert (len(updates), len(run.attempts)) == (MOST_ATTEMPTS + 2, MOST_ATTEMPTS)
    assert {rig.stored(RunId(pipeline_id, update.update_id)).run_id for update in updates} == {run_id}
    clock.pass_time(minutes=2)
    rig.sweep()
    clock.pass_time(days=91)
    rig.sweep()
    for update in updates:
        assert rig.ws.runs.find(RunId(pipeline_id, update.update_id)) is None


def test_a_retry_that_begins_after_the_cancel_is_followed_and_stopped(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(
        script=FAILING, retries=1, retry_delay_seconds=30, retry_script=script_ending("RUNNING")
    )
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    _sweep_for(rig, clock, run_id, 12)
    assert rig.stored(run_id).retry_awaited_since is not None
    rig.cancel(run_id)
    seen = _sweep_for(rig, clock, run_id, 40)
    assert [update.state for update in workspace.updates_of(pipeline_id)] == ["FAILED", "CANCELED"]
    assert seen[-1] == ("CANCELED", Status.CANCELLED)
    assert rig.active_ids() == set()


def test_a_run_ends_as_it_was_seen_when_its_pipeline_is_deleted_while_a_retry_is_awaited(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING)
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    _sweep_for(rig, clock, run_id, 10)
    reason = rig.stored(run_id).error
    workspace.remove_pipeline(pipeline_id)
    clock.pass_time(minutes=1)
    rig.sweep()
    run = rig.stored(run_id)
    assert (status_of_run(run), run.error, run.is_finished) == (Status.FAILED, reason, True)


def test_an_attempt_that_the_listing_no_longer_reaches_is_given_no_successor(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING)
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    clock.pass_time(seconds=10)
    for _ in range(110):
        clock.pass_time(seconds=1)
        later = workspace.start_elsewhere(pipeline_id, cause="RETRY_ON_FAILURE")
        workspace.set_state(pipeline_id, later, "COMPLETED")
    rig.sweep()
    clock.pass_time(minutes=61)
    rig.sweep()
    run = rig.stored(run_id)
    assert (status_of_run(run), run.is_finished, len(run.attempts)) == (Status.FAILED, True, 1)


def test_updates_that_stay_unlisted_do_not_keep_a_failed_run_open_for_good(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING)
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    workspace.add_fault("status", method="GET", route="/pipelines/{id}/updates", status=403, times=None)
    _sweep_for(rig, clock, run_id, 10)
    clock.pass_time(minutes=59)
    rig.sweep()
    assert not rig.stored(run_id).is_finished
    clock.pass_time(minutes=1)
    rig.sweep()
    run = rig.stored(run_id)
    assert (status_of_run(run), run.is_finished) == (Status.FAILED, True)


def test_a_cancelled_run_waits_for_no_retry(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline(script=script_ending("RUNNING"))
    run_id = rig.start(pipeline_id, FOLLOW).run.run_id
    rig.cancel(run_id)
    seen = _sweep_for(rig, clock, run_id, 4)
    assert seen[-1] == ("CANCELED", Status.CANCELLED)


def test_the_reason_of_a_failure_is_the_innermost_exception_in_one_line(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    failures = [
        ("com.databricks.pipelines.FlowError", "Flow 'orders' failed."),
        ("java.io.FileNotFoundException", "No such file:\n  abfss://raw@lake/orders\n  (status 404)"),
    ]
    pipeline_id = workspace.add_pipeline(script=FAILING, failures=failures)
    run_id = rig.start(pipeline_id).run.run_id
    workspace.add_event(pipeline_id, message="another update's", update_id="0000", exceptions=[{"message": "not ours"}])
    _sweep_for(rig, clock, run_id, 8)
    error = rig.stored(run_id).error
    assert error is not None
    assert error.code == "java.io.FileNotFoundException"
    assert error.message == "No such file: abfss://raw@lake/orders (status 404)"
    assert len(workspace.calls("GET", EVENTS)) == 1


@pytest.mark.parametrize("fault", ["status", "reset", "garbage"])
def test_events_that_cannot_be_read_change_no_outcome(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, fault: Any
) -> None:
    pipeline_id = workspace.add_pipeline(script=FAILING)
    run_id = rig.start(pipeline_id).run.run_id
    workspace.add_fault(fault, method="GET", route=EVENTS, body="[" if fault == "garbage" else None)
    clock.pass_time(seconds=10)
    assert rig.sweep().finished == 1
    run: Run = rig.stored(run_id)
    assert run.error is not None
    assert (status_of_run(run), run.error.code) == (Status.FAILED, "UpdateFailed")
