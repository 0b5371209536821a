"""What was asked of the workspace, in the order of the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the API.

    route: its template, as "/pipelines/{id}/updates"; "(unknown)" for a path the API does not have.
    query: name to value; a list when it was repeated.
    status: the HTTP status that was sent; None when the connection was closed without one.
    executed: False when a fault answered before the call took effect.
    at: epoch seconds of its arrival, on the workspace's clock; seconds: real time until its answer was ready.
    body: of a POST: the JSON value as it came, or the text when it is no JSON.
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


@dataclass(frozen=True, kw_only=True)
class IdentityCall:
    """One call of the identity endpoint. `client_id` when a user-assigned identity was asked for; `at` as in Call."""

    resource: str
    client_id: str | None
    status: int | None
    at: float


Entry = TypeVar("Entry")


class Journal(Generic[Entry]):
    """A list that only grows, until it is cleared."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)

    def entries(self) -> list[Entry]:
        return list(self._entries)

    def clear(self) -> None:
        self._entries.clear()
