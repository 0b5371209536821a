"""The app answers as openapi.json says, for any request. `make fuzz` does the same with many more requests."""

from __future__ import annotations

import pytest

from tests.fuzz import fuzz

EXAMPLES = 25


@pytest.mark.timeout(300)
def test_no_request_gets_a_5xx_or_an_answer_that_is_not_documented(azurite: str) -> None:
    summary = fuzz(azurite, EXAMPLES, seed=1)
    assert not summary.failures, str(summary)
    for route, statuses in summary.answers.items():
        assert statuses.total() == EXAMPLES, route
        assert any(status < 300 for status in statuses), f"{route}: no request came through, so little was tried"
