"""Which events belong to a run, and where the search for them ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from polysync_core.rules.decisions.event_rules import EventTimes, event_times, events_of, next_token
from polysync_core.values.databricks import EventsPage, LogEvent
from polysync_core.values.run import Attempt
from tests.rules.examples import BEFORE, NOW, make_run

MINUTE = timedelta(minutes=1)
UNKNOWN_START: dict[str, Any] = {"started_at": None, "attempts": (Attempt(update_id="u1", state=None),)}


def log_event(update_id: str | None = "u1", at: datetime | None = NOW, message: str = "m") -> LogEvent:
    return LogEvent(update_id=update_id, at=at, level="INFO", event_type="t", message=message, failures=())


@pytest.mark.parametrize(
    ("fields", "since", "until", "reason"),
    [
        ({}, BEFORE - MINUTE, None, "active: up to now"),
        ({"state": "COMPLETED", "finished_at": NOW}, BEFORE - MINUTE, NOW + 10 * MINUTE, "finished"),
        ({"state": "COMPLETED"}, BEFORE - MINUTE, None, "ended, and waits for a retry"),
        ({"state": None, "finished_at": NOW}, BEFORE - MINUTE, None, "given up: its update may go on"),
        (UNKNOWN_START | {"accepted_at": NOW}, NOW - MINUTE, None, "its creation was not seen yet"),
        (UNKNOWN_START | {"attached": True}, None, None, "joined: perhaps much older than the run"),
        (
            UNKNOWN_START | {"attempts": (Attempt(update_id="u1", state=None, created_at=NOW),), "attached": True},
            NOW - MINUTE,
            None,
            "joined, and its creation was seen",
        ),
    ],
)
def test_between_which_times_a_run_has_events(
    fields: dict[str, Any], since: datetime | None, until: datetime | None, reason: str
) -> None:
    assert event_times(make_run(**fields)) == EventTimes(since=since, until=until), reason


def test_the_events_of_all_attempts_are_the_runs_and_no_others() -> None:
    run = make_run(attempts=(Attempt(update_id="u1", state="FAILED"), Attempt(update_id="u2", state="RUNNING")))
    log = [log_event(update_id) for update_id in ("u2", "u3", None, "u1", "u2", "U1")]
    assert [event.update_id for event in events_of(run, log)] == ["u2", "u1", "u2"]


@pytest.mark.parametrize(
    ("times", "token", "since", "expected", "reason"),
    [
        ([NOW], "t2", NOW, "t2", "there is a next page"),
        ([NOW], None, NOW, None, "there is none"),
        ([NOW], "t1", NOW, None, "a repeated token leads nowhere"),
        ([], "t2", NOW, "t2", "an empty page in between"),
        ([None], "t2", NOW, "t2", "a page without times"),
        ([NOW, BEFORE], "t2", NOW, "t2", "a part is older than the run"),
        ([BEFORE, None, BEFORE], "t2", NOW, None, "all of it is older than the run"),
        ([BEFORE], "t2", None, "t2", "nobody knows when the run began"),
    ],
)
def test_where_the_search_goes_on(
    times: list[datetime | None], token: str | None, since: datetime | None, expected: str | None, reason: str
) -> None:
    page = EventsPage(events=tuple(log_event(at=at) for at in times), next_page_token=token)
    assert next_token(page, "t1", EventTimes(since=since, until=None)) == expected, reason
