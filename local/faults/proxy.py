"""The server: a call comes in, the plan says what happens to it, the upstream gets it or not."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from local.faults.fault import Fault, FaultPlan
from local.faults.labels import plain_label

Label = Callable[[str, str, bytes], str]
_UPSTREAM_SECONDS = 120.0
_LOOK_SECONDS = 0.05
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """`headers` as they came, in order, without those of the connection itself."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class FaultProxy:
    """An HTTP/1.1 proxy before one upstream (`http://host:port`), served inside the `with` block; port 0: a free one.

    `name` is the upstream's name in the plan. `label` names a call from its method, target and body.
    """

    def __init__(
        self, upstream: str, plan: FaultPlan, *, name: str = "upstream", label: Label = plain_label, port: int = 0
    ) -> None:
        self._server = _Server(_Upstream(upstream), plan, name, label, port)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        port: int = self._server.server_address[1]
        return port

    def wait_until_idle(self, seconds: float = 10.0) -> None:
        """Returns when no call is under way any more, the late ones included. TimeoutError after `seconds`."""
        with self._server.idle:
            if not self._server.idle.wait_for(lambda: self._server.under_way == 0, seconds):
                raise TimeoutError(f"{self._server.under_way} calls are still under way")

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Upstream:
    """Where calls go on to: each over a connection of its own, so that a call is never sent twice."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in {"127.0.0.1", "localhost", "::1"} or parts.port is None:
            raise ValueError("the upstream is http://127.0.0.1:PORT: this proxy is for the loopback address only")
        self._host, self._port = parts.hostname, parts.port

    def execute(self, call: _Call) -> _Answer:
        """Raises OSError or HTTPException when the upstream gives no answer."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_UPSTREAM_SECONDS)
        with contextlib.closing(connection):
            connection.putrequest(call.method, call.target, skip_host=True, skip_accept_encoding=True)
            for name, value in call.headers:
                connection.putheader(name, value)
            connection.endheaders(call.body or None)
            response = connection.getresponse()
            return _Answer(
                status=response.status,
                reason=response.reason,
                headers=tuple((n, v) for n, v in response.getheaders() if n.lower() not in _HOP_BY_HOP),
                body=response.read(),
            )


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def __init__(self, upstream: _Upstream, plan: FaultPlan, name: str, label: Label, port: int) -> None:
        self.upstream, self.plan, self.name, self.label = upstream, plan, name, label
        self.closing = threading.Event()
        self.idle = threading.Condition()
        self.under_way = 0
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of the host's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that has gone is no error; anything else is a bug, printed by the base class."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        self.count(1)
        try:
            yield
        finally:
            self.count(-1)

    def count(self, change: int) -> None:
        with self.idle:
            self.under_way += change
            self.idle.notify_all()

    def execute_later(self, call: _Call, seconds: float) -> None:
        """Counts as under way from now on, so that nobody takes the proxy for idle before."""
        self.count(1)
        threading.Thread(target=self._execute_late, args=(call, seconds), daemon=True).start()

    def _execute_late(self, call: _Call, seconds: float) -> None:
        try:
            self.closing.wait(seconds)
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.upstream.execute(call)
        finally:
            self.count(-1)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def handle_any(self) -> None:
        with self.server.counted():
            self._serve()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_MERGE = handle_any  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the plan has the calls."""

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            self.close_connection = True
            self._send(_Answer(status=411, reason="Length Required", headers=(), body=b""))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True  # the caller has gone in the middle of it
            return
        call = _Call(method=self.command, target=self.path, headers=tuple(self.headers.items()), body=body)
        fault = self.server.plan.meet(self.server.name, self.server.label(call.method, call.target, call.body))
        try:
            answer = self._play(fault, call)
        except (OSError, http.client.HTTPException):
            answer = None
        if answer is None:
            self._reset()
        elif fault is not None and fault.kind == "half":
            self._send_half(answer)
        else:
            self._send(answer)

    def _play(self, fault: Fault | None, call: _Call) -> _Answer | None:
        """What the caller gets; None: a reset."""
        if fault is None:
            return self.server.upstream.execute(call)
        if fault.kind == "late":
            self.server.execute_later(call, fault.seconds)
            return None
        if fault.kind == "held":
            self.server.plan.hold(lambda: self.server.execute_later(call, 0.0))
            return None
        if fault.kind == "delay" and fault.when == "before":
            self.server.closing.wait(fault.seconds)
        answer = self.server.upstream.execute(call) if fault.executes else None
        if fault.kind == "delay" and fault.when == "after":
            self.server.closing.wait(fault.seconds)
        if fault.kind == "status":
            return _Answer(
                status=fault.status, reason="Fault", headers=tuple(fault.headers.items()), body=fault.body.encode()
            )
        if fault.kind == "hang":
            self._wait_for_the_caller(fault.seconds)
        return None if fault.kind in {"reset", "hang"} else answer

    def _wait_for_the_caller(self, seconds: float) -> None:
        """Until the caller has gone, `seconds` at the most."""
        for _ in range(int(seconds / _LOOK_SECONDS)):
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                return
            if self.server.closing.wait(_LOOK_SECONDS):
                return

    def _head(self, answer: _Answer) -> bytes:
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in answer.headers)]
        if answer.status not in {204, 304}:
            lines.append(f"Content-Length: {len(answer.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _send(self, answer: _Answer) -> None:
        self.wfile.write(self._head(answer))
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _send_half(self, answer: _Answer) -> None:
        """The head and half of the body; of an answer without a body half of the head."""
        self.close_connection = True
        head = self._head(answer)
        half = head + answer.body[: len(answer.body) // 2] if answer.body else head[: len(head) // 2]
        self.wfile.write(half)
        self.wfile.flush()

    def _reset(self) -> None:
        """SO_LINGER of 0 s: the kernel answers with RST as soon as the last file of the socket is closed."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
