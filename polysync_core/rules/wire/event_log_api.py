"""The event log of a pipeline in the Pipelines API 2.0: builds requests and decodes answers. No I/O.

Source: https://docs.databricks.com/api/azure/workspace/pipelines/listpipelineevents. The documented filters are on
level, id and timestamp. Databricks was seen to ignore a filter, so no caller relies on one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from polysync_core.rules.wire.databricks_json import ends_of, id_of, instant_of, objects_of, page_token_of, text_of
from polysync_core.rules.wire.pipelines_api import API, ApiRequest
from polysync_core.rules.wire.run_document import iso
from polysync_core.values.databricks import ErrorEvent, EventsPage, Failure, LogEvent
from polysync_core.values.databricks_errors import DatabricksError
from polysync_core.values.run import JsonObject

PAGE_SIZE = 250
MAX_MESSAGE, MAX_FAILURE, MAX_FAILURES = 1000, 2000, 5
"""The most characters of an event's message and of an exception's, and the most exceptions of an event."""
_MAX_WORD, _MAX_CLASS = 64, 200
_MAX_SEARCHED = 16_000
"""The most characters in which the reason of a failure is searched."""


def list_events(
    pipeline_id: str, *, since: datetime | None, until: datetime | None, page_token: str | None = None
) -> ApiRequest:
    """Return the request for a page of events, newest first. With a page token, the times must be left out.

    The token stands for the whole first request, and Databricks refuses any other parameter beside it but max_results.
    """
    query = {"max_results": str(PAGE_SIZE)}
    if page_token is not None:
        return _list(pipeline_id, query | {"page_token": page_token})
    bounds = (("timestamp >=", since), ("timestamp <=", until))
    clauses = [f"{compared} '{iso(at)}'" for compared, at in bounds if at is not None]
    if clauses:
        query["filter"] = " AND ".join(clauses)
    return _list(pipeline_id, query | {"order_by": "timestamp desc"})


def list_error_events(pipeline_id: str) -> ApiRequest:
    """Return the request for the newest error events."""
    query = {"filter": "level='ERROR'", "order_by": "timestamp desc", "max_results": str(PAGE_SIZE)}
    return _list(pipeline_id, query)


def _list(pipeline_id: str, query: Mapping[str, str]) -> ApiRequest:
    return ApiRequest(
        method="GET",
        route="/pipelines/{pipeline_id}/events",
        path=f"{API}/pipelines/{pipeline_id}/events",
        query=query,
    )


def may_be_old_token(error: DatabricksError) -> bool:
    """Whether the response to a request with a page token may mean that Databricks no longer knows the token.

    What it answers then is not documented. A 400 and a 404 were seen for other lists. The same 404 may mean that the
    pipeline is gone. A request without the token shows which of the two it is.
    """
    return error.databricks_status in {400, 404} and not error.refuses_app and not error.route_unknown


def decode_events_page(payload: JsonObject) -> EventsPage:
    """Read a page of events. Their texts are cut to the limits above."""
    events = tuple(
        LogEvent(
            update_id=_update_id(entry),
            at=instant_of(entry.get("timestamp")),
            level=text_of(entry.get("level"), _MAX_WORD),
            event_type=text_of(entry.get("event_type"), _MAX_WORD),
            message=ends_of(entry.get("message"), MAX_MESSAGE),
            failures=_outermost_and_last(_failures(entry, MAX_FAILURE)),
        )
        for entry in objects_of(payload.get("events"))
    )
    return EventsPage(events=events, next_page_token=page_token_of(payload))


def decode_error_events(payload: JsonObject) -> tuple[ErrorEvent, ...]:
    """Read a page of events. Entries without an error are left out."""
    return tuple(
        ErrorEvent(
            update_id=_update_id(entry), fatal=error.get("fatal") is True, failures=_failures(entry, _MAX_SEARCHED)
        )
        for entry in objects_of(payload.get("events"))
        if isinstance(error := entry.get("error"), dict)
    )


def _update_id(entry: JsonObject) -> str | None:
    origin = entry.get("origin")
    return id_of(origin.get("update_id")) if isinstance(origin, dict) else None


def _failures(entry: JsonObject, most: int) -> tuple[Failure, ...]:
    error = entry.get("error")
    exceptions = objects_of(error.get("exceptions")) if isinstance(error, dict) else []
    return tuple(
        Failure(
            class_name=text_of(failure.get("class_name"), _MAX_CLASS), message=ends_of(failure.get("message"), most)
        )
        for failure in exceptions
    )


def _outermost_and_last(failures: tuple[Failure, ...]) -> tuple[Failure, ...]:
    """Return at most MAX_FAILURES exceptions. The cause, which is the last one, is always kept."""
    return failures if len(failures) <= MAX_FAILURES else (failures[0], *failures[1 - MAX_FAILURES :])
