"""How the values of settings are read. Pure; each raises ValueError with the remedy, never with a secret in it."""

from __future__ import annotations

import base64
import ipaddress
import re
from urllib.parse import urlsplit

from polysync_core.rules.wire.strict_json import decode_json
from polysync_core.values.workspace import Workspace

_WORKSPACE_NAME = re.compile(r"[a-z0-9-]{1,40}")
_RESOURCE_ID = re.compile(
    r"/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/Microsoft\.Databricks/workspaces/[^/\s]+", re.IGNORECASE
)
_HOST = re.compile(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?|[0-9a-f:]*:[0-9a-f:.]*", re.IGNORECASE
)
_SECRET_PREFIX, _SECRET_BYTES = "whsec_", range(24, 65)
_NEEDS_HTTPS = "must use https, unless its host is loopback"


def parse_whole_number(given: str, least: int, most: int) -> int:
    if given.isascii() and given.isdecimal() and len(given) < 10 and least <= int(given) <= most:
        return int(given)
    raise ValueError(f"must be a whole number from {least} to {most}")


def parse_address(given: str, *, with_path: bool = False) -> str:
    """Scheme, host and port, without a slash at the end; plain http only to loopback. https is added when left out.

    `with_path` allows a path: the storage emulator's endpoint ends in its account's name.
    """
    if "://" not in given:
        given = f"https://{given}"
    try:
        parts = urlsplit(given)
        host, port, path = parts.hostname or "", parts.port, parts.path.rstrip("/")
    except ValueError:
        host, port, path = "", None, ""
    is_address = _HOST.fullmatch(host) and port != 0 and parts.scheme in {"http", "https"}
    if not is_address or parts.query or parts.fragment or (path and not with_path):
        raise ValueError("must be an address like https://host, without path or query")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(_NEEDS_HTTPS)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{path}"


def parse_host_of_app(given: str) -> str:
    """WEBSITE_HOSTNAME as an address: the platform's name of the app; "localhost:7071" on a laptop."""
    scheme = "http" if is_loopback(given.rsplit(":", 1)[0].strip("[]")) else "https"
    return parse_address(f"{scheme}://{given}")


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine: 'localhost' or a literal loopback address. Names are not resolved."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_connection_string(given: str) -> str:
    """A connection string of Table Storage: with an account in it, and no plain http but to loopback."""
    given = given.strip("; ")
    if given.lower() == "usedevelopmentstorage=true":
        return given
    parts = dict(part.split("=", 1) for part in given.split(";") if "=" in part)
    folded = {key.strip().lower(): value.strip() for key, value in parts.items()}
    try:
        endpoint = urlsplit(folded.get("tableendpoint", ""))
        host = endpoint.hostname or ""
    except ValueError:
        raise ValueError("must hold a TableEndpoint that is an address") from None
    scheme = endpoint.scheme or folded.get("defaultendpointsprotocol", "https")
    if scheme.lower() != "https" and not is_loopback(host):
        raise ValueError(_NEEDS_HTTPS)
    has_key = {"accountname", "accountkey"} <= folded.keys()
    if not (has_key or {"tableendpoint", "sharedaccesssignature"} <= folded.keys()):
        raise ValueError("must hold AccountName and AccountKey, or TableEndpoint and SharedAccessSignature")
    return given


def parse_workspaces(given: str) -> dict[str, object]:
    """The entries of POLYSYNC_WORKSPACES by name; each is read by parse_workspace."""
    try:
        entries = decode_json(given)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"must be JSON, name to {{url, resourceId?}} ({error})") from None
    if not isinstance(entries, dict) or not entries:
        raise ValueError('must be a JSON object like {"sales": {"url": "https://adb-….azuredatabricks.net"}}')
    return entries


def parse_workspace(name: str, entry: object) -> Workspace:
    if not _WORKSPACE_NAME.fullmatch(name):
        raise ValueError("a workspace's name is 1 to 40 of a-z, 0-9 and '-'")
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str) or set(entry) - {"url", "resourceId"}:
        raise ValueError("must be an object with url and, if needed, resourceId")
    resource_id = entry.get("resourceId")
    if resource_id is not None and not (isinstance(resource_id, str) and _RESOURCE_ID.fullmatch(resource_id)):
        raise ValueError(
            "resourceId must be like /subscriptions/…/resourceGroups/…/providers/Microsoft.Databricks/workspaces/…"
        )
    try:
        url = parse_address(entry["url"])
    except ValueError as wrong:
        raise ValueError(f"url {wrong}") from None
    return Workspace(name=name, url=url, resource_id=resource_id)


def parse_signing_secret(given: str) -> str:
    """The secret that signs callbacks, as Standard Webhooks writes it."""
    encoded = given.removeprefix(_SECRET_PREFIX).rstrip("=")
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        secret = b""
    if not given.startswith(_SECRET_PREFIX) or len(secret) not in _SECRET_BYTES:
        raise ValueError(f"must be '{_SECRET_PREFIX}' and then the base64 of 24 to 64 random bytes")
    return given
