"""A receiver of callbacks on the loopback address, with or without TLS, that answers as a test tells it to."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One request that came: header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content


@dataclass(kw_only=True)
class Receiver:
    """Served inside the `with` block. `status` and `headers` are what it answers; `before` runs before each answer.

    `answer` sends raw bytes instead, on the open socket. `port` 0: a free one is chosen.
    """

    port: int = 0
    tls: ssl.SSLContext | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    before: Callable[[Delivery], object] = lambda _: None
    answer: Callable[[socket.socket], None] | None = None
    deliveries: list[Delivery] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, rest: str = "/hook?sig=a-credential") -> str:
        return f"{'http' if self.tls is None else 'https'}://{self.host}{rest}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        super().__init__(("127.0.0.1", receiver.port), _Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of the host's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that breaks off, or refuses our certificate, is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        tls = self.server.receiver.tls
        if tls is not None:
            self.request = tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def do_POST(self) -> None:
        receiver = self.server.receiver
        delivery = Delivery(
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length", "0"))),
        )
        receiver.deliveries.append(delivery)
        receiver.before(delivery)
        if receiver.answer is not None:
            receiver.answer(self.connection)
            return
        self.send_response(receiver.status)
        for name, value in receiver.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: `deliveries` has it."""
