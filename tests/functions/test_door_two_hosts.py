"""From keys to sign-in: two apps in both modes on one storage share their runs, and either one sweeps them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from local.entra import SimulatedEntra
from local.host.__main__ import KEY_SETTING
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions.roles import Role
from tests.chaos.host_process import HostProcess
from tests.functions.app import KEY, settings_of

_SWEPT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class App:
    """One of the two apps, and the credential that opens it."""

    host: HostProcess
    credential: Mapping[str, str]

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """Send a request with the app's own credential, or with other headers."""
        body: dict[str, object] | None = {} if method == "POST" else None
        sent = self.credential if headers is None else headers
        return requests.request(method, f"{self.host.url}/api/{path}", headers=dict(sent), json=body, timeout=30)

    def start_run(self, workspace: SimulatedWorkspace) -> dict[str, Any]:
        started = self.ask("POST", f"pipelines/{workspace.add_pipeline()}/updates")
        assert started.status_code == 202, started.text
        document: dict[str, Any] = started.json()
        return document

    def wait_until_swept(self, run_id: str) -> dict[str, Any]:
        """The finished run. The list shows what is stored, so only a sweep can have finished it."""
        give_up_at = time.monotonic() + _SWEPT_SECONDS
        while time.monotonic() < give_up_at:
            for run in self.ask("GET", "runs").json()["items"]:
                if run["runId"] == run_id and run["isFinished"]:
                    return dict(run)
            time.sleep(0.2)
        raise AssertionError(f"nobody swept {run_id}")


@dataclass(frozen=True, kw_only=True)
class Apps:
    by_key: App
    by_token: App
    workspace: SimulatedWorkspace


@pytest.fixture
def apps(azurite: str, tmp_path: Path) -> Iterator[Apps]:
    with SimulatedEntra() as entra, SimulatedWorkspace(pace_seconds=None) as workspace:
        settings = settings_of(azurite, "finance", workspace) | {"POLYSYNC_SWEEP_SCHEDULE": "* * * * * *"}
        keys = HostProcess(settings | {KEY_SETTING: KEY}, tmp_path / "keys.log", asks_for_key=True)
        tokens = HostProcess(settings | entra.environ() | {KEY_SETTING: KEY}, tmp_path / "entra.log", asks_for_key=True)
        try:
            keys.start()
            tokens.start()
            yield Apps(
                by_key=App(host=keys, credential={"x-functions-key": KEY}),
                by_token=App(host=tokens, credential={"Authorization": f"Bearer {entra.issue([Role.OPERATE])}"}),
                workspace=workspace,
            )
        finally:
            keys.kill()
            tokens.kill()


def test_a_run_of_either_app_is_read_and_cancelled_by_the_other_and_no_credential_opens_both(apps: Apps) -> None:
    for first, second in ((apps.by_key, apps.by_token), (apps.by_token, apps.by_key)):
        started = first.start_run(apps.workspace)
        address = f"runs/{started['runId']}"
        assert second.ask("GET", address, first.credential).status_code == 401
        assert second.ask("GET", address, {}).status_code == 401
        assert second.ask("GET", address).json()["startedBy"] == started["startedBy"]
        cancelled = second.ask("POST", f"{address}/cancel")
        assert cancelled.status_code == 202, cancelled.text
        starter, stopper = started["startedBy"], cancelled.json()["cancelledBy"]
        assert sorted(map(type, (starter, stopper)), key=str) == [dict, str], "one is a key, and one a caller"
        (listed,) = [run for run in first.ask("GET", "runs").json()["items"] if run["runId"] == started["runId"]]
        assert (listed["startedBy"], listed["cancelledBy"]) == (starter, stopper)


def test_either_app_sweeps_the_runs_of_the_other(apps: Apps) -> None:
    for first, second in ((apps.by_key, apps.by_token), (apps.by_token, apps.by_key)):
        started = first.start_run(apps.workspace)
        first.host.kill()
        apps.workspace.set_state(started["pipelineId"], None, "COMPLETED")
        swept = second.wait_until_swept(started["runId"])
        first.host.start()
        read = first.ask("GET", f"runs/{started['runId']}").json()
        assert (read["status"], read["finishedAt"]) == ("Success", swept["finishedAt"]), "one end, for both"
