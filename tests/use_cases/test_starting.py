"""Starting: one POST and one run, whatever Databricks answers."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.use_cases.resolving_starts import new_run
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable, PermissionRefused
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import StartUnknown, UpdateConflict
from polysync_core.values.run import Reservation, UsedKey

START = "/pipelines/{id}/updates"


@pytest.mark.parametrize("full_refresh", [False, True])
def test_a_start_posts_the_missions_body_once_and_tracks_the_run(
    rig: Rig, workspace: SimulatedWorkspace, full_refresh: bool
) -> None:
    pipeline_id = workspace.add_pipeline()
    started = rig.start(pipeline_id, {"full_refresh": full_refresh})
    (update,) = workspace.updates_of(pipeline_id)
    assert update.body == {"pipeline_id": pipeline_id, "full_refresh": full_refresh}
    assert str(started.run.run_id) == f"{pipeline_id}:{update.update_id}"
    assert rig.stored(started.run.run_id) == started.run
    assert rig.active_ids() == {str(started.run.run_id)}
    assert not started.attached


def test_other_parameters_are_listed_back_and_never_sent(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    started = rig.start(pipeline_id, {"parameters": {"full_refresh": "True", "spark.x": "1", "custom.y": 2}})
    assert started.run.ignored_parameters == ("spark.x", "custom.y")
    assert workspace.updates_of(pipeline_id)[0].body == {"pipeline_id": pipeline_id, "full_refresh": True}


def test_a_second_start_is_a_conflict_that_names_the_active_update(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    first = rig.start(pipeline_id)
    with pytest.raises(UpdateConflict) as conflict:
        rig.start(pipeline_id)
    assert conflict.value.active == {
        "updateId": first.run.run_id.update_id,
        "state": "CREATED",
        "updateUrl": f"{workspace.url}/pipelines/{pipeline_id}/updates/{first.run.run_id.update_id}",
        "runId": str(first.run.run_id),
    }
    assert conflict.value.databricks is not None
    workspace.set_state(pipeline_id, None, "COMPLETED")
    assert rig.start(pipeline_id).run.run_id != first.run.run_id


def test_after_a_conflict_with_nothing_active_the_post_is_repeated_once(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=START, status=409, times=1)
    rig.start(pipeline_id)
    assert len(workspace.calls("POST", START)) == 2
    other = workspace.add_pipeline()
    workspace.clear_calls()
    workspace.add_fault("status", method="POST", route=START, status=409, times=None)
    with pytest.raises(UpdateConflict):
        rig.start(other)
    assert len(workspace.calls("POST", START)) == 2


def test_a_start_meets_another_in_flight(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    _reserve(rig, pipeline_id)
    with pytest.raises(UpdateConflict, match="in flight"):
        rig.start(pipeline_id)
    assert workspace.calls("POST", START) == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "status", "status": 500}, "500 after it took effect"),
        ({"kind": "status", "status": 502}, "502 after it took effect"),
        ({"kind": "status", "status": 503}, "503 although it took effect"),
        ({"kind": "status", "status": 504}, "504 after it took effect"),
        ({"kind": "reset"}, "connection reset after it took effect"),
        ({"kind": "half"}, "half an answer"),
        ({"kind": "garbage", "body": "<html>"}, "200 that is no JSON"),
        ({"kind": "garbage", "body": "[]"}, "200 that is a list"),
        ({"kind": "garbage", "body": "{}"}, "200 without an update id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_update_started_without_a_clear_answer_is_found_and_tracked(
    rig: Rig, workspace: SimulatedWorkspace, fault: dict[str, Any], reason: str
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault(method="POST", route=START, times=1, when="after", **fault)
    started = rig.start(pipeline_id)
    (update,) = workspace.updates_of(pipeline_id)
    assert started.run.run_id.update_id == update.update_id, reason
    assert rig.active_ids() == {str(started.run.run_id)}


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 500}, {"kind": "reset"}], ids=["500", "reset"])
def test_an_unfindable_start_is_left_to_the_sweep_and_never_repeated(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, fault: dict[str, Any]
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault(method="POST", route=START, when="before", times=None, **fault)
    with pytest.raises(StartUnknown) as unknown:
        rig.start(pipeline_id, key="k")
    assert unknown.value.http_status == 504
    assert unknown.value.retry_after_seconds
    assert len(workspace.calls("POST", START)) == 1
    workspace.clear_faults()

    clock.pass_time(seconds=60)
    rig.sweep()
    assert rig.is_reserved(pipeline_id), "not found proves nothing yet"
    clock.pass_time(seconds=120)
    rig.sweep()
    assert not rig.is_reserved(pipeline_id)
    assert rig.start(pipeline_id, key="k").run.run_id.update_id == workspace.updates_of(pipeline_id)[0].update_id


def test_a_crash_between_post_and_tracking_is_settled_by_the_sweep(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    request = rig.request(pipeline_id, key="k")
    _reserve(rig, pipeline_id, key="k", fingerprint=request.fingerprint)
    update_id = rig.client(30).start_update(pipeline_id, False, begins_by=Deadline.after(rig.clock, 15))

    rig.sweep()
    assert rig.active_ids() == set(), "the call may still be running"
    clock.pass_time(seconds=46)
    rig.sweep()
    assert rig.active_ids() == {f"{pipeline_id}:{update_id}"}
    assert rig.start(pipeline_id, key="k").run.run_id.update_id == update_id, "the key has its true answer"
    assert len(workspace.updates_of(pipeline_id)) == 1


def test_a_start_is_never_declared_dead_while_databricks_cannot_be_asked(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    _reserve(rig, pipeline_id)
    rig.client(30).start_update(pipeline_id, False, begins_by=Deadline.after(rig.clock, 15))
    workspace.down()
    clock.pass_time(hours=5)
    rig.sweep()
    workspace.up()
    rig.sweep()
    assert len(rig.active_ids()) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_start_that_was_not_accepted_is_repeated_after_the_time_asked_for(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, status: int
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault(
        "status", method="POST", route=START, status=status, times=2, when="before", headers={"Retry-After": "4"}
    )
    before = clock.monotonic()
    rig.start(pipeline_id)
    assert clock.monotonic() - before == 8
    assert len(workspace.updates_of(pipeline_id)) == 1


def test_a_start_that_took_effect_although_the_gateway_says_503_to_the_end_is_found(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault(
        "status", method="POST", route=START, status=503, times=None, when="after", headers={"Retry-After": "100"}
    )
    started = rig.start(pipeline_id)
    assert [started.run.run_id.update_id] == [update.update_id for update in workspace.updates_of(pipeline_id)]


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "30"}], ids=["503", "503 with Retry-After"])
@pytest.mark.parametrize("trouble", [{"kind": "status", "status": 500}, {"kind": "reset"}], ids=["500", "reset"])
def test_after_a_503_that_cannot_be_looked_up_nothing_is_repeated_or_released(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, headers: dict[str, str], trouble: dict[str, Any]
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault(
        "status", method="POST", route=START, status=503, message="Later.", when="after", headers=headers
    )
    workspace.add_fault(method="GET", route=START, times=None, **trouble)
    with pytest.raises(StartUnknown) as unknown:
        rig.start(pipeline_id, key="k")
    assert unknown.value.members()["databricks"] == {
        "status": 503,
        "error_code": "INTERNAL_ERROR",
        "message": "Later.",
    }
    assert rig.is_reserved(pipeline_id)
    workspace.clear_faults()
    clock.pass_time(seconds=46)
    rig.sweep()
    (update,) = workspace.updates_of(pipeline_id)
    assert rig.active_ids() == {f"{pipeline_id}:{update.update_id}"}
    assert rig.start(pipeline_id, key="k").run.run_id.update_id == update.update_id


def test_a_503_whose_look_up_fails_once_is_looked_up_again(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=START, status=503, when="after")
    workspace.add_fault("status", method="GET", route=START, status=500, times=1)
    started = rig.start(pipeline_id)
    assert [started.run.run_id.update_id] == [update.update_id for update in workspace.updates_of(pipeline_id)]


def test_a_start_of_a_pipeline_that_is_gone_is_settled(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=START, status=500, when="before")
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id, key="k")
    workspace.remove_pipeline(pipeline_id)
    clock.pass_time(seconds=60)
    rig.sweep()
    assert rig.is_reserved(pipeline_id), "its own time is kept all the same"
    clock.pass_time(seconds=120)
    rig.sweep()
    assert not rig.is_reserved(pipeline_id)


def test_a_pause_of_no_time_does_not_make_a_storm(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault(
        "status", method="POST", route=START, status=429, times=None, when="before", headers={"Retry-After": "0"}
    )
    with pytest.raises(DatabricksError):
        rig.start(pipeline_id)
    assert len(workspace.calls("POST", START)) <= 16


def test_no_post_begins_later_than_15_seconds_into_a_start(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=START, status=429, times=None, when="before")
    before = clock.monotonic()
    with pytest.raises(DatabricksError) as refused:
        rig.start(pipeline_id)
    assert refused.value.http_status == 429
    assert clock.monotonic() - before <= 15
    workspace.clear_faults()
    rig.start(pipeline_id)


@pytest.mark.parametrize(("status", "code"), [(400, "INVALID_STATE"), (404, "RESOURCE_DOES_NOT_EXIST")])
def test_a_refusal_is_passed_on_and_releases_pipeline_and_key(
    rig: Rig, workspace: SimulatedWorkspace, status: int, code: str
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault(
        "status", method="POST", route=START, status=status, error_code=code, message="no.", times=1, when="before"
    )
    with pytest.raises(DatabricksError) as refused:
        rig.start(pipeline_id, key="k")
    assert (refused.value.http_status, refused.value.error_code, refused.value.says) == (status, code, "no.")
    assert ("required Databricks resource" in refused.value.detail) == (status == 400)
    rig.start(pipeline_id, {"full_refresh": True}, key="k")


def test_an_unknown_pipeline_is_databricks_own_404(rig: Rig) -> None:
    with pytest.raises(DatabricksError) as refused:
        rig.start("8279d543-063c-4d63-9926-dae38e35ce8b")
    assert refused.value.http_status == 404
    assert "was not found" in refused.value.says


def test_a_workspace_that_cannot_be_reached_starts_nothing_and_holds_nothing(
    rig: Rig, azurite: str, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = Rig(azurite, {rig.name: f"http://127.0.0.1:{taken.getsockname()[1]}"}, workspace, clock)
        pipeline_id = workspace.add_pipeline()
        with pytest.raises(DatabricksUnreachable) as unreachable:
            dead.start(pipeline_id)
    assert not unreachable.value.was_sent
    assert rig.start(pipeline_id).run.run_id.update_id == workspace.updates_of(pipeline_id)[0].update_id


@pytest.mark.parametrize("as_html_403", [False, True], ids=["401", "403 as a page"])
def test_a_refused_token_is_replaced_once(rig: Rig, workspace: SimulatedWorkspace, as_html_403: bool) -> None:
    rig.start(workspace.add_pipeline())
    workspace.revoke_tokens(as_html_403=as_html_403)
    rig.start(workspace.add_pipeline())
    assert sum(workspace.tokens_issued().values()) == 2


@pytest.mark.parametrize("as_html_403", [False, True], ids=["401", "403 as a page"])
def test_a_revoked_token_is_replaced_also_shortly_after_another_was(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, as_html_403: bool
) -> None:
    forbidden, pipeline_id = workspace.add_pipeline(), workspace.add_pipeline()
    workspace.forbid(forbidden)
    with pytest.raises(PermissionRefused):
        rig.start(forbidden)
    rig.start(pipeline_id)
    for _ in range(2):
        workspace.set_state(pipeline_id, None, "COMPLETED")
        workspace.revoke_tokens(as_html_403=as_html_403)
        clock.pass_time(seconds=1)
        rig.start(pipeline_id)


def test_a_forbidden_pipeline_names_the_remedy_and_costs_one_token_a_minute(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.forbid(pipeline_id)
    for _ in range(5):
        with pytest.raises(PermissionRefused, match="Can Run on the pipeline"):
            rig.start(pipeline_id)
    assert sum(workspace.tokens_issued().values()) == 2
    workspace.allow(pipeline_id)
    rig.start(pipeline_id)


def test_fifty_simultaneous_starts_with_one_key_make_one_update(
    azurite: str, rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    waiting = Rig(azurite, {rig.name: workspace.url}, workspace, Clock())
    with ThreadPoolExecutor(50) as pool:
        answers = set(pool.map(lambda _: str(waiting.start(pipeline_id, key="once").run.run_id), range(50)))
    (update,) = workspace.updates_of(pipeline_id)
    assert answers == {f"{pipeline_id}:{update.update_id}"}


def _reserve(rig: Rig, pipeline_id: str, *, key: str | None = None, fingerprint: str = "") -> None:
    """Write the rows of a start whose process died after its reservation."""
    reservation = Reservation(
        pipeline_id=pipeline_id,
        owner="dead",
        reserved_at=rig.clock.now(),
        full_refresh=False,
    )
    used = UsedKey(fingerprint=fingerprint, owner="dead", used_at=rig.clock.now())
    assert rig.ws.runs.reserve(reservation, key, used) is not None


def test_an_update_is_tracked_also_when_its_reservation_and_key_are_gone(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    _reserve(rig, pipeline_id, key="k")
    (held,) = rig.ws.runs.list_reservations().rows
    update_id = rig.client(30).start_update(pipeline_id, False, begins_by=Deadline.after(rig.clock, 15))
    rig.ws.runs.release(held)
    seen = SeenUpdate(update_id=update_id, state=None)
    run = rig.ws.runs.track(new_run(held.value, seen, rig.ws), held)
    assert rig.active_ids() == {str(run.run_id)}
