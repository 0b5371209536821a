"""The registrations of single-page apps: which clients may sign people in, and to which addresses they get them back.

Source: Microsoft, "Redirect URI (reply URL) restrictions and limitations". The real one ignores the port of
http://localhost; here an address must be the same to the letter.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from local.entra.claims import PAGE_CLIENT

DEFAULT_REDIRECTS = ("http://127.0.0.1:7071/api/page", "http://localhost:7071/api/page")
"""The addresses of the page on a laptop."""
_DEFAULT_PORTS = {"https": 443, "http": 80}


class Registrations:
    """Client ids and their redirect addresses, all of the platform "single-page application"."""

    def __init__(self, redirects: Iterable[str]) -> None:
        self._redirects: dict[str, set[str]] = {PAGE_CLIENT: set()}
        for url in redirects:
            self.register(url, PAGE_CLIENT)

    def register(self, url: str, client_id: str) -> None:
        """Add an address. Raises ValueError for one that Entra would not take."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_loopback = host == "localhost" or host.startswith("127.")
        if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback)):
            raise ValueError(f"a redirect address is https://…, or http://… of a loopback address, not {url!r}")
        if parts.query or parts.fragment:
            raise ValueError(f"a redirect address has no query and no fragment, unlike {url!r}")
        self._redirects.setdefault(client_id, set()).add(url)

    def knows(self, client_id: str) -> bool:
        return client_id in self._redirects

    def has_redirect(self, url: str, client_id: str) -> bool:
        return url in self._redirects.get(client_id, ())

    def is_redirect_of_any(self, url: str) -> bool:
        return any(url in redirects for redirects in self._redirects.values())

    def has_origin(self, origin: str, client_id: str | None = None) -> bool:
        """Whether a page of this client, or without one of any client, has this origin."""
        known = self._redirects.values() if client_id is None else [self._redirects.get(client_id, set())]
        return any(origin == _origin(url) for redirects in known for url in redirects)


def _origin(url: str) -> str:
    """The origin of an address as a browser sends it: without a port that its scheme implies."""
    parts = urlsplit(url)
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"
