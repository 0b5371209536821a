"""The proxy: it receives a call, asks the plan for a fault, and passes the call on to the upstream or does not."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from local.fault import FaultPlan
from local.faults.labels import plain_label
from local.loopback import LoopbackServer
from local.messages import RESET, Reply, Request

Label = Callable[[str, str, bytes], str]
_UPSTREAM_SECONDS = 120.0
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class FaultProxy:
    """An HTTP/1.1 proxy before one upstream (`http://host:port`), served inside the `with` block.

    `name` is the upstream's name in the plan. `label` names a call from its method, target and body. With `port` 0 it
    takes a free port. Raises ValueError when the upstream is not on a loopback address.
    """

    def __init__(
        self, upstream: str, plan: FaultPlan, *, name: str = "upstream", label: Label = plain_label, port: int = 0
    ) -> None:
        parts = urlsplit(upstream)
        if parts.scheme != "http" or parts.hostname is None or parts.port is None or not _is_loopback(parts.hostname):
            raise ValueError("the upstream is http://127.0.0.1:PORT: this proxy is for the loopback address only")
        self._upstream = (parts.hostname, parts.port)
        self._plan, self._name, self._label = plan, name, label
        self._server = LoopbackServer(self._respond, port=port)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return self._server.url

    @property
    def port(self) -> int:
        return self._server.port

    def another_address(self) -> str:
        """Open one more address of this proxy and return it as host:port.

        It replaces the address of the last call.
        """
        return self._server.another_address()

    def wait_until_idle(self, seconds: float = 10.0) -> None:
        """Wait until no call is in flight, late calls included. Raises TimeoutError after `seconds`."""
        if not self._server.in_flight.wait_until_idle(seconds):
            raise TimeoutError(f"{self._server.in_flight.count} calls are still under way")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    def _respond(self, request: Request) -> Reply:
        fault = self._plan.meet(self._name, self._label(request.method, request.target, request.body))
        if fault is None:
            return self._execute(request) or RESET
        if fault.kind == "late":
            self._execute_later(request, fault.seconds)
        elif fault.kind == "held":
            self._plan.hold(lambda: self._execute_later(request, 0.0))
        fault.wait_before(self._server.closing)
        executes_now = fault.executes and fault.kind not in {"late", "held"}
        true_reply = self._execute(request) if executes_now else None
        if executes_now and true_reply is None:
            return RESET
        fault.wait_after(request, self._server.closing)
        return fault.reply(true_reply)

    def _execute(self, request: Request) -> Reply | None:
        """The upstream's reply, or None when there is none. A new connection is used, so that no call is sent twice."""
        connection = http.client.HTTPConnection(*self._upstream, timeout=_UPSTREAM_SECONDS)
        try:
            with contextlib.closing(connection):
                connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
                for name, value in request.pairs:
                    connection.putheader(name, value)
                connection.endheaders(request.body or None)
                response = connection.getresponse()
                return Reply(
                    status=response.status,
                    reason=response.reason,
                    headers=tuple((n, v) for n, v in response.getheaders() if n.lower() not in _OF_THE_CONNECTION),
                    body=response.read(),
                )
        except (OSError, http.client.HTTPException):
            return None

    def _execute_later(self, request: Request, seconds: float) -> None:
        """Execute the call after `seconds`. It counts as in flight at once, so the proxy does not look idle before."""
        self._server.in_flight.begin()

        def execute() -> None:
            try:
                self._server.closing.wait(seconds)
                self._execute(request)
            finally:
                self._server.in_flight.end()

        threading.Thread(target=execute, daemon=True).start()


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")
