"""A receiver of callbacks on the loopback address, with or without TLS. A test sets its responses."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from local.loopback import LoopbackServer
from local.messages import Reply, Request


@dataclass(kw_only=True)
class Receiver:
    """A receiver that is served inside the `with` block. `deliveries` are the requests that it got.

    It responds with `status` and `headers`. `before` runs before each response. If `answer` is given, it writes raw
    bytes to the open socket instead. With `port` 0 it takes a free port.
    """

    port: int = 0
    tls: ssl.SSLContext | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    before: Callable[[Request], object] = lambda _: None
    answer: Callable[[socket.socket], None] | None = None
    deliveries: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = LoopbackServer(self._respond, port=self.port, tls=self.tls).start()
        self.port = self._server.port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    @property
    def host(self) -> str:
        return self._server.authority

    def url(self, rest: str = "/hook?sig=a-credential") -> str:
        return f"{self._server.url}{rest}"

    def _respond(self, request: Request) -> Reply:
        self.deliveries.append(request)
        self.before(request)
        return Reply(status=self.status, headers=self.headers, play=self.answer)
