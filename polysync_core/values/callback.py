"""The frozen values of callbacks: waiting callers, their addresses and the callbacks to send. Times are aware UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from polysync_core.values.ids import RunId
from polysync_core.values.stored import Kept


class CallbackKind(StrEnum):
    """The receiver of a callback, named after the field that asked for it."""

    DATA_FACTORY = "callBackUri"
    """Data Factory's WebHook activity."""
    WEBHOOK = "callbackUrl"
    """Logic Apps' HTTP Webhook action, or any other receiver."""


class CallbackState(StrEnum):
    WAITING = "waiting"
    """The run is active."""
    DUE = "due"
    DELIVERED = "delivered"
    GIVEN_UP = "givenUp"


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackAddress:
    """The address that a caller wants to be called at. `url` is a credential. It is stored, but never shown.

    `base_url` is the address at which the caller reached this app, in the form of Addresses.base_url. The addresses in
    the delivered body begin with it.
    """

    kind: CallbackKind
    url: str = field(repr=False)
    base_url: str

    @property
    def host(self) -> str:
        """The part of `url` that may be shown: the host, and the port if there is one."""
        return urlsplit(self.url).netloc.lower()

    def leads_where(self, other: CallbackAddress) -> bool:
        """Whether both have the same receiver and the same kind. `base_url` is not compared."""
        return (self.kind, self.url) == (other.kind, other.url)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiter:
    """A caller that waits for a run. Every delivery to it has `callback_id` as its webhook-id."""

    callback_id: str
    address: CallbackAddress


@dataclass(frozen=True, kw_only=True, slots=True)
class Callback(Kept):
    """The state of a run's callback. `last_error` says why the last try failed. It holds no part of an address."""

    callback_id: str
    kind: CallbackKind
    host: str
    state: CallbackState = CallbackState.WAITING
    tries: int = 0
    last_error: str | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OwedCallback(Kept):
    """A callback of a finished run, to be sent at `due_at` or later. `since` is the time of the first try, or None."""

    run_id: RunId
    callback_id: str
    host: str
    due_at: datetime
    tries: int = 0
    since: datetime | None = None
