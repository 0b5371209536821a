"""The process's connections to Databricks, whose answers end in time.

requests and urllib3 bound each wait for bytes, not the answer: one that comes byte by byte holds its caller for as long
as it likes. Here the socket's time-out shrinks with what is left, for the head of an answer and its body alike.
"""

from __future__ import annotations

import io
import time
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

POOL_SIZE = 64
_ends_at: ContextVar[float | None] = ContextVar("answer_ends_at", default=None)


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """An answer that this thread asks for in the block is read within so many seconds from now, or times out."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def new_session() -> requests.Session:
    """Tries every call once: whoever asks knows when to ask again. Safe to use from all threads."""
    adapter = HTTPAdapter(pool_connections=16, pool_maxsize=POOL_SIZE, max_retries=Retry(total=0, redirect=0))
    adapter.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    session = requests.Session()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _Bytes(io.RawIOBase):
    """What comes from a socket until `ends_at`."""

    def __init__(self, sock: Any, raw: Any, ends_at: float) -> None:
        self._sock = sock
        self._raw = raw
        self._ends_at = ends_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends_at - time.monotonic()
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
        ends_at = _ends_at.get()
        if ends_at is not None:
            self.fp = io.BufferedReader(_Bytes(sock, self.fp.detach(), ends_at))


class _Connection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
