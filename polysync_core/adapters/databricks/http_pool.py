"""The process's connections to Databricks, whose answers end in time.

requests and urllib3 bound each wait for bytes, not the answer: one that comes byte by byte holds its caller for as long
as it likes. Here the socket's time-out shrinks with what is left, for the head of an answer and its body alike.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.retry import Retry

from polysync_core.adapters.clock import Clock
from polysync_core.values.deadline import Deadline

POOL_SIZE = 64
_deadline: ContextVar[Deadline | None] = ContextVar("response_deadline", default=None)


@contextmanager
def response_deadline(seconds: float) -> Iterator[None]:
    """A response that this thread reads in the block is complete within `seconds` of real time, or times out."""
    token = _deadline.set(Deadline.after(Clock(), seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def new_session() -> requests.Session:
    """Tries every call once: whoever asks knows when to ask again. Safe to use from all threads."""
    adapter = HTTPAdapter(pool_connections=16, pool_maxsize=POOL_SIZE, max_retries=Retry(total=0, redirect=0))
    adapter.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    session = requests.Session()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _Bytes(io.RawIOBase):
    """The bytes that come from a socket until the deadline."""

    def __init__(self, sock: Any, raw: Any, deadline: Deadline) -> None:
        self._sock = sock
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.seconds_left()
        if left <= 0:
            raise TimeoutError
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
            self.fp = io.BufferedReader(_Bytes(sock, self.fp.detach(), deadline))


class _Connection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
