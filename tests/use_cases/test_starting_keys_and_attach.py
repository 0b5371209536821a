"""Idempotency-Key and onConflict, as a caller sees them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.receiver import Receiver
from local.rig import ManualClock, Rig
from local.seeding import put_row
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.use_cases import cancelling
from polysync_core.values.caller import KEY_ID
from polysync_core.values.databricks_errors import DatabricksError
from polysync_core.values.errors import KeyInFlight, KeyReused, RowUnreadable, RunNotFound, UpdateConflict
from polysync_core.values.run import Reservation, Started, UsedKey

ATTACH = {"onConflict": "attach"}
TABLES = ["orders"]
PARTIAL: list[tuple[dict[str, Any], str]] = [
    ({"validate_only": True}, "validate_only"),
    ({"refresh_selection": TABLES}, "refresh_selection"),
    ({"full_refresh_selection": TABLES}, "full_refresh_selection"),
    ({"refresh_selection": TABLES, "full_refresh_selection": TABLES}, "refresh_selection, full_refresh_selection"),
    ({"reset_checkpoint_selection": ["flow"]}, "reset_checkpoint_selection"),
    ({"refresh_selection_by_path": ["a.py"]}, "refresh_selection_by_path"),
    ({"full_refresh_selection_by_path": ["a.py"]}, "full_refresh_selection_by_path"),
    ({"rewind_spec": {"datasets": [{"identifier": "orders"}]}}, "rewind_spec"),
    ({"replace_where_overrides": [{"flow_name": "f"}]}, "replace_where_overrides"),
]


def test_the_same_key_and_request_give_the_same_run_also_when_it_is_finished(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    first = rig.start(pipeline_id, key="k")
    assert rig.start(pipeline_id, key="k").run == first.run
    workspace.set_state(pipeline_id, None, "COMPLETED")
    rig.sweep()
    assert rig.start(pipeline_id, key="k").run.run_id == first.run.run_id
    assert len(workspace.updates_of(pipeline_id)) == 1


def test_another_request_with_a_used_key_is_refused(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    rig.start(pipeline_id, key="k")
    with pytest.raises(KeyReused) as reused:
        rig.start(pipeline_id, {"full_refresh": True}, key="k")
    assert reused.value.http_status == 422


def test_keys_of_different_pipelines_have_nothing_to_do_with_each_other(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    runs = {str(rig.start(workspace.add_pipeline(), key="k").run.run_id) for _ in range(2)}
    assert len(runs) == 2


def test_a_repeat_waits_20_seconds_for_the_first_and_is_then_asked_to_come_again(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    request = rig.request(pipeline_id, key="k")
    reservation = Reservation(
        pipeline_id=pipeline_id,
        owner="busy",
        reserved_at=clock.now(),
        full_refresh=False,
    )
    used = UsedKey(fingerprint=request.fingerprint, owner="busy", used_at=clock.now())
    rig.ws.runs.reserve(reservation, "k", used)
    before = clock.monotonic()
    with pytest.raises(KeyInFlight) as busy:
        rig.start(pipeline_id, key="k")
    assert clock.monotonic() - before == 20
    assert busy.value.http_status == 503
    assert busy.value.retry_after_seconds
    assert workspace.calls("POST", "/pipelines/{id}/updates") == []


def test_attach_joins_the_active_run_of_another_caller(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    first = rig.start(pipeline_id)
    joined = rig.start(pipeline_id, ATTACH, key="second")
    assert joined.attached
    assert joined.run.run_id == first.run.run_id
    assert rig.start(pipeline_id, ATTACH, key="second").attached, "the repeat says so too"
    assert not rig.stored(first.run.run_id).attached, "the run itself was started here"


@pytest.mark.parametrize("cause", ["USER_ACTION", "JOB_TASK"])
def test_attach_adopts_an_update_that_was_started_elsewhere(
    rig: Rig, workspace: SimulatedWorkspace, cause: str
) -> None:
    pipeline_id = workspace.add_pipeline()
    update_id = workspace.start_elsewhere(pipeline_id, cause=cause)
    joined = rig.start(pipeline_id, ATTACH)
    assert joined.run.run_id.update_id == update_id
    assert joined.run.attached
    assert joined.run.attempts[0].cause == cause
    workspace.set_state(pipeline_id, update_id, "COMPLETED")
    rig.sweep()
    assert rig.stored(joined.run.run_id).is_finished


@pytest.mark.parametrize("active_is_full", [True, False])
def test_attach_refuses_an_update_of_the_other_kind_of_refresh(
    rig: Rig, workspace: SimulatedWorkspace, active_is_full: bool
) -> None:
    pipeline_id = workspace.add_pipeline()
    update_id = workspace.start_elsewhere(pipeline_id, full_refresh=active_is_full)
    with pytest.raises(UpdateConflict, match="cannot be joined") as conflict:
        rig.start(pipeline_id, {**ATTACH, "full_refresh": not active_is_full})
    assert conflict.value.active is not None
    assert conflict.value.active["updateId"] == update_id
    assert conflict.value.active["runId"] is None


@pytest.mark.parametrize(("options", "kind"), PARTIAL, ids=str)
def test_attach_refuses_an_update_that_does_not_refresh_the_whole_pipeline(
    rig: Rig, workspace: SimulatedWorkspace, options: dict[str, Any], kind: str
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.configure(listing_shows_options=False)
    active = workspace.start_elsewhere(pipeline_id, cause="API_CALL", **options)
    with pytest.raises(UpdateConflict, match="cannot be joined") as conflict:
        rig.start(pipeline_id, ATTACH)
    assert kind in conflict.value.detail
    assert conflict.value.active is not None
    assert conflict.value.active["updateId"] == active


@pytest.mark.parametrize(
    "options", [{"development": True}, {"parameters": {"a": "b"}}, {"refresh_selection": []}], ids=str
)
def test_attach_joins_an_update_of_the_whole_pipeline_whatever_else_it_was_started_with(
    rig: Rig, workspace: SimulatedWorkspace, options: dict[str, Any]
) -> None:
    pipeline_id = workspace.add_pipeline()
    active = workspace.start_elsewhere(pipeline_id, cause="API_CALL", **options)
    assert rig.start(pipeline_id, ATTACH).run.run_id.update_id == active


@pytest.mark.parametrize("wanted", ["nothing", "a key", "a key and a callback"])
def test_thirty_callers_join_one_active_update_at_once(
    azurite: str, rig: Rig, workspace: SimulatedWorkspace, receiver: Receiver, wanted: str
) -> None:
    """Seen before: each caller reserved the pipeline for three answers of 300 ms, and half of them ran out of time."""
    callers = 20 if "callback" in wanted else 30  # a run has at most 20 callbacks
    real_time = Rig(azurite, {rig.name: workspace.url}, workspace, Clock(), POLYSYNC_CALLBACK_HOSTS=receiver.host)
    pipeline_id = workspace.add_pipeline()
    first = real_time.start(pipeline_id).run
    workspace.configure(latency_seconds=0.3)
    workspace.clear_calls()

    def join(number: int) -> Started:
        body = ATTACH | ({"callbackUrl": receiver.url(f"/{number}")} if "callback" in wanted else {})
        return real_time.start(pipeline_id, body, key=None if wanted == "nothing" else f"k{number}")

    with ThreadPoolExecutor(callers) as pool:
        joined = [*pool.map(join, range(callers))]
    assert {(each.attached, each.run.run_id) for each in joined} == {(True, first.run_id)}
    assert workspace.calls("POST", "/pipelines/{id}/updates") == [], "nobody tried to start"
    assert len(workspace.calls("GET", "/pipelines/{id}/updates/{uid}")) < callers / 2, "they shared their looks"
    assert len(real_time.stored(first.run_id).callbacks) == (callers if "callback" in wanted else 0)
    if wanted != "nothing":
        assert join(7).run.run_id == first.run_id, "the key is kept"


def test_a_tracked_run_is_joined_only_while_a_new_look_shows_its_update_active(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    first = rig.start(pipeline_id).run
    workspace.set_state(pipeline_id, None, "COMPLETED")
    started = rig.start(pipeline_id, ATTACH)
    assert not started.attached
    assert started.run.run_id != first.run_id
    assert len(workspace.updates_of(pipeline_id)) == 2


def test_the_same_key_joins_once(rig: Rig, workspace: SimulatedWorkspace, receiver: Receiver) -> None:
    pipeline_id = workspace.add_pipeline()
    first = rig.start(pipeline_id).run
    with ThreadPoolExecutor(4) as pool:
        joined = [*pool.map(lambda _: rig.start(pipeline_id, ATTACH, key="k"), range(4))]
    assert {each.run.run_id for each in joined} == {first.run_id}
    with pytest.raises(KeyReused):
        rig.start(pipeline_id, {**ATTACH, "timeoutMinutes": 5}, key="k")


def test_attach_waits_for_a_start_in_flight(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline()
    reservation = Reservation(pipeline_id=pipeline_id, owner="busy", reserved_at=clock.now(), full_refresh=False)
    held = rig.ws.runs.reserve(reservation, None)
    assert held is not None
    before = clock.monotonic()
    with pytest.raises(UpdateConflict, match="in flight"):
        rig.start(pipeline_id, ATTACH)
    assert clock.monotonic() - before > 10


def test_a_cancel_by_key_stops_the_run_that_the_key_started(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    started = rig.start(pipeline_id, key="k")
    cancelled = cancelling.cancel_pipeline(pipeline_id, "k", rig.ws, KEY_ID)
    assert cancelled.asked
    assert cancelled.run.run_id == started.run.run_id
    assert workspace.updates_of(pipeline_id)[0].state == "STOPPING"


def test_a_cancel_by_the_key_of_an_attached_start_leaves_the_update_running(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    rig.start(pipeline_id)
    rig.start(pipeline_id, ATTACH, key="joined")
    assert not cancelling.cancel_pipeline(pipeline_id, "joined", rig.ws, KEY_ID).asked
    assert workspace.updates_of(pipeline_id)[0].state == "CREATED"


def test_a_cancel_by_an_unknown_key_is_404(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    rig.start(pipeline_id)
    with pytest.raises(RunNotFound):
        cancelling.cancel_pipeline(pipeline_id, "other", rig.ws, KEY_ID)


def test_an_update_that_has_ended_by_the_look_is_not_joined(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    ended = workspace.start_elsewhere(pipeline_id)
    workspace.set_state(pipeline_id, ended, "COMPLETED")
    listed = {"updates": [{"update_id": ended, "state": "RUNNING", "cause": "USER_ACTION", "creation_time": 1}]}
    route = "/pipelines/{id}/updates"
    workspace.add_fault("status", method="POST", route=route, status=409, when="before")
    workspace.add_fault("garbage", method="GET", route=route, body=json.dumps(listed))
    started = rig.start(pipeline_id, ATTACH)
    assert not started.attached
    assert started.run.run_id.update_id == workspace.updates_of(pipeline_id)[-1].update_id != ended


def test_a_caller_that_would_join_an_update_that_cannot_be_observed_gets_that_error(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    active = workspace.start_elsewhere(pipeline_id)
    workspace.add_fault("status", method="GET", route="/pipelines/{id}/updates", status=500, times=None)
    with pytest.raises(DatabricksError) as trouble:
        rig.start(pipeline_id, ATTACH, key="k")
    assert trouble.value.http_status == 502, "so that the caller asks again"
    with pytest.raises(UpdateConflict):
        rig.start(pipeline_id, key="another")
    workspace.clear_faults()
    assert rig.start(pipeline_id, ATTACH, key="k").run.run_id.update_id == active


def test_a_used_key_still_leads_to_its_run_beside_an_unreadable_row_of_another_start(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    run = rig.start(pipeline_id, key="k").run
    put_row(rig, f"starting|{pipeline_id}", {"owner": "x", "reservedAt": "?"})
    assert rig.start(pipeline_id, key="k").run.run_id == run.run_id
    for key in ("another", None):
        with pytest.raises(RowUnreadable):
            rig.start(pipeline_id, key=key)
