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
    """Client ids and their redirect addresses, all of the platform "single-page application".

    Readers need no lock, because a registration replaces the whole set.
    """

    def __init__(self, redirects: Iterable[str]) -> None:
        self._registered: frozenset[tuple[str, str]] = frozenset()
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
        self._registered |= {(client_id, url)}

    def knows(self, client_id: str) -> bool:
        return client_id == PAGE_CLIENT or any(client_id == known for known, _ in self._registered)

    def has_redirect(self, url: str, client_id: str) -> bool:
        return (client_id, url) in self._registered

    def is_redirect_of_any(self, url: str) -> bool:
        return any(url == known for _, known in self._registered)

    def has_origin(self, origin: str, client_id: str | None = None) -> bool:
        """Whether a page of this client, or without one of any client, has this origin."""
        return any(origin == _origin(url) for known, url in self._registered if client_id is None or client_id == known)


def _origin(url: str) -> str:
    """The origin of an address as a browser sends it: without a port that its scheme implies."""
    parts = urlsplit(url)
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"
