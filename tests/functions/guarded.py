"""The app with two workspaces, whose callers sign in with Entra ID, and requests with tokens of any roles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from local.entra import SimulatedEntra
from local.host.functions import Functions, HttpTrigger
from local.workspace import SimulatedWorkspace
from tests.functions.app import Answer, Send, functions_in, hosted, send_to, settings_of

OPEN = {"await_run", "alive", "health", "openapi", "page", "page_file"}
"""The functions that answer everybody."""
PIPELINE = "pipeline-of-nobody"


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """The app with two workspaces, `finance` and `sales`, whose callers sign in at `entra`."""

    base_url: str
    entra: SimulatedEntra
    workspaces: Mapping[str, SimulatedWorkspace]
    functions: Functions
    send: Send

    def call(self, method: str, address: str, *roles: str, body: object = None, **headers: str) -> Answer:
        """Send a request with a token of these roles. Without any, the token names none."""
        token = self.entra.issue([*roles])
        return self.send(
            method,
            address,
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers},
            b"" if body is None else json.dumps(body).encode(),
        )

    def start(self, workspace: str, *roles: str, **headers: str) -> Answer:
        pipeline_id = self.workspaces[workspace].add_pipeline()
        address = f"/api/pipelines/{pipeline_id}/updates?workspace={workspace}"
        return self.call("POST", address, *roles, body={}, **headers)

    def routes(self) -> dict[str, tuple[str, str]]:
        return routes_of(self.functions)


def routes_of(functions: Functions) -> dict[str, tuple[str, str]]:
    """Method and address of each route, for a pipeline and a run that do not exist, by the function's name."""
    found = {}
    for function in functions:
        if isinstance(function.trigger, HttpTrigger):
            route = function.trigger.route.replace("{run_id}", f"{PIPELINE}:u1").replace("{pipeline_id}", PIPELINE)
            method = next(iter(sorted(function.trigger.methods)))
            route = route.replace("{name}", "full_refresh").replace("{file}", "app.js")
            found[function.name] = method, f"/api/{route}"
    return found


@contextmanager
def guarded(tables: str, **settings: str) -> Iterator[Guarded]:
    """Serve the app to callers that sign in at an Entra ID of its own."""
    with SimulatedEntra() as entra, SimulatedWorkspace() as first, SimulatedWorkspace(issuer=first.issuer) as second:
        environ = settings_of(tables, "finance", first, {"sales": second}) | entra.environ() | settings
        with hosted(environ) as host:
            yield Guarded(
                base_url=host.url,
                entra=entra,
                workspaces={"finance": first, "sales": second},
                functions=functions_in(environ),
                send=send_to(host),
            )
