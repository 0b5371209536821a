"""Which events of a pipeline's log belong to a run, and where a search for them ends. Pure.

The log is of the pipeline. So a page may hold only events of other updates, or events of no update.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from polysync_core.rules.decisions.run_states import is_final
from polysync_core.values.databricks import EventsPage, LogEvent
from polysync_core.values.run import Run

MOST_PAGES, ENOUGH = 4, 100
"""The most pages that one answer reads, and the number of events after which it reads no more."""
_BEFORE, _AFTER = timedelta(minutes=1), timedelta(minutes=10)
"""Clocks differ, and the app sees the end of an update later than Databricks logs it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventTimes:
    """The times between which a run has events. None: without a limit."""

    since: datetime | None
    until: datetime | None


def event_times(run: Run) -> EventTimes:
    """Return the times between which the run has events.

    An update that was joined may be older than its run. The update of a run that was given up may go on.
    """
    began_at = run.started_at or run.attempts[0].created_at or (None if run.attached else run.accepted_at)
    ended_at = run.finished_at if is_final(run.state) else None
    return EventTimes(
        since=None if began_at is None else began_at - _BEFORE,
        until=None if ended_at is None else ended_at + _AFTER,
    )


def events_of(run: Run, events: Iterable[LogEvent]) -> list[LogEvent]:
    """Return the events of all attempts of the run, in their order."""
    update_ids = {attempt.update_id for attempt in run.attempts}
    return [event for event in events if event.update_id in update_ids]


def next_token(page: EventsPage, page_token: str | None, times: EventTimes) -> str | None:
    """Return the token of the next page that may hold events of the run, or None. `page_token` is that of this page.

    Databricks may ignore the times. Then the search ends with a page that is older than the run. It ends at a repeated
    token too, which would lead nowhere.
    """
    token = None if page.next_page_token == page_token else page.next_page_token
    return None if _is_older(page, times.since) else token


def _is_older(page: EventsPage, since: datetime | None) -> bool:
    times = [event.at for event in page.events if event.at is not None]
    return since is not None and bool(times) and max(times) < since
