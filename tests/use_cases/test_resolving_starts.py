"""Starts without a response: what proves that an update was started, and what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from local.workspace.queries import encode_page_token
from polysync_core.values.databricks_errors import DatabricksError, DatabricksSignInPage
from polysync_core.values.errors import StartUnknown, UpdateConflict

SIGN_IN = "<html><head><title>Sign In</title></head></html>"
UPDATES, UPDATE = "/pipelines/{id}/updates", "/pipelines/{id}/updates/{uid}"


def test_an_empty_listing_that_says_nothing_does_not_prove_that_nothing_was_started(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="after")
    workspace.add_fault("garbage", method="GET", route=UPDATES, times=None, status=200, body="")
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id, key="k")
    for _ in range(14):
        clock.pass_time(seconds=15)
        rig.sweep()
    assert rig.is_reserved(pipeline_id)
    workspace.clear_faults()
    rig.sweep()
    (update,) = workspace.updates_of(pipeline_id)
    assert rig.active_ids() == {f"{pipeline_id}:{update.update_id}"}
    assert f"a start by key without an answer is tracked now: run {pipeline_id}:{update.update_id}" in caplog.text


@pytest.mark.parametrize("empty_pages", [1, 2])
def test_an_empty_page_with_a_token_does_not_end_the_look_for_a_start(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, empty_pages: int
) -> None:
    pipeline_id = workspace.add_pipeline()
    older = workspace.start_elsewhere(pipeline_id)
    workspace.set_state(pipeline_id, None, "COMPLETED")
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="after")
    workspace.add_fault("status", method="GET", route=UPDATES, status=500, times=3)
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id)
    _hide_behind_empty_pages(workspace, pipeline_id, older, empty_pages)
    clock.pass_time(minutes=5)
    rig.sweep()
    assert rig.active_ids() == {f"{pipeline_id}:{workspace.updates_of(pipeline_id)[-1].update_id}"}


def test_an_empty_page_with_a_token_does_not_hide_the_active_update(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    active = workspace.start_elsewhere(pipeline_id)
    _hide_behind_empty_pages(workspace, pipeline_id, active, 2)
    assert rig.start(pipeline_id, {"onConflict": "attach"}).run.run_id.update_id == active


def _hide_behind_empty_pages(workspace: SimulatedWorkspace, pipeline_id: str, update_id: str, pages: int) -> None:
    for number in range(pages):
        token = {"of": f"updates of {pipeline_id}", "goes": "back", "at": update_id, "number": number}
        empty = json.dumps({"next_page_token": encode_page_token(token)})
        workspace.add_fault("garbage", method="GET", route=UPDATES, status=200, body=empty)


@pytest.mark.parametrize("token", ["x", None], ids=["the same token for ever", "another token each time"])
def test_a_listing_that_does_not_end_is_read_within_bounds_and_proves_nothing(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, token: str | None
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="before")
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id)
    for number in range(120):
        body = json.dumps({"next_page_token": token or f"t{number}"})
        workspace.add_fault("garbage", method="GET", route=UPDATES, status=200, body=body)
    clock.pass_time(minutes=5)
    workspace.clear_calls()
    rig.sweep()
    assert len(workspace.calls("GET", UPDATES)) == (2 if token else 51)
    assert rig.is_reserved(pipeline_id) == (token is None)


@pytest.mark.parametrize("listing_shows_options", [True, False])
@pytest.mark.parametrize("options", [{"validate_only": True}, {"refresh_selection": ["orders"]}], ids=str)
def test_a_strangers_partial_update_is_not_taken_for_a_start_without_an_answer(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, options: dict[str, Any], listing_shows_options: bool
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.configure(listing_shows_options=listing_shows_options)
    workspace.start_elsewhere(pipeline_id, cause="API_CALL", **options)
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="before")
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id)
    clock.pass_time(minutes=5)
    rig.sweep()
    assert rig.active_ids() == set()
    assert not rig.is_reserved(pipeline_id), "nothing of ours can show any more"


def test_an_update_that_is_listed_but_not_found_yet_is_ours_all_the_same(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="after")
    workspace.add_fault("status", method="GET", route=UPDATE, status=404, error_code="RESOURCE_DOES_NOT_EXIST")
    assert rig.start(pipeline_id).run.run_id.update_id == workspace.updates_of(pipeline_id)[0].update_id


@pytest.mark.parametrize("on_conflict", ["fail", "attach"])
def test_a_sign_in_page_is_named_to_every_start_and_keeps_the_reservation_until_the_api_answers(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, on_conflict: str
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("garbage", times=None, status=200, body=SIGN_IN)
    for key in ("k", None, "other", "k"):
        with pytest.raises(DatabricksSignInPage, match="Set the workspace's own address") as page:
            rig.start(pipeline_id, {"onConflict": on_conflict}, key=key)
        assert (page.value.http_status, page.value.retry_after_seconds) == (503, 60)
    assert len(workspace.calls("POST", UPDATES)) == 1
    for _ in range(20):
        clock.pass_time(minutes=1)
        rig.sweep()
    assert rig.is_reserved(pipeline_id), "a page proves nothing"
    workspace.clear_faults()
    with pytest.raises(UpdateConflict, match="in flight"):
        rig.start(pipeline_id)
    rig.sweep()
    assert not rig.is_reserved(pipeline_id)
    assert rig.start(pipeline_id, key="k").run.run_id.pipeline_id == pipeline_id


def test_a_sign_in_page_on_the_look_up_is_named(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="after")
    workspace.add_fault("garbage", method="GET", route=UPDATES, times=None, status=200, body=SIGN_IN)
    with pytest.raises(DatabricksSignInPage, match="not known yet"):
        rig.start(pipeline_id, key="k")
    assert rig.is_reserved(pipeline_id)
    workspace.clear_faults()
    clock.pass_time(seconds=46)
    rig.sweep()
    (update,) = workspace.updates_of(pipeline_id)
    assert rig.active_ids() == {f"{pipeline_id}:{update.update_id}"}


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        ({"status": 400, "error_code": "BAD_REQUEST", "message": "Expected iss claim to be: a"}, "wrong tenant"),
        ({"status": 400, "body": "Invalid Token"}, "wrong tenant"),
        ({"status": 302, "headers": {"Location": "/login.html?error=private-link-validation-error:1"}}, "VNet"),
        ({"status": 403, "message": "Source IP address: 1.2.3.4 is blocked by Databricks IP ACL"}, "VNet"),
        ({"status": 302, "headers": {"Location": "/login.html"}, "body": ""}, "own address"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value["status"]),
)
def test_a_refused_start_has_one_remedy_and_it_is_the_right_one(
    rig: Rig, workspace: SimulatedWorkspace, answer: dict[str, Any], remedy: str
) -> None:
    workspace.add_fault("status", method="POST", route=UPDATES, times=None, **answer)
    with pytest.raises(DatabricksError, match=remedy) as refused:
        rig.start(workspace.add_pipeline())
    assert "required Databricks resource" not in refused.value.detail
