"""A request and a reply of the loopback server, as values."""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from urllib.parse import parse_qs, unquote

_LOOK_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. `target` and `pairs` (the header lines) are as the caller sent them."""

    method: str
    target: str
    pairs: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    connection: socket.socket | None = field(default=None, repr=False, compare=False)

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers by name in lower case. Repeated headers are joined with commas."""
        joined: dict[str, str] = {}
        for name, value in self.pairs:
            key = name.lower()
            joined[key] = f"{joined[key]},{value}" if key in joined else value
        return joined

    @cached_property
    def path(self) -> str:
        """The path, percent-decoded except for %2F. The Functions host decodes it in the same way."""
        raw = re.sub(r"^https?://[^/]*", "", self.target.partition("#")[0].partition("?")[0], flags=re.IGNORECASE)
        return unquote(re.sub("%2[fF]", lambda slash: "%25" + slash[0][1:], raw))

    @property
    def query(self) -> str:
        """The query string as sent, without the question mark."""
        return self.target.partition("#")[0].partition("?")[2]

    @cached_property
    def values(self) -> Mapping[str, list[str]]:
        """The query's values by name, in the order in which they were sent."""
        return parse_qs(self.query, keep_blank_values=True)

    def query_value(self, name: str) -> str | None:
        """The last value of a query parameter, or None."""
        return self.values[name][-1] if name in self.values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def _has_left(self) -> bool:
        """Whether the caller has closed its side of the connection."""
        if self.connection is None or not select.select([self.connection], [], [], 0)[0]:
            return False
        if isinstance(self.connection, ssl.SSLSocket):
            return False  # a TLS connection cannot be checked without reading from it
        return not self.connection.recv(1, socket.MSG_PEEK)

    def wait_for_the_caller_to_leave(self, seconds: float, closing: threading.Event) -> None:
        """Wait until the caller has closed its side, the server closes, or `seconds` have passed."""
        for _ in range(int(seconds / _LOOK_SECONDS)):
            if self._has_left():
                return
            if closing.wait(_LOOK_SECONDS):
                return


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One response. `manner` says how it is sent: whole, half of it, in small pieces over `seconds`, or as a reset.

    If `play` is given, it writes to the connection instead. The server adds the Content-Length.
    """

    status: int = 200
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    reason: str | None = None
    manner: Literal["whole", "half", "trickle", "reset"] = "whole"
    seconds: float = 0.0
    play: Callable[[socket.socket], object] | None = None

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        own = () if self.content_type is None else (("Content-Type", self.content_type),)
        return (*own, *(self.headers.items() if isinstance(self.headers, Mapping) else self.headers))


RESET = Reply(manner="reset")


def json_reply(value: object, *, status: int = 200) -> Reply:
    return Reply(status=status, body=json.dumps(value).encode(), content_type="application/json")
