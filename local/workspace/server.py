"""The HTTP server on the loopback address: requests in, outcomes out, connections broken when a fault says so."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.workspace.dispatch import Outcome
from local.workspace.wire import Reply, Request, malformed

TRICKLE_PIECES = 20


class LoopbackServer:
    """Serves `respond` on 127.0.0.1 from threads of its own until close(). `port` 0: a free one is chosen."""

    def __init__(self, respond: Callable[[Request], Outcome], closing: threading.Event, *, port: int) -> None:
        self._closing = closing
        self._server = _Server(respond, closing, port)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops accepting, wakes whoever waits in a fault, and ends the open connections."""
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.end_connections()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def __init__(self, respond: Callable[[Request], Outcome], closing: threading.Event, port: int) -> None:
        self.respond = respond
        self.closing = closing
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of the host's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        with self._connections_lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that has gone is no error; anything else is a bug, printed by the base class."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def handle_any(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            self.close_connection = True
            self._send(malformed("A Content-Length is needed.").reply())
            return
        request = Request.parse(self.command, self.path, dict(self.headers.items()), self.rfile.read(int(length)))
        outcome = self.server.respond(request)
        if outcome.reply is None:
            self._reset()
        elif outcome.manner == "half":
            self.close_connection = True
            self._send_headers(outcome.reply)
            self.wfile.write(outcome.reply.body[: len(outcome.reply.body) // 2])
        elif outcome.manner == "trickle":
            self._trickle(outcome.reply, outcome.seconds)
        else:
            self._send(outcome.reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the journal has it."""

    def _send(self, reply: Reply) -> None:
        self._send_headers(reply)
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _send_headers(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _trickle(self, reply: Reply, seconds: float) -> None:
        self._send_headers(reply)
        size = max(len(reply.body) // TRICKLE_PIECES, 1)
        pieces = [reply.body[at : at + size] for at in range(0, len(reply.body), size)]
        for piece in pieces:
            self.wfile.flush()
            self.server.closing.wait(seconds / len(pieces))
            self.wfile.write(piece)

    def _reset(self) -> None:
        """SO_LINGER of 0 s: the kernel answers with RST as soon as the last file of the socket is closed."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
