"""How the tests serve and call the app: its folder, its environment, requests and responses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from local.host import LocalHost
from local.workspace import SimulatedWorkspace
from polysync_core import services
from tests.functions.documented import check_documented

ROOT = Path(__file__).parents[2]
KEY = "key-of-the-tests"
JSON = {"Content-Type": "application/json"}
_SETTINGS = ("POLYSYNC_", "AzureWebJobsStorage", "DATABRICKS_", "IDENTITY_", "MSI_", "AZURE_", "WEBSITE_")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP response. Header names are in lower case, and headers of the connection are left out."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


Send = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""Takes method, address (path and query), headers and body. Returns the response."""


@dataclass(frozen=True, kw_only=True)
class ServedApp:
    """A served app, and the workspace that it uses. `name` is that workspace's name in the app's settings."""

    base_url: str
    name: str
    databricks: SimulatedWorkspace
    send: Send
    fire: Callable[[str], None]
    """Runs a timer function by name and waits for its end."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The headers of every request."""

    def get(self, address: str, **headers: str) -> Answer:
        return self.send("GET", address, {**self.headers, **headers}, b"")

    def post(self, address: str, body: object = None, **headers: str) -> Answer:
        """Send a POST. A `body` of bytes is sent as it is, any other as JSON. '_' in names of headers becomes '-'."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", address, {**JSON, **self.headers, **named}, content)

    def put(self, address: str, body: object) -> Answer:
        return self.send("PUT", address, {**JSON, **self.headers}, json.dumps(body).encode())

    def start(self, pipeline_id: str, body: object = None, **headers: str) -> Answer:
        return self.post(f"/api/pipelines/{pipeline_id}/updates", body, **headers)

    def run(self, pipeline_id: str) -> str:
        """Start a run, and return its address."""
        started = self.start(pipeline_id)
        assert started.status == 202, started
        return f"/api/runs/{started.json['runId']}"


def settings_of(tables: str, name: str, databricks: SimulatedWorkspace) -> dict[str, str]:
    """Return an environment with the one workspace `databricks`, whose name in the settings is `name`."""
    identity = databricks.environ()
    del identity["DATABRICKS_HOST"]
    return identity | {"POLYSYNC_TABLES": tables, "POLYSYNC_WORKSPACES": json.dumps({name: {"url": databricks.url}})}


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Give this process exactly these settings inside the block, and let the app read them again."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(_SETTINGS)]:
            patch.delenv(name)
        for name, value in settings.items():
            patch.setenv(name, value)
        services.forget()
        try:
            yield
        finally:
            services.forget()


def send_to(host: LocalHost) -> Send:
    """Return a function that sends a request and checks its response against the OpenAPI document."""

    def send(method: str, address: str, headers: Mapping[str, str], body: bytes) -> Answer:
        answer = requests.request(
            method, host.url + address, headers=dict(headers), data=body, timeout=30, allow_redirects=False
        )
        own = {"server", "date", "content-length", "connection"}
        kept = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in own}
        check_documented(method, address, answer.status_code, kept, answer.content)
        return Answer(status=answer.status_code, headers=kept, body=answer.content)

    return send


@contextmanager
def served(tables: str, **settings: str) -> Iterator[ServedApp]:
    """Serve the app on local.host, with a workspace of its own. The app needs KEY, and every request sends it."""
    name = f"routes-{os.urandom(4).hex()}"
    with (
        SimulatedWorkspace() as databricks,
        environment(settings_of(tables, name, databricks) | settings),
        LocalHost(ROOT, key=KEY, timers=False) as host,
    ):
        yield ServedApp(
            base_url=host.url,
            name=name,
            databricks=databricks,
            send=send_to(host),
            fire=host.fire,
            headers={"x-functions-key": KEY},
        )
