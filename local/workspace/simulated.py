"""SimulatedWorkspace: a workspace, its control methods and its server, as one context manager."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from local.loopback import LoopbackServer, unused_host
from local.messages import Reply, Request
from local.workspace import control_routes, identity
from local.workspace.control import Control
from local.workspace.dispatch import Dispatcher, WorkspaceParts
from local.workspace.settings import WorkspaceSettings


class SimulatedWorkspace(Control):
    """A Databricks workspace on a loopback address, served inside the `with` block.

        with SimulatedWorkspace(pace_seconds=None) as workspace:
            pipeline_id = workspace.add_pipeline(name="orders")
            requests.get(f"{workspace.url}/api/2.0/pipelines/{pipeline_id}",
                         headers={"Authorization": f"Bearer {workspace.issue_token()}"})

    pace_seconds: see WorkspaceSettings. The other settings are set through `settings` or configure().
    host: a loopback address. By default the workspace gets one of its own.
    port: 0 takes a free port.
    now: returns epoch seconds for updates, events and the journal. A test may pass its own clock.
    token_now: the same for the age of tokens. Delays always use the real clock.
    issuer: that of another workspace, whose tokens this one accepts too, as the workspaces of one tenant do.
    """

    def __init__(
        self,
        pace_seconds: float | None = None,
        *,
        host: str | None = None,
        port: int = 0,
        now: Callable[[], float] = time.time,
        token_now: Callable[[], float] = time.time,
        issuer: identity.TokenIssuer | None = None,
    ) -> None:
        settings = WorkspaceSettings(pace_seconds=pace_seconds)
        issuer = issuer or identity.TokenIssuer(token_now)
        super().__init__(WorkspaceParts(now=now, settings=settings, issuer=issuer))
        self._dispatcher = Dispatcher(self._parts)
        self._host, self._port = host or unused_host(), port
        self._server: LoopbackServer | None = None

    def __enter__(self) -> Self:
        self._server = LoopbackServer(
            self._respond, host=self._host, port=self._port, closing=self._parts.closing
        ).start()
        self._port = self._server.port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def url(self) -> str:
        """The value for DATABRICKS_HOST, without a slash at its end."""
        return f"http://{self._host}:{self._port}"

    @property
    def issuer(self) -> identity.TokenIssuer:
        return self._parts.issuer

    @property
    def identity_endpoint(self) -> str:
        return f"{self.url}{identity.ROUTE}"

    @property
    def identity_header(self) -> str:
        return self._parts.issuer.identity_header

    def environ(self) -> dict[str, str]:
        """Return the environment with which the app and azure-identity use this workspace."""
        return {
            "DATABRICKS_HOST": self.url,
            "IDENTITY_ENDPOINT": self.identity_endpoint,
            "IDENTITY_HEADER": self.identity_header,
        }

    def _respond(self, request: Request) -> Reply:
        if request.path.startswith(control_routes.PREFIX):
            return control_routes.answer(self, request)
        return self._dispatcher.respond(request)
