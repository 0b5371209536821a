"""Which update of a pipeline came right after another, and when a page of them cannot tell."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from polysync_core.rules.decisions.retry_rules import next_update, reaches_back_to
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.run import Attempt
from tests.rules.examples import NOW

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
def test_the_next_update_is_told_by_a_page_that_goes_back_far_enough(
    numbers: tuple[int, ...], expected: str | None, reaches: bool
) -> None:
    updates = [_update(number) for number in numbers]
    following = next_update(ATTEMPT, updates)
    assert (following.update_id if following else None, reaches_back_to(ATTEMPT, updates)) == (expected, reaches)
