"""SimulatedEntra: the issuer and its server, as one context manager."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from local.entra import control_routes
from local.entra.claims import AUDIENCE, PAGE_CLIENT, TENANT
from local.entra.registrations import DEFAULT_REDIRECTS
from local.entra.sign_in import SignInIssuer
from local.loopback import LoopbackServer, unused_host
from local.messages import Reply, Request

PORT = 8462
"""Where `python -m local.entra` serves."""


class SimulatedEntra(SignInIssuer):
    """A tenant of Entra ID on a loopback address, served inside the `with` block.

        with SimulatedEntra() as entra:
            requests.get(f"{app}/api/runs", headers={"Authorization": f"Bearer {entra.issue(['Polysync.Read'])}"})

    host: a loopback address. By default the issuer gets one of its own.
    port: 0 takes a free port.
    redirects: the addresses of the page that are registered from the start.
    now: returns epoch seconds for the times in tokens. Delays always use the real clock.
    """

    def __init__(
        self,
        *,
        host: str | None = None,
        port: int = 0,
        tenant: str = TENANT,
        audience: str = AUDIENCE,
        redirects: Sequence[str] = DEFAULT_REDIRECTS,
        now: Callable[[], float] = time.time,
    ) -> None:
        closing = threading.Event()
        super().__init__(redirects=redirects, tenant=tenant, audience=audience, now=now, closing=closing)
        self._server = LoopbackServer(self._respond, host=host or unused_host(), port=port, closing=closing)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        """The value for POLYSYNC_ENTRA_AUTHORITY, without a slash at its end."""
        return self._server.url

    def environ(self) -> dict[str, str]:
        """Return the settings of an app whose callers sign in here."""
        return {
            "POLYSYNC_CALLERS": "entra",
            "POLYSYNC_ENTRA_TENANT": self.tenant,
            "POLYSYNC_ENTRA_AUDIENCE": self.audience,
            "POLYSYNC_ENTRA_AUTHORITY": self.url,
            "POLYSYNC_ENTRA_PAGE_CLIENT": PAGE_CLIENT,
        }

    def _respond(self, request: Request) -> Reply:
        if request.path.startswith(control_routes.PREFIX):
            return control_routes.answer(self, request)
        return self.answer(request)
