"""One HTTP/1.1 server on a loopback address, for every stand-in and test.

It is built on http.server. Faults need to reset a connection or to send half a response, and werkzeug's server can do
neither.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from local.in_flight import InFlight
from local.messages import Reply, Request

BODY_LIMIT_BYTES = 100 * 1024 * 1024
TRICKLE_PIECES = 20
_DISCARD_SECONDS = 2.0


def unused_host() -> str:
    """Return a random loopback address for one server.

    Storage partitions are named after addresses, so no two servers may share an address. Only Linux answers on all of
    127.0.0.0/8 without set-up. Elsewhere the result is 127.0.0.1.
    """
    if sys.platform != "linux":
        return "127.0.0.1"
    return f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"


class LoopbackServer:
    """Answers every request with `respond(request)` inside the `with` block. Each connection has a thread of its own.

    `host` is any loopback address. With `port` 0 it takes any free port. Raises OSError for a port that is taken.
    """

    def __init__(
        self,
        respond: Callable[[Request], Reply],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        closing: threading.Event | None = None,
    ) -> None:
        self.closing = closing or threading.Event()
        self.in_flight = InFlight()
        self._respond = respond
        self._server = _Server(self, respond, (host, port), tls)
        self.host, self.port = host, int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._other: LoopbackServer | None = None

    @property
    def authority(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._server.tls else 'http'}://{self.authority}"

    def start(self) -> Self:
        self._thread.start()
        return self

    def another_address(self) -> str:
        """Open one more address that is served in the same way, and return it as host:port.

        It replaces the address of the last call.
        """
        if self._other is not None:
            self._other.stop_accepting()
        self._other = LoopbackServer(self._respond, host=unused_host(), closing=self.closing).start()
        return self._other.authority

    def stop_accepting(self) -> None:
        """Accept no new connection, and no further request on an open connection."""
        self._server.is_stopping = True
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def end_connections(self) -> None:
        self._server.end_connections()

    def close(self) -> None:
        """Stop accepting, wake all waits for `closing`, and end the open connections."""
        self.closing.set()
        if self._other is not None:
            self._other.close()
        self.stop_accepting()
        self.end_connections()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def __init__(
        self,
        owner: LoopbackServer,
        respond: Callable[[Request], Reply],
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.owner, self.respond, self.tls = owner, respond, tls
        self.is_stopping = False
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host's name, because that look-up asks DNS."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is not an error. Anything else is a bug, and the base class prints it."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "loopback", ""
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        if self.server.tls is not None:
            self.request.close()

    def __getattr__(self, name: str) -> Callable[[], None]:
        """http.server looks for do_GET, do_MERGE and so on. Every method is served."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        with self.server.owner.in_flight.work():
            try:
                request = self._read_request()
            except _Refused as refused:
                self.close_connection = True
                self._write(Reply(status=refused.status))
                self._discard_the_rest()
                return
            self._write(self.server.respond(request))

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()  # the client waits for this before it sends the body
        return True

    def send_error(self, code: int, *_: str | None, **__: str | None) -> None:
        """Send an empty body for a request that http.server itself refuses."""
        self.close_connection = True
        self._write(Reply(status=code))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing, because http.server would log the query string."""

    def _read_request(self) -> Request:
        try:
            pairs = tuple((name, value.encode("latin-1").decode()) for name, value in self.headers.items())
        except UnicodeError:
            raise _Refused(400) from None
        return Request(
            method=self.command, target=self.path, pairs=pairs, body=self._read_body(), connection=self.connection
        )

    def _read_body(self) -> bytes:
        length, encoding = self.headers.get("content-length", "0"), self.headers.get("transfer-encoding")
        if encoding is not None and encoding.strip().lower() == "chunked":
            return self._read_chunks()
        if encoding is not None or not (length.isascii() and length.isdigit()):
            raise _Refused(400)
        if int(length) > BODY_LIMIT_BYTES:
            raise _Refused(413)
        return self._read_exactly(int(length))

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = self.rfile.readline(1024).split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
                raise _Refused(400)
            if len(body) + int(size, 16) > BODY_LIMIT_BYTES:
                raise _Refused(413)
            if int(size, 16) == 0:
                break
            body += self._read_exactly(int(size, 16))
            if self.rfile.readline(3).strip():
                raise _Refused(400)
        while self.rfile.readline(65_536).strip():
            pass  # trailers
        return bytes(body)

    def _read_exactly(self, size: int) -> bytes:
        content = self.rfile.read(size)
        if len(content) < size:
            raise ConnectionAbortedError  # the caller closed the connection before the end of the body
        return content

    def _discard_the_rest(self) -> None:
        """Read and discard what the client still sends, until nothing comes for 2 seconds.

        Closing at once would reset the connection before the client has read the response.
        """
        self.wfile.flush()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DISCARD_SECONDS)
            while self.connection.recv(1 << 20):
                pass

    def _write(self, reply: Reply) -> None:
        self.close_connection = self.close_connection or self.server.is_stopping or reply.manner != "whole"
        if reply.play is not None:
            self.close_connection = True
            reply.play(self.connection)
        elif reply.manner == "reset":
            self._reset()
        else:
            head, body = self._head(reply), b"" if self.command == "HEAD" or _is_bare(reply) else reply.body
            if reply.manner == "half":
                self.wfile.write(head + body[: len(body) // 2] if body else head[: len(head) // 2])
            elif reply.manner == "trickle":
                self._trickle(head, body, reply.seconds)
            else:
                self.wfile.write(head + body)
            self.wfile.flush()

    def _head(self, reply: Reply) -> bytes:
        reason = reply.reason if reply.reason is not None else self.responses.get(reply.status, ("",))[0]
        own = (("Server", self.server_version), ("Date", self.date_time_string()))
        pairs = [*own, *reply.pairs, *(() if _is_bare(reply) else (("Content-Length", str(len(reply.body))),))]
        if self.close_connection and reply.manner != "trickle":
            pairs.append(("Connection", "close"))
        lines = [f"HTTP/1.1 {int(reply.status)} {reason}", *(f"{name}: {value}" for name, value in pairs), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _trickle(self, head: bytes, body: bytes, seconds: float) -> None:
        self.wfile.write(head)
        size = max(len(body) // TRICKLE_PIECES, 1)
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        for piece in pieces:
            self.wfile.flush()
            self.server.owner.closing.wait(seconds / len(pieces))
            self.wfile.write(piece)

    def _reset(self) -> None:
        """Reset the connection. With SO_LINGER of 0 s, the kernel sends RST when the socket's last file is closed."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


def _is_bare(reply: Reply) -> bool:
    """Whether a response with this status has neither a body nor a Content-Length."""
    return reply.status in {204, 304}
