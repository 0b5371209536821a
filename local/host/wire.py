"""HTTP/1.1 on 127.0.0.1: bytes on a connection <-> Request and Response. Knows nothing of functions."""

import logging
import re
import socket
import socketserver
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from local.host.in_flight import InFlight

BODY_LIMIT_BYTES = 100 * 1024 * 1024
# Kestrel closes a connection that has been idle for 130 s.
_IDLE_SECONDS = 130.0
_DISCARD_SECONDS = 2.0

_logger = logging.getLogger("local.host")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. `path` is percent-decoded but for %2F, as the host does it; `query` is as sent, without `?`.

    Header names are lower-cased, repeated headers comma-joined.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Response:
    """One answer; its length is the wire's business."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class _RefusedRequestError(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        self.status = status


class WireServer(ThreadingHTTPServer):
    """Answers every request with `answer(request)`, each connection on a thread of its own; port 0 is any free one."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, port: int, answer: Callable[[Request], Response], in_flight: InFlight) -> None:
        self.answer = answer
        self.in_flight = in_flight
        self.is_stopping = False
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host's name, which asks DNS."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def stop_accepting(self) -> None:
        """No new connection, and no further request on an open one."""
        self.is_stopping = True
        self.shutdown()
        self.server_close()

    def close_connections(self) -> None:
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  (socketserver's signature)
        """Called in a connection's thread: a client that went away is nothing to report."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _logger.error("a connection failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "polysync-local-host"
    sys_version = ""
    timeout = _IDLE_SECONDS
    wbufsize = -1
    disable_nagle_algorithm = True
    server: WireServer
    _owes_continue = False

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def _serve(self) -> None:
        with self.server.in_flight.work():
            try:
                request = self._read_request()
            except _RefusedRequestError as refused:
                self.close_connection = True
                self._write(Response(status=refused.status))
                self._discard_the_rest()
                return
            self._write(self.server.answer(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _serve  # noqa: N815

    def handle_expect_100(self) -> bool:
        """The go-ahead is sent when the body is about to be read, as Kestrel does."""
        self._owes_continue = True
        return True

    def send_error(self, code: int, *_: str | None, **__: str | None) -> None:
        """For requests that http.server refuses by itself: empty bodies, and 404 for an unknown method."""
        self.close_connection = True
        self._write(Response(status=HTTPStatus.NOT_FOUND if code == HTTPStatus.NOT_IMPLEMENTED else code))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (http.server's name)
        """Silent: http.server would log the query string."""

    def _read_request(self) -> Request:
        raw_path, _, query = self.path.partition("#")[0].partition("?")
        raw_path = re.sub(r"^https?://[^/]*", "", raw_path, flags=re.IGNORECASE)
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            try:
                text = value.encode("latin-1").decode("utf-8")
            except UnicodeError:
                raise _RefusedRequestError(HTTPStatus.BAD_REQUEST) from None
            key = name.lower()
            headers[key] = f"{headers[key]},{text}" if key in headers else text
        return Request(
            method=self.command,
            path=unquote(re.sub("%2[fF]", lambda slash: "%25" + slash[0][1:], raw_path)),
            query=query,
            headers=headers,
            body=self._read_body(),
        )

    def _read_body(self) -> bytes:
        length = self.headers.get("content-length")
        encoding = self.headers.get("transfer-encoding")
        if encoding is not None:
            if encoding.strip().lower() != "chunked":
                raise _RefusedRequestError(HTTPStatus.BAD_REQUEST)
            self._send_continue_if_owed()
            return self._read_chunks()
        if length is None:
            return b""
        if not (length.isascii() and length.isdigit()):
            raise _RefusedRequestError(HTTPStatus.BAD_REQUEST)
        if int(length) > BODY_LIMIT_BYTES:
            raise _RefusedRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._send_continue_if_owed()
        return self._read_exactly(int(length))

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = self.rfile.readline(1024).split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
                raise _RefusedRequestError(HTTPStatus.BAD_REQUEST)
            if len(body) + int(size, 16) > BODY_LIMIT_BYTES:
                raise _RefusedRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            if int(size, 16) == 0:
                break
            body += self._read_exactly(int(size, 16))
            if self.rfile.readline(3).strip():
                raise _RefusedRequestError(HTTPStatus.BAD_REQUEST)
        while self.rfile.readline(65_536).strip():
            pass  # trailers
        return bytes(body)

    def _read_exactly(self, size: int) -> bytes:
        content = self.rfile.read(size)
        if len(content) < size:
            raise ConnectionAbortedError
        return content

    def _send_continue_if_owed(self) -> None:
        if self._owes_continue:
            self._owes_continue = False
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
            self.wfile.flush()

    def _discard_the_rest(self) -> None:
        """Read on for a moment: closing at once would reset the connection before the client has read the answer."""
        self.wfile.flush()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DISCARD_SECONDS)
            while self.connection.recv(1 << 20):
                pass

    def _write(self, response: Response) -> None:
        has_no_body = response.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        self.close_connection = self.close_connection or self.server.is_stopping
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if not has_no_body:
            self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and not has_no_body:
            self.wfile.write(response.body)
        self.wfile.flush()
