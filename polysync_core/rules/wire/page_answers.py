"""The responses of the page's routes: its files, and the configuration with which it signs people in. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePath

from polysync_core.rules.wire.entra_settings import ENTRA, KEYS
from polysync_core.rules.wire.http_answers import FileReply
from polysync_core.rules.wire.http_contract import Call
from polysync_core.values.caller import SCOPE, EntraDoor

CONFIG = "config.json"
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


def encode_page_file(name: str, content: bytes, call: Call, door: EntraDoor | None) -> FileReply:
    """Return a file, or 304 if the browser already has this version of it.

    A browser asks every time, so that the files of two versions of the app never mix. The headers are part of the
    version: after a change of the settings, no browser goes on with the old policy.
    """
    security = _security_headers(door)
    tag = f'"{hashlib.sha256(content + repr(security).encode()).hexdigest()[:32]}"'
    headers = {**security, "Cache-Control": "no-cache", "ETag": tag}
    media_type = _MEDIA_TYPES[PurePath(name).suffix]
    if tag in _tags(call.headers.get("if-none-match", "")):
        return FileReply(status=304, content=b"", headers=headers, content_type=media_type)
    return FileReply(status=200, content=content, headers=headers, content_type=media_type)


def encode_config(door: EntraDoor | None, start_options: tuple[str, ...], version: str) -> bytes:
    """Return how the page signs people in, and which start options it offers. It holds nothing that is not public."""
    return json.dumps(
        {
            "callers": KEYS if door is None else ENTRA,
            "authority": None if door is None else door.authority,
            "tenant": None if door is None else door.tenant,
            "clientId": None if door is None else door.page_client,
            "scope": None if door is None else f"api://{door.audience}/{SCOPE}",
            "startOptions": start_options,
            "version": version,
        }
    ).encode()


def redirect_to_page() -> FileReply:
    """Return a redirect from /api/page/… to /api/page, where the relative addresses of the page's files are right.

    It is relative, because a gateway may offer the app under another path.
    """
    return FileReply(status=308, content=b"", headers={"Location": "../page"}, content_type="text/plain")


def _tags(given: str) -> set[str]:
    """The tags of an If-None-Match header. A proxy that compresses an answer makes its tag weak (W/)."""
    return {tag.strip().removeprefix("W/") for tag in given.split(",")}


def _security_headers(door: EntraDoor | None) -> Mapping[str, str]:
    """The page runs only its own files, calls only the app and the sign-in service, and is shown in no frame."""
    connect = "" if door is None else f"connect-src 'self' {door.authority}; "
    return {
        "Content-Security-Policy": f"default-src 'self'; {connect}object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
