"""The process's connections to Databricks. Every response is complete by its deadline, or times out.

requests and urllib3 limit each wait for bytes, but not the whole response. A response that arrives byte by byte would
block its caller for ever. So before each read, the socket's time-out is set to the time that is left.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.retry import Retry

from polysync_core import __version__
from polysync_core.adapters.clock import Clock
from polysync_core.values.deadline import Deadline

if TYPE_CHECKING:
    from urllib3._base_connection import BaseHTTPConnection

POOL_SIZE = 64
LONGEST_IDLE_SECONDS = 60.0
"""A NAT of Azure drops an idle connection after 4 minutes. Other networks drop it sooner."""
USER_AGENT = f"polysync_polysync/{__version__}"
"""<isv-name_product-name>/<product-version>, where maker and product have one name.

Source: https://databrickslabs.github.io/partner-architecture/isv-partners/telemetry-attribution
"""
_deadline: ContextVar[Deadline | None] = ContextVar("response_deadline", default=None)


@contextmanager
def response_deadline(seconds: float) -> Iterator[None]:
    """Limit every response that this thread reads in the block to `seconds` of real time. After that it times out."""
    token = _deadline.set(Deadline.after(Clock(), seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def new_session(clock: Clock, hosts: int = 1) -> requests.Session:
    """A session that keeps connections to `hosts` hosts. Safe to use from all threads.

    It sends each request once. The caller decides whether to repeat it.
    """
    adapter = _Adapter(pool_connections=hosts, pool_maxsize=POOL_SIZE, max_retries=Retry(total=0, redirect=0))
    adapter.poolmanager.pool_classes_by_scheme = {
        "http": partial(_Pool, clock=clock),
        "https": partial(_TlsPool, clock=clock),
    }
    session = requests.Session()
    session.headers["User-Agent"] = USER_AGENT
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _Adapter(HTTPAdapter):
    """All hosts share one TLS context for a bundle of certificates: loading it takes longer than a handshake."""

    def __init__(self, **options: Any) -> None:
        self._lock = threading.Lock()
        self._contexts: dict[object, ssl.SSLContext] = {}
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, socket_options=_keep_alive_options(), **options)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, ({"ssl_context": self._context(verify)} if verify and cert is None else tls)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do not pass on the bundle: urllib3 would load it again for each connection. The shared context verifies."""
        if not verify or cert is not None:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def _context(self, bundle: Any) -> ssl.SSLContext:
        with self._lock:
            if bundle not in self._contexts:
                path = DEFAULT_CA_BUNDLE_PATH if bundle is True else bundle
                is_folder = Path(path).is_dir()
                self._contexts[bundle] = ssl.create_default_context(
                    cafile=None if is_folder else path, capath=path if is_folder else None
                )
            return self._contexts[bundle]


def _keep_alive_options() -> list[tuple[int, int, int]]:
    """Socket options for probes on idle connections, because a NAT drops an idle connection after minutes."""
    names = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # macOS lacks the first
    probes = [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in names.items() if hasattr(socket, name)
    ]
    return [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *probes]


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until the deadline, then raises TimeoutError."""

    def __init__(self, sock: Any, raw: Any, deadline: Deadline) -> None:
        self._sock = sock
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.seconds_left()
        if left <= 0:
            raise TimeoutError("the answer was not complete in time")
        self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()


class _Response(HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        deadline = _deadline.get()
        if deadline is not None:
            self.fp = io.BufferedReader(_DeadlineReader(sock, self.fp.detach(), deadline))


class _Connection(HTTPConnection):
    response_class = _Response
    idle_since = 0.0


class _TlsConnection(HTTPSConnection):
    response_class = _Response
    idle_since = 0.0


class _Pool(HTTPConnectionPool):
    """Reuses no connection that was idle for long.

    Such a connection may be dead. The outcome of a start that was sent over it would be unknown.
    """

    ConnectionCls: type[_Connection | _TlsConnection] = _Connection

    def __init__(self, *args: Any, clock: Clock, **options: Any) -> None:
        self._clock = clock
        super().__init__(*args, **options)

    def _get_conn(self, timeout: float | None = None) -> BaseHTTPConnection:
        connection = super()._get_conn(timeout)
        if (
            isinstance(connection, _Connection | _TlsConnection)
            and self._clock.monotonic() - connection.idle_since > LONGEST_IDLE_SECONDS
        ):
            connection.close()  # urllib3 connects again
        return connection

    def _put_conn(self, conn: BaseHTTPConnection | None) -> None:
        if isinstance(conn, _Connection | _TlsConnection):
            conn.idle_since = self._clock.monotonic()
        super()._put_conn(conn)


class _TlsPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
