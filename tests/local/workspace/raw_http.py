"""A caller that sends raw HTTP to the simulated workspace, and the clock of its tests."""

from __future__ import annotations

from typing import Any

import requests

from local.workspace import SimulatedWorkspace

START_AT = 1_790_000_000.0


class SimulatedTime:
    def __init__(self) -> None:
        self.epoch_seconds = START_AT

    def __call__(self) -> float:
        return self.epoch_seconds


class Caller:
    """Sends raw HTTP with a valid token."""

    def __init__(self, workspace: SimulatedWorkspace) -> None:
        self.workspace = workspace
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = workspace.issue_token()

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        url = f"{self.workspace.url}/api/2.0{path}"
        return self.session.request(method, url, headers=headers, timeout=options.pop("timeout", 10), **options)

    def start(self, pipeline_id: str, body: dict[str, Any] | None = None) -> str:
        answer = self("POST", f"/pipelines/{pipeline_id}/updates", json=body or {})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["update_id"])

    def state(self, pipeline_id: str, update_id: str) -> str:
        return str(self("GET", f"/pipelines/{pipeline_id}/updates/{update_id}").json()["update"]["state"])


def refusal(answer: requests.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()["error_code"]
