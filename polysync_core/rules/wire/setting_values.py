"""Parsers for the values of settings. Pure.

A `parse_` function returns the value or raises ValueError. The error says what the value must be. It never holds a
secret.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from polysync_core.values.start_options import START_OPTIONS

_HOST = re.compile(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?|[0-9a-f:]*:[0-9a-f:.]*", re.IGNORECASE
)
_SECRET_PREFIX, _SECRET_BYTES = "whsec_", range(24, 65)
_NEEDS_HTTPS = "must use https, unless its host is loopback"
_DEFAULT_PORTS = {"https": 443, "http": 80}
_PATH = re.compile(r"(/[\w.~!$&'()*+,;=:@%-]+)*", re.ASCII)
_REFERENCE = re.compile(r"@Microsoft\.(\w+)\s*\(", re.IGNORECASE)
_READER_ROLES = {"keyvault": "Key Vault Secrets User", "appconfiguration": "App Configuration Data Reader"}


def parse_whole_number(given: str, least: int, most: int) -> int:
    """A whole number from `least` to `most`, in ASCII digits."""
    if given.isascii() and given.isdecimal() and len(given) < 10 and least <= int(given) <= most:
        return int(given)
    raise ValueError(f"must be a whole number from {least} to {most}")


def unresolved_reference(given: str) -> str | None:
    """Return the remedy for a reference that the platform did not resolve. None if `given` holds no reference.

    The platform leaves a reference unchanged if it cannot resolve it:
    https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
    """
    found = _REFERENCE.search(given)
    if found is None:
        return None
    kind = found[1]
    if found.start() > 0:
        return (
            f"the @Microsoft.{kind} reference in it was not resolved; "
            "the platform resolves a reference only where it is the whole value"
        )
    role = _READER_ROLES.get(kind.lower())
    may_read = f"has the role {role}" if role else "may read it"
    return (
        f"the @Microsoft.{kind} reference was not resolved; check that the app's identity (keyVaultReferenceIdentity) "
        f"{may_read}, the names in the reference, and that the network lets the app in, then restart the app"
    )


def parse_address(given: str, *, with_path: bool = False) -> str:
    """Return an address in its shortest form, without a slash at the end, so that one host has one spelling.

    Plain http is allowed only for loopback. https is added if the scheme is missing. `with_path` allows a path. The
    endpoint of the storage emulator ends with its account's name, and a gateway may serve the app under a path.
    """
    try:
        parts = split_address(given)
        host, port, path = (parts.hostname or "").rstrip("."), parts.port, parts.path.rstrip("/")
        host = ipaddress.ip_address(host).compressed if ":" in host else host
    except ValueError:
        host, port, path = "", None, ""
    is_address = _HOST.fullmatch(host) and port != 0 and parts.scheme in _DEFAULT_PORTS
    if not is_address or parts.query or parts.fragment or (path and not with_path) or not _PATH.fullmatch(path):
        raise ValueError(
            f"must be an address like https://host{' or https://host/path' if with_path else ''}, "
            f"without {'' if with_path else 'path or '}query"
        )
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(_NEEDS_HTTPS)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{'' if port in {None, _DEFAULT_PORTS[parts.scheme]} else f':{port}'}{path}"


def split_address(given: str) -> SplitResult:
    """Split an address. The default scheme is https. Raises ValueError, as reading a part of the result may too."""
    return urlsplit(given if "://" in given else f"https://{given}")


def parse_host_of_app(given: str) -> str:
    """Return the address for WEBSITE_HOSTNAME: the host name that the platform gave the app, or localhost:7071."""
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


def parse_start_options(given: str) -> tuple[str, ...]:
    """Return the start options of a comma-separated list, each once, in the order of START_OPTIONS."""
    named = {name.strip() for name in given.split(",")}
    if named <= {*START_OPTIONS}:
        return tuple(name for name in START_OPTIONS if name in named)
    unknown = min(named - {*START_OPTIONS})
    raise ValueError(f"'{unknown[:40]}' is not a start option; give names of {', '.join(START_OPTIONS)}, with commas")


def parse_connection_string(given: str) -> str:
    """Check and return a connection string of Table Storage. Plain http is allowed only for loopback."""
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


def parse_signing_secret(given: str) -> str:
    """Check and return a secret that signs callbacks: `whsec_` and the base64 of 24 to 64 random bytes.

    This is the format of Standard Webhooks: https://www.standardwebhooks.com/
    """
    encoded = given.removeprefix(_SECRET_PREFIX).rstrip("=")
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        secret = b""
    if not given.startswith(_SECRET_PREFIX) or len(secret) not in _SECRET_BYTES:
        raise ValueError(f"must be '{_SECRET_PREFIX}' and then the base64 of 24 to 64 random bytes")
    return given
