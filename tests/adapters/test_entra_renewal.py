"""Responses that refuse the app's token without a 401, and refusals that a new token would not change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from local.workspace.identity import DATABRICKS_RESOURCE
from polysync_core.values.databricks_errors import (
    DatabricksError,
    DatabricksNetworkRefused,
    DatabricksSignInPage,
    PermissionRefused,
)
from polysync_core.values.deadline import Deadline

UPDATES = "/pipelines/{id}/updates"
JWT: dict[str, Any] = {
    "error_code": "BAD_REQUEST",
    "message": "io.jsonwebtoken.IncorrectClaimException: Expected iss claim to be: a.",
}
EXPIRING: dict[str, Any] = {"error_code": "PERMISSION_DENIED", "message": "Token is expiring within 30 seconds."}


def refuse(workspace: SimulatedWorkspace, *, times: int | None = 1, **answer: Any) -> None:
    workspace.add_fault("status", route=UPDATES, times=times, **answer)


def tokens_issued(workspace: SimulatedWorkspace) -> int:
    return workspace.tokens_issued()[DATABRICKS_RESOURCE]


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 403, **EXPIRING},
        {"status": 400, **JWT},
        {"status": 400, "body": "Invalid Token", "content_type": "text/plain"},
        {"status": 400, "body": "<html>Bad Request</html>", "content_type": "text/html"},
        {"status": 401},
    ],
    ids=lambda answer: f"{answer['status']} {answer.get('message', answer.get('body', ''))[:20]}",
)
def test_a_token_that_worked_is_renewed_each_time_it_is_refused(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, answer: dict[str, Any]
) -> None:
    client = rig.ws.databricks.client(Deadline.after(rig.clock, 60))
    client.fetch_updates_page(workspace.add_pipeline())
    for _ in range(3):
        before = tokens_issued(workspace)
        refuse(workspace, **answer)
        assert client.fetch_updates_page(workspace.add_pipeline()).updates == ()
        assert tokens_issued(workspace) == before + 1
        clock.pass_time(seconds=10)


def test_a_start_goes_through_with_a_new_token(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    rig.start(workspace.add_pipeline())
    for _ in range(2):
        pipeline_id = workspace.add_pipeline()
        refuse(workspace, status=403, **EXPIRING)
        run_id = rig.start(pipeline_id).run.run_id
        assert [update.update_id for update in workspace.updates_of(pipeline_id)] == [run_id.update_id]
        clock.pass_time(seconds=5)


@pytest.mark.parametrize("answer", [{"status": 403, **EXPIRING}, {"status": 400, **JWT}], ids=["403", "400"])
def test_one_that_is_refused_for_good_costs_one_token_and_says_which_remedy(
    rig: Rig, workspace: SimulatedWorkspace, answer: dict[str, Any]
) -> None:
    client = rig.ws.databricks.client(Deadline.after(rig.clock, 60))
    refuse(workspace, times=None, **answer)
    for _ in range(3):
        with pytest.raises(PermissionRefused, match="wrong tenant or for the wrong audience"):
            client.fetch_updates_page("p")
    assert tokens_issued(workspace) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            {"status": 302, "headers": {"Location": "/login.html?error=private-link-validation-error:1"}, "body": ""},
            DatabricksNetworkRefused,
        ),
        (
            {"status": 403, "error_code": 403, "message": "Source IP address: 1.2.3.4 is blocked by Databricks IP ACL"},
            DatabricksNetworkRefused,
        ),
        ({"status": 403, "body": "Invalid access to Org: 1"}, DatabricksNetworkRefused),
        ({"status": 200, "body": "<html><title>Sign In</title></html>"}, DatabricksSignInPage),
        ({"status": 302, "headers": {"Location": "/login.html"}, "body": ""}, DatabricksSignInPage),
        ({"status": 404, "body": json.dumps({"error": "Bad Target: /api/2.0/x"})}, DatabricksError),
    ],
)
def test_a_refusal_that_no_token_can_change_costs_no_token(
    rig: Rig, workspace: SimulatedWorkspace, answer: dict[str, Any], error: type[DatabricksError]
) -> None:
    client = rig.ws.databricks.client(Deadline.after(rig.clock, 60))
    refuse(workspace, times=None, **answer)
    with pytest.raises(DatabricksError) as caught:
        client.fetch_updates_page("p")
    assert type(caught.value) is error
    assert tokens_issued(workspace) == 1
