"""Responses of the identity endpoint without a token: they are errors of Entra ID or of storage, never bugs."""

from __future__ import annotations

import pytest

from local.rig import Rig
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.storage.tables import Table, storage_deadline
from polysync_core.services import RUNS_TABLE
from polysync_core.values.databricks_errors import TokenUnavailable
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import StorageUnavailable
from polysync_core.values.workspace import TablesAddress

BODIES = [
    "[]",
    "null",
    "5",
    "<html>Gateway</html>",
    '{"access_token": "a"}',
    '{"access_token": "a", "expires_on": null, "resource": "r", "token_type": "Bearer"}',
    '{"access_token": "a", "expires_on": "soon", "resource": "r", "token_type": "Bearer"}',
    '{"access_token": null, "expires_on": [], "resource": "r", "token_type": "Bearer"}',
]


@pytest.fixture(params=BODIES)
def _odd_answers(request: pytest.FixtureRequest, workspace: SimulatedWorkspace) -> None:
    workspace.add_fault("garbage", route="/msi/token", times=None, status=200, body=request.param)


@pytest.mark.usefixtures("_odd_answers")
def test_databricks_is_not_called_without_a_token(rig: Rig) -> None:
    with pytest.raises(TokenUnavailable):
        rig.services.tokens.token()


@pytest.mark.usefixtures("_odd_answers")
def test_storage_that_the_identity_opens_is_unavailable_then(rig: Rig) -> None:
    address = TablesAddress(endpoint="https://127.0.0.1:9/nobody")
    rows = Table(address, RUNS_TABLE, lambda: rig.services.tokens.credential).partition(rig.name)
    with pytest.raises(StorageUnavailable), storage_deadline(Deadline.after(Clock(), 2)):
        rows.get("key")
