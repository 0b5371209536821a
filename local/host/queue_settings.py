"""The settings of queue triggers in host.json, extensions.queues.

Source: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SHORTEST_POLL_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """One object for all queues of a host. The defaults are the host's."""

    batch_size: int = 16
    """How many messages are received at once."""
    new_batch_threshold: int = 8
    """The next batch is received when at most this many messages are being processed."""
    max_polling_seconds: float = 60.0
    """The longest pause between two looks at an empty queue."""
    visibility_timeout_seconds: int = 0
    """How long a message stays invisible after its function failed."""
    max_dequeue_count: int = 5
    """After this many failures a message goes to the poison queue."""
    is_base64: bool = True
    """Whether the text of a message is base64 in storage."""


def decode_queue_settings(content: Mapping[str, Any]) -> QueueSettings:
    """Return the settings. Raises ValueError for a name or a value that is not valid."""
    if unknown := sorted(set(content) - set(_DECODERS)):
        raise ValueError(f"there is no setting {unknown[0]}")
    values: dict[str, Any] = {}
    for name, value in content.items():
        field, decode = _DECODERS[name]
        try:
            values[field] = decode(value)
        except ValueError as error:
            raise ValueError(f"{name} must be {error}, not {value!r}") from None
    values.setdefault("new_batch_threshold", values.get("batch_size", 16) // 2)
    return QueueSettings(**values)


def _whole(lowest: int, highest: int | None = None) -> Callable[[Any], int]:
    def decode(value: Any) -> int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or value < lowest or (highest is not None and value > highest):
            raise ValueError(f"a whole number from {lowest}" + (f" to {highest}" if highest is not None else ""))
        return int(value)

    return decode


def _seconds(value: Any) -> float:
    """Decode a time span such as 00:00:02.500 or 1.00:00:00, which is one day."""
    found = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):([0-5]?\d):([0-5]?\d(?:\.\d{1,7})?)", str(value))
    if not found:
        raise ValueError("a time span such as 00:00:02")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _polling_seconds(value: Any) -> float:
    seconds = _seconds(value)
    if seconds < SHORTEST_POLL_SECONDS:
        raise ValueError("at least 00:00:00.100")
    return seconds


def _whole_seconds(value: Any) -> int:
    # The queue service counts whole seconds.
    return int(_seconds(value))


def _encoding(value: Any) -> bool:
    if value not in ("base64", "none"):
        raise ValueError("base64 or none")
    return bool(value == "base64")


_DECODERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "batchSize": ("batch_size", _whole(1, 32)),
    "newBatchThreshold": ("new_batch_threshold", _whole(0)),
    "maxPollingInterval": ("max_polling_seconds", _polling_seconds),
    "visibilityTimeout": ("visibility_timeout_seconds", _whole_seconds),
    "maxDequeueCount": ("max_dequeue_count", _whole(1)),
    "messageEncoding": ("is_base64", _encoding),
}
