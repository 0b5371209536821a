"""From keys to sign-in: two apps in both modes on one storage share their runs."""

from __future__ import annotations

import json
from pathlib import Path

import requests

from local.entra import SimulatedEntra
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions.roles import Role
from tests.chaos.host_process import HostProcess
from tests.functions.app import settings_of


def test_a_start_by_key_is_read_by_token_and_cancelled_by_it(azurite: str, tmp_path: Path) -> None:
    with SimulatedEntra() as entra, SimulatedWorkspace() as workspace:
        settings = settings_of(azurite, "finance", workspace)
        by_key = HostProcess(settings, tmp_path / "keys.log")
        by_token = HostProcess({**settings, **entra.environ()}, tmp_path / "entra.log")
        try:
            by_key.start()
            by_token.start()
            pipeline_id = workspace.add_pipeline()
            started = requests.post(f"{by_key.url}/api/pipelines/{pipeline_id}/updates", json={}, timeout=30)
            assert (started.status_code, started.json()["startedBy"]) == (202, "key")
            address = f"{by_token.url}/api/runs/{started.json()['runId']}"
            token = {"Authorization": f"Bearer {entra.issue([Role.OPERATE])}"}
            assert requests.get(address, timeout=30).status_code == 401
            assert requests.get(address, headers=token, timeout=30).json()["startedBy"] == "key"
            cancelled = requests.post(f"{address}/cancel", headers=token, timeout=30)
            assert cancelled.status_code == 202
            assert cancelled.json()["cancelledBy"]["objectId"]
            (listed,) = requests.get(f"{by_key.url}/api/runs", timeout=30).json()["items"]
            assert json.dumps(listed["cancelledBy"]) == json.dumps(cancelled.json()["cancelledBy"])
        finally:
            by_key.kill()
            by_token.kill()
