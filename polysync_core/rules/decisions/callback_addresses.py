"""Decide which addresses may be called back. Callers choose them, so they could make this app call an internal service.

- `parse_hosts` reads the setting as HostRules: the hosts that may be called.
- `target_of` parses an address once. The connection uses exactly the parts that were checked.
- `may_connect` decides which IP addresses a host name may resolve to. In general they must be public.

Source of the reserved networks: https://www.iana.org/assignments/iana-ipv4-special-registry and the IPv6 registry.
Python's `ipaddress.is_global` accepts some of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from polysync_core.values.callback import CallbackAddress
from polysync_core.values.errors import FieldProblem, InvalidRequest

SETTING = "POLYSYNC_CALLBACK_HOSTS"
DEFAULT_HOSTS = "*.svc.datafactory.azure.com,*.logic.azure.com,*.environment.api.powerplatform.com"
"""Data Factory, Logic Apps Consumption and Power Automate."""
MAX_LENGTH = 4096
_HTTPS_PORT, _HTTP_PORT = 443, 80
_ADDRESS = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}\.)*[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
"""A host name in lower case. Its last label begins with a letter, since many clients read a number as IPv4."""
_OPEN_TO_ALL = ("azurewebsites.net", "cloudapp.azure.com", "azurefd.net")
"""Domains under which anyone can register a name, at any depth."""
_TOO_WIDE = frozenset({"azure.com", "windows.net"})
"""Domains that contain some of the domains in _OPEN_TO_ALL."""
_PRIVATE = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_RESERVED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # an address of Azure inside every virtual network
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
"""All public unicast addresses. IPv4-mapped, NAT64, unique local, link-local and multicast addresses lie outside."""
_RESERVED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)


class AddressRefused(ValueError):
    """Raised for an address that may not be called. The text names at most its host: path and query are credentials."""


@dataclass(frozen=True, slots=True)
class HostRule:
    """One entry of the setting: this host on this port. If `any_below` is true: every host below it instead."""

    host: str
    port: int = _HTTPS_PORT
    any_below: bool = False

    def covers(self, host: str, port: int) -> bool:
        """Whether the rule lets `host` be called on `port`."""
        if port != self.port:
            return False
        return host.endswith(f".{self.host}") if self.any_below else host == self.host


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A parsed address. `resource` is its path and query. `is_listed`: the setting names exactly this host."""

    host: str
    port: int
    is_https: bool
    is_listed: bool
    resource: str = field(repr=False)

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(self.host)

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = _HTTPS_PORT if self.is_https else _HTTP_PORT
        return host if self.port == usual else f"{host}:{self.port}"


def parse_hosts(text: str) -> tuple[HostRule, ...]:
    """Read the setting: host patterns with commas between, each with an optional ":port".

    A pattern is a host, or "*." and a domain. A host is a name or an IP address. IPv6 addresses are in brackets. Raises
    ValueError, which says which entry is wrong.
    """
    entries = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
    return tuple(_parse_host_rule(entry, f"entry {number}") for number, entry in enumerate(entries, 1))


def _parse_host_rule(entry: str, name: str) -> HostRule:
    """Errors show `name` instead of the entry: the entry may be a whole callback address, which is a credential."""
    any_below = entry.startswith("*.")
    try:
        parts = urlsplit(f"//{entry.removeprefix('*.')}")
        host, port = _host_of(parts.netloc, parts.hostname), parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.path or parts.query or parts.fragment:
        raise ValueError(f"{name} is not a host; list hosts like hooks.example.com, *.example.com or 10.0.0.4:8443")
    if any_below and (_ip_of(host) is not None or _is_open_to_all(host)):
        raise ValueError(f"{name} is open to everyone; list the hosts themselves")
    return HostRule(host=host, port=_HTTPS_PORT if port is None else port, any_below=any_below)


def _is_open_to_all(domain: str) -> bool:
    below = any(domain == shared or domain.endswith(f".{shared}") for shared in _OPEN_TO_ALL)
    return below or "." not in domain or domain in _TOO_WIDE


def check_address(address: CallbackAddress, rules: Sequence[HostRule]) -> None:
    """Raise InvalidRequest if the address may not be called. The error names the field and at most the host."""
    try:
        target_of(address.url, rules)
    except AddressRefused as refused:
        raise InvalidRequest(FieldProblem(field=address.kind, allowed=str(refused))) from None


def target_of(url: str, rules: Sequence[HostRule]) -> Target:
    """Parse `url`. Raises AddressRefused unless `rules` cover its host and it is https. Loopback may use http."""
    if len(url) > MAX_LENGTH or not _ADDRESS.fullmatch(url):
        raise AddressRefused(
            f"must be an https address of at most {MAX_LENGTH} characters, without spaces, fragment or other than ASCII"
        )
    try:
        parts = urlsplit(url)
        host, port = _host_of(parts.netloc, parts.hostname), parts.port
    except ValueError:
        host, port = None, None
    if host is None:
        raise AddressRefused(
            f"must have a plain host: a name without a dot at its end, or an IP address in its usual form, on a host "
            f"that the setting {SETTING} lists, without user name"
        )
    is_https = parts.scheme == "https"
    if not is_https and not (parts.scheme == "http" and _is_loopback(host)):
        raise AddressRefused(f"must be https, also for {host} (the setting {SETTING} lists hosts, not schemes)")
    if port is None:
        port = _HTTPS_PORT if is_https else _HTTP_PORT
    covering = [rule for rule in rules if rule.covers(host, port)]
    if not covering:
        shown = host if port == _HTTPS_PORT else f"{host} on port {port}"
        raise AddressRefused(f"{shown} may not be called; the setting {SETTING} lists the hosts that may")
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(
        host=host,
        port=port,
        is_https=is_https,
        is_listed=not all(rule.any_below for rule in covering),
        resource=resource,
    )


def may_connect(ip: str, target: Target) -> bool:
    """Whether the app may connect to `ip`. The target's host was resolved to it.

    Public addresses are allowed. Private addresses are allowed only if the setting names exactly the host. Loopback
    addresses are allowed only if that host is also loopback. All others (metadata services, multicast, tunnels) are
    never allowed.
    """
    address = _ip_of(ip)
    if address is None:
        return False
    if is_allowed_address(address):
        return True
    if not target.is_listed:
        return False
    return any(address in network for network in _PRIVATE) or (target.is_loopback and address.is_loopback)


def is_allowed_address(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is public unicast and not reserved."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _RESERVED_V4)
    return address in _GLOBAL_UNICAST_V6 and not any(address in network for network in _RESERVED_V6)


def _host_of(netloc: str, hostname: str | None) -> str | None:
    """Return the host in its usual form, or None if it is not a plain name or IP address."""
    if not hostname or "@" in netloc:
        return None
    if "[" in netloc or ":" in hostname:
        address = _ip_of(hostname)
        return str(address) if isinstance(address, IPv6Address) else None
    if _NAME.fullmatch(hostname):
        return hostname
    return hostname if _ip_of(hostname) is not None else None


def _ip_of(text: str) -> IPv4Address | IPv6Address | None:
    """Parse a strict IP address. Octal, hexadecimal and shortened IPv4 give None, and so does an IPv6 zone."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    """Whether `host` is `localhost` or a literal loopback address. Names are not resolved."""
    if host == "localhost":
        return True
    address = _ip_of(host)
    return address is not None and address.is_loopback
