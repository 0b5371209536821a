"""The simulated workspace's updates: states, paces, stops, retries."""

from __future__ import annotations

import pytest

from local.workspace import (
    DEFAULT_SCRIPT,
    SimulatedWorkspace,
    script_ending,
)
from tests.local.workspace.raw_http import START_AT, Caller, SimulatedTime, refusal


def test_a_paced_update_walks_its_script_by_the_clock(now: SimulatedTime) -> None:
    with SimulatedWorkspace(pace_seconds=10, now=now) as workspace:
        pipeline_id = workspace.add_pipeline()
        update_id = workspace.start_elsewhere(pipeline_id, cause="JOB_TASK", full_refresh=True)
        seen = []
        for _ in range(8):
            seen.append(workspace.updates_of(pipeline_id)[0].state)
            now.epoch_seconds += 10
        [update] = workspace.updates_of(pipeline_id)
    before, behind = DEFAULT_SCRIPT[:3], DEFAULT_SCRIPT[3:]
    assert seen == [*before, "RESETTING", *behind, "COMPLETED"]
    assert (update.update_id, update.cause) == (update_id, "JOB_TASK")
    assert [at - START_AT for _, at in update.history] == [0, 10, 20, 30, 40, 50, 60]


def test_a_script_that_places_resetting_itself_is_left_alone(workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline(script=["RESETTING", "SETTING_UP_TABLES", "COMPLETED"])
    workspace.start_elsewhere(pipeline_id, full_refresh=True)
    workspace.advance(pipeline_id, steps=2)
    [update] = workspace.updates_of(pipeline_id)
    assert [state for state, _ in update.history] == ["RESETTING", "SETTING_UP_TABLES", "COMPLETED"]


def test_without_a_pace_only_control_moves_an_update(
    workspace: SimulatedWorkspace, call: Caller, now: SimulatedTime
) -> None:
    pipeline_id = workspace.add_pipeline(script=script_ending("FAILED"))
    update_id = call.start(pipeline_id)
    now.epoch_seconds += 1e6
    assert call.state(pipeline_id, update_id) == "CREATED"
    assert workspace.advance(pipeline_id) == "WAITING_FOR_RESOURCES"
    workspace.set_state(pipeline_id, update_id, "RESYNCING")
    assert call.state(pipeline_id, update_id) == "RESYNCING"
    assert workspace.advance(pipeline_id, update_id, steps=4) == "FAILED"
    with pytest.raises(ValueError, match="no next state"):
        workspace.advance(pipeline_id, update_id)
    with pytest.raises(ValueError, match="cannot become RUNNING"):
        workspace.set_state(pipeline_id, update_id, "RUNNING")


@pytest.mark.parametrize("by_update", [True, False])
def test_a_stop_goes_through_stopping_to_canceled(workspace: SimulatedWorkspace, call: Caller, by_update: bool) -> None:
    pipeline_id = workspace.add_pipeline()
    update_id = call.start(pipeline_id)
    workspace.configure(has_update_stop=True)
    path = f"/pipelines/{pipeline_id}/updates/{update_id}/stop" if by_update else f"/pipelines/{pipeline_id}/stop"
    for _ in range(2):
        answer = call("POST", path)
        assert (answer.status_code, answer.json()) == (200, {})
        assert call.state(pipeline_id, update_id) == "STOPPING"
    assert workspace.advance(pipeline_id) == "CANCELED"
    assert call("POST", path).json() == {}
    [update] = workspace.updates_of(pipeline_id)
    assert [state for state, _ in update.history] == ["CREATED", "STOPPING", "CANCELED"]


def test_stopping_lasts_as_long_as_the_pipeline_drains(
    workspace: SimulatedWorkspace, call: Caller, now: SimulatedTime
) -> None:
    pipeline_id = workspace.add_pipeline(script=script_ending("RUNNING"), drain_seconds=300)
    update_id = call.start(pipeline_id)
    call("POST", f"/pipelines/{pipeline_id}/stop")
    now.epoch_seconds += 299
    assert call.state(pipeline_id, update_id) == "STOPPING"
    now.epoch_seconds += 1
    assert call.state(pipeline_id, update_id) == "CANCELED"


def test_the_stop_of_one_update_is_missing_unless_the_workspace_is_told_to_have_it(
    workspace: SimulatedWorkspace, call: Caller
) -> None:
    pipeline_id = workspace.add_pipeline()
    update_id = call.start(pipeline_id)
    path = f"/pipelines/{pipeline_id}/updates/{update_id}/stop"
    answer = call("POST", path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Bad Target: /api/2.0/pipelines"})
    workspace.configure(update_stop_refusal="endpoint_not_found")
    assert refusal(call("POST", path)) == (404, "ENDPOINT_NOT_FOUND")
    assert call.state(pipeline_id, update_id) == "CREATED"
    workspace.configure(has_update_stop=True)
    assert call("POST", path).status_code == 200
    assert call.state(pipeline_id, update_id) == "STOPPING"


def test_a_failed_update_is_followed_by_retries_under_new_ids(now: SimulatedTime) -> None:
    with SimulatedWorkspace(pace_seconds=1, now=now) as workspace:
        pipeline_id = workspace.add_pipeline(
            script=["RUNNING", "FAILED"], retries=2, retry_delay_seconds=30, retry_script=["RUNNING", "COMPLETED"]
        )
        workspace.start_elsewhere(pipeline_id, full_refresh=True)
        now.epoch_seconds += 30
        assert [update.state for update in workspace.updates_of(pipeline_id)] == ["FAILED"]
        now.epoch_seconds += 1.5
        assert [update.state for update in workspace.updates_of(pipeline_id)] == ["FAILED", "RUNNING"]
        now.epoch_seconds += 1000
        first, second = workspace.updates_of(pipeline_id)
    assert (first.state, second.state, second.cause) == ("FAILED", "COMPLETED", "RETRY_ON_FAILURE")
    assert second.creation_time == int((START_AT + 31) * 1000)
    assert second.full_refresh


def test_retries_run_out(workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline(script=["FAILED"], retries=3)
    workspace.start_elsewhere(pipeline_id)
    causes = [update.cause for update in workspace.updates_of(pipeline_id)]
    assert causes == ["USER_ACTION", *["RETRY_ON_FAILURE"] * 3]
    times = [update.creation_time for update in workspace.updates_of(pipeline_id)]
    assert times == sorted(set(times))


@pytest.mark.parametrize(("stopped", "states"), [(True, ["CANCELED"]), (False, ["CANCELED", "RUNNING"])])
def test_a_schema_change_cancels_and_starts_a_successor_but_a_stop_does_not(
    workspace: SimulatedWorkspace, call: Caller, stopped: bool, states: list[str]
) -> None:
    pipeline_id = workspace.add_pipeline(
        script=["RUNNING"], retries=1, retry_cause="SCHEMA_CHANGE", retry_after_state="CANCELED"
    )
    update_id = call.start(pipeline_id)
    if stopped:
        call("POST", f"/pipelines/{pipeline_id}/stop")
    workspace.set_state(pipeline_id, update_id, "CANCELED")
    updates = workspace.updates_of(pipeline_id)
    assert [update.state for update in updates] == states
    assert [update.cause for update in updates[1:]] == ["SCHEMA_CHANGE"] * (len(states) - 1)


def test_a_misspelt_script_cause_or_setting_is_refused(workspace: SimulatedWorkspace) -> None:
    with pytest.raises(ValueError, match="no state follows FAILED"):
        workspace.add_pipeline(script=["FAILED", "RUNNING"])
    with pytest.raises(ValueError, match="cause is one of"):
        workspace.add_pipeline(retry_cause="RETRY")
    with pytest.raises(ValueError, match="no such setting: latency"):
        workspace.configure(latency=1)
    with pytest.raises(ValueError, match="route is one of"):
        workspace.add_fault("reset", route="/pipelines/{pipeline_id}")
    with pytest.raises(ValueError, match="there is no pipeline nope"):
        workspace.updates_of("nope")


def test_an_update_shows_what_it_was_started_with(workspace: SimulatedWorkspace, call: Caller) -> None:
    pipeline_id = workspace.add_pipeline()
    options = {"validate_only": True, "refresh_selection": ["orders"], "rewind_spec": {"datasets": []}}
    started = call("POST", f"/pipelines/{pipeline_id}/updates", json={**options, "full_refresh_selection": []})
    update_id = started.json()["update_id"]
    one = call("GET", f"/pipelines/{pipeline_id}/updates/{update_id}").json()["update"]
    (listed,) = call("GET", f"/pipelines/{pipeline_id}/updates").json()["updates"]
    for shown in (one, listed):
        assert {name: shown[name] for name in options} == options
        assert "full_refresh_selection" not in shown, "an empty list is left out"
    workspace.configure(listing_shows_options=False)
    (listed,) = call("GET", f"/pipelines/{pipeline_id}/updates").json()["updates"]
    assert not options.keys() & listed.keys()


def test_a_workspace_may_leave_out_the_fields_that_the_official_sdk_does_not_know(
    workspace: SimulatedWorkspace, call: Caller
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.configure(shows_undocumented_options=False)
    options = {"refresh_selection": ["orders"], "reset_checkpoint_selection": ["main.sales.orders"]}
    path = f"/pipelines/{pipeline_id}/updates"
    update_id = call("POST", path, json=options).json()["update_id"]
    (listed,) = call("GET", path).json()["updates"]
    for shown in (call("GET", f"{path}/{update_id}").json()["update"], listed):
        assert shown["refresh_selection"] == ["orders"]
        assert "reset_checkpoint_selection" not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"validate_only": "true"},
        {"refresh_selection": "orders"},
        {"refresh_selection": ["orders", 1]},
        {"reset_checkpoint_selection": [None]},
        {"rewind_spec": []},
    ],
)
def test_a_start_with_a_field_of_a_wrong_type_is_refused(
    workspace: SimulatedWorkspace, call: Caller, wrong: dict[str, object]
) -> None:
    pipeline_id = workspace.add_pipeline()
    answer = call("POST", f"/pipelines/{pipeline_id}/updates", json=wrong)
    assert refusal(answer) == (400, "INVALID_PARAMETER_VALUE")


def test_a_development_update_is_not_retried(now: SimulatedTime) -> None:
    with SimulatedWorkspace(pace_seconds=1, now=now) as workspace:
        pipeline_id = workspace.add_pipeline(script=["RUNNING", "FAILED"], retries=2)
        workspace.start_elsewhere(pipeline_id, development=True)
        now.epoch_seconds += 60
        assert [update.state for update in workspace.updates_of(pipeline_id)] == ["FAILED"]
