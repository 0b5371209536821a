"""The simulated workspace's tokens, and the identity endpoint that issues them."""

from __future__ import annotations

import time

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

from local.workspace import (
    DATABRICKS_RESOURCE,
    MANAGEMENT_RESOURCE,
    SimulatedWorkspace,
)
from tests.local.workspace.raw_http import Caller, SimulatedTime, refusal


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer dapi0123456789", "Basic dXNlcjpwYXNz", "Bearer {management}", "{own}"]
)
def test_a_call_without_a_token_of_its_own_is_401(workspace: SimulatedWorkspace, header: str | None) -> None:
    tokens = {"management": workspace.issue_token(resource=MANAGEMENT_RESOURCE), "own": workspace.issue_token()}
    headers = {} if header is None else {"Authorization": header.format(**tokens)}
    answer = requests.get(f"{workspace.url}/api/2.0/pipelines", headers=headers, timeout=10)
    assert refusal(answer) == (401, "UNAUTHENTICATED")


def test_a_token_is_refused_from_its_last_30_seconds_on(workspace: SimulatedWorkspace, call: Caller) -> None:
    assert call("GET", "/pipelines", headers=_bearer(workspace.issue_token(32))).status_code == 200
    late = call("GET", "/pipelines", headers=_bearer(workspace.issue_token(30)))
    assert (late.status_code, late.json()["message"]) == (403, "Token is expiring within 30 seconds")
    assert refusal(call("GET", "/pipelines", headers=_bearer(workspace.issue_token(0)))) == (401, "UNAUTHENTICATED")


def test_tokens_may_age_by_a_time_of_the_tests_own(now: SimulatedTime, monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatedWorkspace(token_now=now) as workspace:
        _set_environment(workspace, monkeypatch)
        with ManagedIdentityCredential() as credential:
            token = credential.get_token(f"{DATABRICKS_RESOURCE}/.default")
        assert 3590 <= token.expires_on - time.time() <= 3600
        url = f"{workspace.url}/api/2.0/pipelines"
        assert requests.get(url, headers=_bearer(token.token), timeout=10).status_code == 200
        now.epoch_seconds += 3600
        assert requests.get(url, headers=_bearer(token.token), timeout=10).status_code == 401


def test_revoked_tokens_are_401_or_403_in_html(workspace: SimulatedWorkspace, call: Caller) -> None:
    workspace.revoke_tokens()
    assert refusal(call("GET", "/pipelines")) == (401, "UNAUTHENTICATED")
    workspace.revoke_tokens(as_html_403=True)
    answer = call("GET", "/pipelines")
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/html;charset=utf-8")
    assert "Invalid access token" in answer.text
    assert call("GET", "/pipelines", headers=_bearer(workspace.issue_token())).status_code == 200


def test_a_workspace_may_ask_for_its_resource_id_and_a_management_token(
    workspace: SimulatedWorkspace, call: Caller
) -> None:
    resource_id = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Databricks/workspaces/w"
    workspace.configure(required_resource_id=resource_id)
    right = {
        "X-Databricks-Azure-Workspace-Resource-Id": resource_id,
        "X-Databricks-Azure-SP-Management-Token": workspace.issue_token(resource=MANAGEMENT_RESOURCE),
    }
    assert call("GET", "/pipelines", headers=right).status_code == 200
    for name, wrong in [(name, wrong) for name in right for wrong in ("other", workspace.issue_token(), None)]:
        assert call("GET", "/pipelines", headers={**right, name: wrong}).status_code == 403


@pytest.mark.parametrize(
    ("scope", "resource"),
    [
        (f"{DATABRICKS_RESOURCE}/.default", DATABRICKS_RESOURCE),
        ("https://management.core.windows.net/.default", MANAGEMENT_RESOURCE),
        ("https://management.core.windows.net//.default", MANAGEMENT_RESOURCE),
    ],
)
def test_azure_identity_gets_its_tokens_here(
    workspace: SimulatedWorkspace, monkeypatch: pytest.MonkeyPatch, scope: str, resource: str
) -> None:
    _set_environment(workspace, monkeypatch)
    workspace.configure(token_seconds=1800)
    with ManagedIdentityCredential(client_id="my-identity") as credential:
        token = credential.get_token(scope)
    assert 1790 <= token.expires_on - time.time() <= 1800
    assert {name: count for name, count in workspace.tokens_issued().items() if count} == {resource: 1}
    [asked] = workspace.identity_calls()
    assert (asked.resource.rstrip("/"), asked.client_id, asked.status) == (resource.rstrip("/"), "my-identity", 200)
    assert workspace.calls() == []
    answer = requests.get(f"{workspace.url}/api/2.0/pipelines", headers=_bearer(token.token), timeout=10)
    assert answer.status_code == (200 if resource == DATABRICKS_RESOURCE else 401)


def test_azure_identity_fetches_a_new_token_when_the_old_one_ends_soon(
    workspace: SimulatedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_environment(workspace, monkeypatch)
    with ManagedIdentityCredential() as credential:
        for seconds, count in [(3600, 1), (3600, 1)]:
            workspace.configure(token_seconds=seconds)
            credential.get_token(f"{DATABRICKS_RESOURCE}/.default")
            assert workspace.tokens_issued()[DATABRICKS_RESOURCE] == count
    workspace.configure(token_seconds=60)
    with ManagedIdentityCredential() as credential:
        tokens = {credential.get_token(f"{DATABRICKS_RESOURCE}/.default").token for _ in range(2)}
    assert len(tokens) == 2


def test_azure_identity_is_refused_what_was_not_granted(
    workspace: SimulatedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_environment(workspace, monkeypatch)
    refused = (CredentialUnavailableError, ClientAuthenticationError)
    with ManagedIdentityCredential() as credential, pytest.raises(refused):
        credential.get_token("https://storage.azure.com/.default")
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    with ManagedIdentityCredential() as credential, pytest.raises(refused):
        credential.get_token(f"{DATABRICKS_RESOURCE}/.default")
    assert sum(workspace.tokens_issued().values()) == 0
    assert [asked.status for asked in workspace.identity_calls()] == [400, 401]


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _set_environment(workspace: SimulatedWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in workspace.environ().items():
        monkeypatch.setenv(name, value)
