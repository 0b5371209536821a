"""Which update of a pipeline directly followed another, and when a page of updates cannot show it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from polysync_core.rules.decisions.retry_rules import is_continuation, next_update, reaches_back_to
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.run import Attempt
from tests.rules.examples import NOW


@pytest.mark.parametrize(
    ("cause", "continues", "reason"),
    [
        ("RETRY_ON_FAILURE", True, "Databricks' retry"),
        ("SETTINGS_CHANGE", True, "Databricks starts it anew after a change of settings"),
        ("A_CAUSE_OF_TOMORROW", True, "every cause but a person's or an API's"),
        ("API_CALL", False, "somebody's"),
        ("USER_ACTION", False, "somebody's"),
        ("JOB_TASK", False, "somebody's"),
        ("ORCHESTRATION", False, "somebody's"),
        (None, False, "a missing cause proves nothing"),
        ("", False, "an empty cause proves nothing"),
    ],
)
def test_an_update_continues_what_ran_unless_somebody_started_it(
    cause: str | None, continues: bool, reason: str
) -> None:
    assert is_continuation(cause) is continues, reason


ATTEMPT = Attempt(update_id="u5", state="FAILED", created_at=NOW)


def _update(number: int, created_at: datetime | None = None) -> SeenUpdate:
    return SeenUpdate(
        update_id=f"u{number}", state="FAILED", created_at=created_at or NOW + timedelta(hours=number - 5)
    )


@pytest.mark.parametrize(
    ("numbers", "expected", "reaches"),
    [
        ((7, 6, 5, 4), "u6", True),
        ((5, 4), None, True),
        ((7, 6, 4), "u6", True),
        ((4, 3), None, True),
        ((9, 8, 7), "u7", False),
        ((), None, False),
    ],
)
def test_the_next_update_is_found_on_a_page_that_reaches_back_far_enough(
    numbers: tuple[int, ...], expected: str | None, reaches: bool
) -> None:
    updates = [_update(number) for number in numbers]
    following = next_update(ATTEMPT, updates)
    assert (following.update_id if following else None, reaches_back_to(ATTEMPT, updates)) == (expected, reaches)
