"""The events of a run that callers see, and the continuation of their list."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from polysync_core.rules.wire.event_log_api import MAX_FAILURE, MAX_FAILURES, MAX_MESSAGE
from polysync_core.rules.wire.http_answers import Instant
from polysync_core.rules.wire.http_contract import Call, refuse
from polysync_core.rules.wire.run_document import iso_or_none
from polysync_core.rules.wire.strict_json import decode_json
from polysync_core.values.databricks import EventsPage, Failure, LogEvent
from polysync_core.values.ids import RunId

_CUT = "The middle of a longer text is left out."


class EventErrorDocument(TypedDict):
    """An exception of an event."""

    className: str | None
    message: Annotated[str | None, Field(description=f"At most {MAX_FAILURE:,} characters. {_CUT}")]


class EventDocument(TypedDict):
    """A line of the event log. Null means that Databricks left it out."""

    time: Instant | None
    level: Annotated[str | None, Field(description="INFO, WARN, ERROR or METRICS.")]
    eventType: Annotated[str | None, Field(description="Such as update_progress or flow_progress.")]
    message: Annotated[str | None, Field(description=f"At most {MAX_MESSAGE:,} characters. {_CUT}")]
    errors: Annotated[
        list[EventErrorDocument],
        Field(
            description=f"The outermost first and the cause last. Of more than {MAX_FAILURES}, the first and the "
            f"last {MAX_FAILURES - 1}."
        ),
    ]


class EventListDocument(TypedDict):
    """Events, newest first."""

    items: list[EventDocument]
    continuation: Annotated[str | None, Field(description="For the next page; null at the end.")]


def continuation_key(secret: bytes) -> bytes:
    """The key that signs continuations, derived from the first await key ever made, so that no key has two uses."""
    return hmac.new(secret, b"event continuations", hashlib.sha256).digest()


def encode_events(page: EventsPage, run_id: RunId, key: bytes) -> EventListDocument:
    """Return the document of a page. `run_id` is the id by which the caller asked for the run, `key` signs."""
    token = page.next_page_token
    return {
        "items": [_encode_event(event) for event in page.events],
        "continuation": None if token is None else encode_events_continuation(run_id, token, key),
    }


def encode_events_continuation(run_id: RunId, page_token: str, key: bytes) -> str:
    """Return the opaque text that a caller sends back to go on. It is valid only for its run."""
    kept = {"run": str(run_id), "page": page_token, "mac": _mac(run_id, page_token, key)}
    return base64.urlsafe_b64encode(json.dumps(kept, separators=(",", ":")).encode()).decode()


def decode_events_continuation(call: Call, run_id: RunId, key: bytes) -> str | None:
    """Return Databricks' page token in the query's continuation, or None. Raises InvalidRequest if it is not ours.

    It is signed with `key`. Each page is a call of its own to Databricks, so none is asked for that Databricks did not
    offer.
    """
    given = call.query.get("continuation")
    if given is None:
        return None
    try:
        kept = decode_json(base64.urlsafe_b64decode(given.encode("ascii")))
    except (ValueError, RecursionError):
        kept = None
    page_token, mac = (kept.get("page"), kept.get("mac")) if isinstance(kept, dict) else (None, None)
    if (
        not isinstance(page_token, str)
        or not page_token
        or not isinstance(mac, str)
        or not _is_mac(mac, run_id, page_token, key)
    ):
        refuse("continuation", "must be the continuation of an earlier answer about the events of this run")
    return page_token


def _is_mac(given: str, run_id: RunId, page_token: str, key: bytes) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), _mac(run_id, page_token, key).encode())


def _mac(run_id: RunId, page_token: str, key: bytes) -> str:
    """Sign the page token for its run. JSON keeps the two apart, and also writes half of a surrogate pair."""
    return hmac.new(key, json.dumps([str(run_id), page_token]).encode(), hashlib.sha256).hexdigest()


def _encode_event(event: LogEvent) -> EventDocument:
    return {
        "time": iso_or_none(event.at),
        "level": event.level,
        "eventType": event.event_type,
        "message": event.message,
        "errors": [_encode_error(failure) for failure in event.failures],
    }


def _encode_error(failure: Failure) -> EventErrorDocument:
    return {"className": failure.class_name, "message": failure.message}
