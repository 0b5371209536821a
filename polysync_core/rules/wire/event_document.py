"""The events of a run that callers see, and the continuation of their list."""

from __future__ import annotations

import base64
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


def encode_events(page: EventsPage, run_id: RunId) -> EventListDocument:
    """Return the document of a page. `run_id` is the id by which the caller asked for the run."""
    token = page.next_page_token
    return {
        "items": [_encode_event(event) for event in page.events],
        "continuation": None if token is None else encode_events_continuation(run_id, token),
    }


def encode_events_continuation(run_id: RunId, page_token: str) -> str:
    """Return the opaque text that a caller sends back to go on. It is valid only for its run."""
    kept = {"run": str(run_id), "page": page_token}
    return base64.urlsafe_b64encode(json.dumps(kept, separators=(",", ":")).encode()).decode()


def decode_events_continuation(call: Call, run_id: RunId) -> str | None:
    """Return Databricks' page token in the query's continuation, or None. Raises InvalidRequest if it is not ours.

    It is not signed. Whoever makes one up gets only events of the run in the path.
    """
    given = call.query.get("continuation")
    if given is None:
        return None
    try:
        kept = decode_json(base64.urlsafe_b64decode(given.encode("ascii")))
    except (ValueError, RecursionError):
        kept = None
    page_token = kept.get("page") if isinstance(kept, dict) and kept.get("run") == str(run_id) else None
    if not isinstance(page_token, str) or not page_token:
        refuse("continuation", "must be the continuation of an earlier answer about the events of this run")
    return page_token


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
