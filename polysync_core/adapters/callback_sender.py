"""Sends one callback. It resolves the host once, checks every address, and connects only to a checked address.

Only the status of the response matters. A redirect is a failure. A little of the body is read and discarded. The code
uses sockets instead of requests. requests would resolve the name a second time and use the proxies of the environment.
It also sets no limit for a receiver that answers byte by byte. All times are real time, because sockets know no other
clock.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import certifi
from standardwebhooks import Webhook

from polysync_core.adapters.clock import Clock
from polysync_core.adapters.memory import SilentHosts
from polysync_core.rules.decisions import budgets
from polysync_core.rules.decisions.callback_addresses import AddressRefused, HostRule, Target, may_connect, target_of
from polysync_core.rules.decisions.callback_rules import TryResult
from polysync_core.values.callback import CallbackKind, Waiter
from polysync_core.values.deadline import Deadline

_MAX_READ_BYTES = 16 * 1024
_USER_AGENT = "Polysync"

Resolver = Callable[[str, int], Sequence[str]]
"""Takes a host and a port, and returns all IP addresses of the host. It raises OSError when there are none."""


def resolve(host: str, port: int) -> Sequence[str]:
    """The IP addresses of `host` from the system's resolver, each once. Raises OSError when there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@functools.cache
def default_tls() -> ssl.SSLContext:
    """The TLS settings, loaded once in a process. They trust the same authorities as requests does by default."""
    return ssl.create_default_context(cafile=certifi.where())


class CallbackSender:
    """Sends callbacks. Safe to use from all threads. `secret` (whsec_…) signs what goes to a `callbackUrl`.

    A try ends `try_seconds` after it began, whatever the receiver does. Only the resolver of the system may take
    longer.
    """

    def __init__(
        self,
        hosts: Sequence[HostRule],
        secret: str | None,
        *,
        resolver: Resolver = resolve,
        tls: Callable[[], ssl.SSLContext] = default_tls,
        try_seconds: float = budgets.CALLBACK_TRY,
    ) -> None:
        self._hosts = hosts
        self._webhook = None if secret is None else Webhook(secret)
        self._resolve = resolver
        self._tls = tls
        self._try_seconds = try_seconds
        self.silent_hosts = SilentHosts(Clock())

    def send(self, waiter: Waiter, body: bytes, now: datetime) -> TryResult:
        """POST `body` to the waiter once. Returns the status of the response, or the reason why there is none.

        Never raises for an error of the receiver or the network.
        """
        deadline = Deadline.after(Clock(), self._try_seconds)
        try:
            target = target_of(waiter.address.url, self._hosts)
            addresses = self._resolve(target.host, target.port)
        except AddressRefused as refused:
            return TryResult(status=None, trouble=str(refused))
        except (OSError, UnicodeError):
            return TryResult(status=None, trouble="the host's name could not be resolved")
        if not addresses or not all(may_connect(address, target) for address in addresses):
            return TryResult(status=None, trouble="the host's name leads to an address that may not be called")
        try:
            return TryResult(status=self._post(target, addresses, body, self._headers(waiter, body, now), deadline))
        except (OSError, http.client.HTTPException, ValueError) as wrong:
            return TryResult(status=None, trouble=_trouble(wrong, is_late=deadline.is_over()))

    def _headers(self, waiter: Waiter, body: bytes, now: datetime) -> Mapping[str, str]:
        """Only our own headers. A webhook gets those of https://www.standardwebhooks.com too.

        The webhook-id is sent without a secret too, because a receiver recognises a repeat only by this id.
        """
        headers = {"Content-Type": "application/json", "User-Agent": _USER_AGENT}
        if waiter.address.kind is not CallbackKind.WEBHOOK:
            return headers
        headers |= {"webhook-id": waiter.callback_id, "webhook-timestamp": str(int(now.timestamp()))}
        if self._webhook is not None:
            headers["webhook-signature"] = self._webhook.sign(waiter.callback_id, now, body.decode())
        return headers

    def _post(
        self, target: Target, addresses: Sequence[str], body: bytes, headers: Mapping[str, str], deadline: Deadline
    ) -> int:
        raw = _connect(addresses, target.port, deadline)
        with contextlib.ExitStack() as stack:
            stack.callback(raw.close)
            connected = raw
            if target.is_https:
                connected = self._tls().wrap_socket(raw, server_hostname=target.host, do_handshake_on_connect=False)
                stack.callback(connected.close)
            stack.enter_context(_cut_off(connected, deadline))
            if isinstance(connected, ssl.SSLSocket):
                connected.do_handshake()
            connection = http.client.HTTPConnection(target.host, target.port)
            connection.sock = connected
            stack.callback(connection.close)
            connection.request("POST", target.resource, body, {"Host": target.host_header, **headers})
            response = stack.enter_context(connection.getresponse())
            with contextlib.suppress(OSError, http.client.HTTPException):
                response.read(_MAX_READ_BYTES)
            return response.status


def _connect(addresses: Sequence[str], port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first of `addresses` that accepts a connection. Raises OSError when none does."""
    wrong: OSError = TimeoutError()
    for address in addresses:
        seconds = deadline.within(budgets.CALLBACK_CONNECT).seconds_left()
        if seconds <= 0:
            break
        try:
            connected = socket.create_connection((address, port), timeout=seconds)
        except OSError as refused:
            wrong = refused
        else:
            connected.settimeout(budgets.CALLBACK_TRY)
            return connected
    raise _NotConnected from wrong


class _NotConnected(OSError):
    pass


@contextlib.contextmanager
def _cut_off(connected: socket.socket, deadline: Deadline) -> Iterator[None]:
    """Break the connection at the deadline. A socket's own time-out starts again with each byte that arrives."""

    def cut() -> None:
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown: it would discard the TLS state, which the reading thread still uses.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(deadline.seconds_left(), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _trouble(wrong: Exception, *, is_late: bool) -> str:
    """Describe why no response came. The text never includes the message of a library."""
    if isinstance(wrong, _NotConnected):
        return "no connection could be made"
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return "the host's certificate is not valid"
    if is_late or isinstance(wrong, TimeoutError):
        return "no answer in time"
    return "the connection broke before an answer came"
