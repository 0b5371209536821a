"""How the tests serve and call the app: its folder, its environment, its callers, requests and responses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
import requests

from local.entra import SimulatedEntra
from local.host import LocalHost, load_functions
from local.host.functions import Functions
from local.workspace import SimulatedWorkspace
from polysync_core import services
from polysync_core.rules.wire.entra_settings import ENTRA, KEYS
from tests.functions.documented import check_documented

ROOT = Path(__file__).parents[2]
KEY = "key-of-the-tests"
JSON = {"Content-Type": "application/json"}
MODES = (KEYS, ENTRA)
"""The values of POLYSYNC_CALLERS. With `keys`, the host lets callers in. With `entra`, the app does."""
UNKNOWN_WORKSPACE = {KEYS: (400, "InvalidRequest"), ENTRA: (404, "WorkspaceNotFound")}
"""Status and code for a request that names an unknown workspace. Who has signed in may not learn which ones exist."""
only_with_keys = pytest.mark.parametrize("mode", [KEYS], indirect=True)
"""Marks a test that uses `serve` or `app` and would show nothing more where callers sign in."""
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
class Credential:
    """What lets the tests in, in one mode: headers, and the caller as a run document shows it (`startedBy`)."""

    mode: str
    headers: Mapping[str, str]
    caller: object
    logged: str
    """The caller as the log names it."""


WITH_KEY = Credential(mode=KEYS, headers={"x-functions-key": KEY}, caller="key", logged="key")


def signed_in(entra: SimulatedEntra) -> Credential:
    """The token of an application that may do everything."""
    ids = {"objectId": "5e3d1a70-0000-4000-8000-0000000000aa", "applicationId": "5e3d1a70-0000-4000-8000-0000000000bb"}
    token = entra.issue(["Polysync.Admin"], object_id=ids["objectId"], client_id=ids["applicationId"])
    return Credential(
        mode=ENTRA,
        headers={"Authorization": f"Bearer {token}"},
        caller=ids,
        logged="object {objectId} of application {applicationId}".format(**ids),
    )


@dataclass(frozen=True, kw_only=True)
class ServedApp:
    """A served app, and the workspace that it uses. `name` is that workspace's name in the app's settings."""

    base_url: str
    name: str
    databricks: SimulatedWorkspace
    send: Send
    fire: Callable[[str], None]
    """Runs a timer function by name and waits for its end."""
    credential: Credential
    others: Mapping[str, SimulatedWorkspace] = field(default_factory=dict)
    """Further workspaces of the app, by name."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every request."""
        return self.credential.headers

    @property
    def workspaces(self) -> Mapping[str, SimulatedWorkspace]:
        """All workspaces of the app, by name."""
        return {self.name: self.databricks, **self.others}

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


def settings_of(
    tables: str, name: str, databricks: SimulatedWorkspace, others: Mapping[str, SimulatedWorkspace] | None = None
) -> dict[str, str]:
    """Return an environment with the workspace `databricks`, whose name in the settings is `name`, and `others`."""
    identity = databricks.environ()
    del identity["DATABRICKS_HOST"]
    urls = {each: {"url": workspace.url} for each, workspace in {name: databricks, **(others or {})}.items()}
    return identity | {"POLYSYNC_TABLES": tables, "POLYSYNC_WORKSPACES": json.dumps(urls)}


def functions_in(settings: Mapping[str, str]) -> Functions:
    """The app's functions as a host that starts with these settings finds them."""
    with environment(settings):
        namespace: dict[str, object] = {}
        exec(compile((ROOT / "function_app.py").read_text(), "function_app.py", "exec"), namespace)
        app = namespace["app"]
        assert isinstance(app, func.FunctionApp)
        return load_functions(app)


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
        response = requests.request(
            method, host.url + address, headers=dict(headers), data=body, timeout=30, allow_redirects=False
        )
        answer = answer_of(response.status_code, response.headers, response.content)
        check_documented(method, address, answer.status, answer.headers, answer.body)
        return answer

    return send


def answer_of(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Return a response without the headers of its connection."""
    own = {"server", "date", "content-length", "connection"}
    kept = {name.lower(): value for name, value in headers.items() if name.lower() not in own}
    return Answer(status=status, headers=kept, body=body)


@contextmanager
def hosted(settings: Mapping[str, str]) -> Iterator[LocalHost]:
    """Serve the app on local.host with exactly these settings. Routes that are not anonymous need KEY."""
    functions = functions_in(settings)
    with environment(settings), LocalHost(ROOT, functions=functions, key=KEY, timers=False) as host:
        yield host


@contextmanager
def served(
    tables: str, entra: SimulatedEntra | None = None, *, others: tuple[str, ...] = (), **settings: str
) -> Iterator[ServedApp]:
    """Serve the app on local.host, with a workspace of its own, and with `others` by their names.

    With `entra`, callers sign in there, and every request sends a token. Without it, every request sends KEY.
    """
    name = f"routes-{os.urandom(4).hex()}"
    with ExitStack() as stack:
        databricks = stack.enter_context(SimulatedWorkspace())
        more = {other: stack.enter_context(SimulatedWorkspace(issuer=databricks.issuer)) for other in others}
        sign_in = {} if entra is None else entra.environ()
        host = stack.enter_context(hosted(settings_of(tables, name, databricks, more) | sign_in | settings))
        yield ServedApp(
            base_url=host.url,
            name=name,
            databricks=databricks,
            send=send_to(host),
            fire=host.fire,
            credential=WITH_KEY if entra is None else signed_in(entra),
            others=more,
        )


Serve = Callable[..., AbstractContextManager[ServedApp]]
"""Serves the app with a workspace of its own. Takes settings of the app by their names."""
