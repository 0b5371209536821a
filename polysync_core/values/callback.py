"""The values of callbacks: waiting callers, their addresses, what they are owed. Frozen; times are aware UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from polysync_core.values.ids import RunId


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
    """Where a caller wants to be called back. `url` is a credential: stored to be called, shown nowhere.

    `base_url` is where the caller reached us (Addresses says its form), for the addresses in what is delivered.
    """

    kind: CallbackKind
    url: str = field(repr=False)
    base_url: str

    @property
    def host(self) -> str:
        """The part that may be shown: the host, and the port if there is one."""
        return urlsplit(self.url).netloc.lower()

    def leads_where(self, other: CallbackAddress) -> bool:
        """Whether both call the same receiver in the same form, whatever host each caller reached us under."""
        return (self.kind, self.url) == (other.kind, other.url)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiter:
    """A caller that waits for a run. `callback_id` is the webhook-id of everything that is delivered to it."""

    callback_id: str
    address: CallbackAddress


@dataclass(frozen=True, kw_only=True, slots=True)
class Callback:
    """The state of a run's callback. `last_error` is why the last try failed, without any part of an address."""

    callback_id: str
    kind: CallbackKind
    host: str
    state: CallbackState = CallbackState.WAITING
    tries: int = 0
    last_error: str | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OwedCallback:
    """A callback of a finished run that is to be sent from `due_at` on. `since` is when it was first tried."""

    run_id: RunId
    callback_id: str
    host: str
    due_at: datetime
    tries: int = 0
    since: datetime | None = None
