"""When a sweep lists pipelines, and how a listing goes on: overload never makes a sweep do more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from polysync_core.rules.decisions import listing_rules
from polysync_core.rules.decisions.listing_rules import known_pages, should_list
from polysync_core.values.run import ListingMemory
from tests.rules.examples import NOW

COUNTED = ListingMemory(pages=7, pages_counted_at=NOW)
LATER = NOW + timedelta(seconds=15)


@pytest.mark.parametrize(
    ("active", "pages", "expected", "reason"),
    [
        (0, None, False, "nothing to look at"),
        (1, None, False, "one call either way"),
        (2, None, True, "nobody knows how many pages: tried, up to two"),
        (1, 1, False, "one call either way"),
        (2, 1, True, "one page is cheaper than two looks"),
        (10, 10, False, "as many pages as runs"),
        (11, 10, True, "fewer pages than runs"),
        (3, 10, False, "more pages than runs"),
        (1000, 120, True, "12,000 pipelines"),
        (1, 0, True, "an empty workspace lists for nothing"),
    ],
)
def test_listing_is_chosen_where_it_costs_fewer_calls(
    active: int, pages: int | None, expected: bool, reason: str
) -> None:
    assert should_list(active, pages) is expected, reason


@pytest.mark.parametrize(
    ("memory", "expected", "reason"),
    [
        (ListingMemory(), None, "never listed"),
        (ListingMemory(pages=7, pages_counted_at=NOW), 7, "just counted"),
        (ListingMemory(pages=7, pages_counted_at=NOW - timedelta(hours=1)), 7, "an hour ago"),
        (ListingMemory(pages=7, pages_counted_at=NOW - timedelta(hours=1, seconds=1)), None, "too long ago"),
    ],
)
def test_the_number_of_pages_is_known_for_an_hour(memory: ListingMemory, expected: int | None, reason: str) -> None:
    assert known_pages(memory, NOW) == expected, reason


def test_a_listing_that_is_cut_short_keeps_its_place_and_its_pages_count() -> None:
    once = listing_rules.note_cut(COUNTED, "token-1", 4, NOW)
    assert (once.page_token, once.listing_began_at, once.pages_listed, once.pages) == ("token-1", NOW, 4, 7)
    twice = listing_rules.note_cut(once, "token-2", 3, LATER)
    assert (twice.page_token, twice.listing_began_at, twice.pages_listed) == ("token-2", NOW, 7)
    done = listing_rules.note_complete(twice, 2, LATER)
    assert done == ListingMemory(pages=9, pages_counted_at=LATER)


def test_a_page_token_that_is_too_long_for_its_row_is_not_kept() -> None:
    assert listing_rules.note_cut(COUNTED, "t" * 8_001, 4, NOW) == COUNTED


def test_a_refused_listing_is_tried_a_minute_later_at_its_first_page() -> None:
    cut = listing_rules.note_cut(COUNTED, "token", 4, NOW)
    for retry_after, minutes in ((None, 1), (10, 1), (300, 5)):
        refused = listing_rules.note_refused(cut, retry_after, NOW)
        assert (refused.page_token, refused.pages_listed) == (None, 0)
        assert listing_rules.is_refused(refused, NOW + timedelta(minutes=minutes, seconds=-1))
        assert not listing_rules.is_refused(refused, NOW + timedelta(minutes=minutes))
    assert not listing_rules.is_refused(COUNTED, NOW)


@pytest.mark.parametrize(("pages", "most"), [(None, 40), (7, 40), (40, 40), (120, 120)])
def test_single_looks_in_place_of_a_refused_listing_cost_no_more_than_it(pages: int | None, most: int) -> None:
    assert listing_rules.most_looks_when_refused(ListingMemory(pages=pages)) == most


def test_a_listing_that_costs_as_much_as_single_looks_is_dear_for_an_hour() -> None:
    dear = listing_rules.note_dear(listing_rules.note_cut(COUNTED, "token", 4, NOW), 20, NOW)
    assert dear == ListingMemory(pages=21, pages_counted_at=NOW)
    assert not should_list(20, known_pages(dear, NOW))
