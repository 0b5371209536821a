"""Sends the requests of the demo, and shows them as curl commands. A wrong answer raises DemoError."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import requests

from local.demo.callers import Callers
from local.demo.screen import Screen
from polysync_core.rules.decisions.roles import Role

_SECONDS = 60
_SHOWN_CHARACTERS = 600


class DemoError(Exception):
    """A step of the demo failed."""


class Client:
    """Sends requests to the app. `role` is that of the caller; None sends no credential. Safe to use from all threads.

    Addresses are paths below `url`, or whole addresses that an answer of the app holds.
    """

    def __init__(self, url: str, callers: Callers, screen: Screen) -> None:
        self._url = url
        self._callers = callers
        self._screen = screen

    def show(self, method: str, address: str, role: Role | None, body: Mapping[str, Any] | None = None) -> None:
        """Show the curl command for a request."""
        option = None if role is None else self._callers.curl_option(role)
        self._screen.curl(method, self._whole(address), option, body)

    def send(
        self, method: str, address: str, role: Role | None, expected: int, body: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """Send a request and return the answer. Raises DemoError if its status is not the `expected` one."""
        headers = {} if role is None else self._callers.headers(role)
        with requests.Session() as session:
            session.trust_env = False  # neither a proxy nor a .netrc file is meant for a loopback address
            try:
                answer = session.request(method, self._whole(address), json=body, headers=headers, timeout=_SECONDS)
            except requests.RequestException as error:
                raise DemoError(f"{method} {self._whole(address)} got no answer: {error}") from error
        seen = f"{method} {address} answered {answer.status_code}: {answer.text[:_SHOWN_CHARACTERS]}"
        expect(answer.status_code == expected, seen)
        return answer

    def call(
        self, method: str, address: str, role: Role | None, expected: int, body: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """Show a request, and send it."""
        self.show(method, address, role, body)
        return self.send(method, address, role, expected, body)

    def read(self, address: str, role: Role) -> Any:
        """Return the JSON of an address that answers 200, without showing the request."""
        return self.send("GET", address, role, 200).json()

    def discover_all(self) -> Counter[str]:
        """Discover until the report is complete. Return how many jobs were added, changed, removed and unchanged."""
        counts: Counter[str] = Counter()
        body: dict[str, str] = {}
        while True:
            report = self.send("POST", "/api/jobs/discover", Role.ADMIN, 200, body).json()
            counts.update(report["jobs"])
            if report["complete"]:
                return counts
            body = {"continuation": report["continuation"]}

    def count_jobs(self) -> int:
        count, continuation = 0, ""
        while True:
            page = self.read(f"/api/jobs?limit=200&continuation={continuation}", Role.READ)
            count += len(page["items"])
            continuation = page["continuation"]
            if continuation is None:
                return count

    def _whole(self, address: str) -> str:
        return f"{self._url}{address}" if address.startswith("/") else address


def expect(holds: bool, otherwise: str) -> None:
    """Raise DemoError with the text `otherwise`, unless the demo holds what it promises."""
    if not holds:
        raise DemoError(otherwise)


def wait_until(holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait until `holds` returns True. Raise DemoError after that many seconds."""
    ends_at = time.monotonic() + seconds
    while not holds():
        expect(time.monotonic() < ends_at, otherwise)
        time.sleep(0.1)
