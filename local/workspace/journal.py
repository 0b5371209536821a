"""The calls that the workspace received, in the order of its responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the API.

    route: its template, such as "/pipelines/{id}/updates". "(unknown)" for a path that the API does not have.
    query: name to value. A repeated name has a list of values.
    status: the HTTP status that was sent. None when the connection was closed without one.
    executed: False when a fault answered before the call took effect.
    at: epoch seconds of its arrival, on the workspace's clock. seconds: real time until its response was ready.
    body: the JSON value of a POST, or its text if it is not JSON. None for other methods.
    user_agent, traceparent: the headers of these names, or "".
    """

    method: str
    route: str
    path: str
    query: dict[str, Any]
    status: int | None
    executed: bool
    at: float
    seconds: float
    body: Any
    user_agent: str
    traceparent: str


@dataclass(frozen=True, kw_only=True)
class IdentityCall:
    """One call of the identity endpoint. `at` is as in Call.

    `client_id` is that of the requested user-assigned identity, or None.
    """

    resource: str
    client_id: str | None
    status: int | None
    at: float


Entry = TypeVar("Entry")


class Journal(Generic[Entry]):
    """A list to which entries are only added, until it is cleared."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)

    def entries(self) -> list[Entry]:
        return list(self._entries)

    def clear(self) -> None:
        self._entries.clear()
