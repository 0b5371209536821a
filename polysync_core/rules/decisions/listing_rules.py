"""Whether a sweep lists the workspace's pipelines, and how a listing goes on. Pure: times are arguments.

Overload never makes a sweep do more: a listing that takes too long goes on at the next sweep, at the page where it
stopped. Only a listing that is refused, or that costs more calls than single looks, turns to single looks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from polysync_core.values.run import ListingMemory

PAGES_KNOWN_FOR = timedelta(hours=1)
REFUSED_FOR = timedelta(minutes=1)
MOST_LOOKS_WHEN_REFUSED = 40
"""Single looks of a sweep after a refused listing, about three a second. More only if a listing takes more pages."""
_LONGEST_TOKEN = 8_000
"""A longer page token is not stored. Tokens that were seen have some hundred characters."""


def known_pages(memory: ListingMemory, now: datetime) -> int | None:
    """Return how many pages the list of the workspace's pipelines takes. None if the count is unknown or too old."""
    if memory.pages_counted_at is None or now - memory.pages_counted_at > PAGES_KNOWN_FOR:
        return None
    return memory.pages


def should_list(active: int, pages: int | None) -> bool:
    """Whether listing the pipelines costs fewer calls than one GET for each of `active` runs.

    `pages` is None if the number of pages is unknown. The list is then tried if there are at least two active runs.
    """
    return active > (1 if pages is None else pages)


def is_refused(memory: ListingMemory, now: datetime) -> bool:
    """Whether a listing was refused, and it is too early to try another one."""
    return memory.not_before is not None and now < memory.not_before


def note_refused(memory: ListingMemory, retry_after_seconds: int | None, now: datetime) -> ListingMemory:
    """A listing was refused or failed. The next one begins a minute later, or when Databricks says, at page one."""
    pause = max(REFUSED_FOR, timedelta(seconds=retry_after_seconds or 0))
    return replace(begin_again(memory), not_before=now + pause)


def most_looks_when_refused(memory: ListingMemory) -> int:
    """Return how many runs may get their own GET in a sweep while listings are refused: what a listing would cost."""
    return max(MOST_LOOKS_WHEN_REFUSED, memory.pages or 0)


def note_cut(memory: ListingMemory, page_token: str, pages: int, now: datetime) -> ListingMemory:
    """The time of a sweep ended after `pages` more pages. The next sweep goes on at `page_token`."""
    if len(page_token) > _LONGEST_TOKEN:
        return replace(begin_again(memory), not_before=None)
    return replace(
        memory,
        page_token=page_token,
        listing_began_at=memory.listing_began_at or now,
        pages_listed=memory.pages_listed + pages,
        not_before=None,
    )


def note_complete(memory: ListingMemory, pages: int, now: datetime) -> ListingMemory:
    """The last page came after `pages` more pages, so their number is known again."""
    return replace(begin_again(memory), pages=memory.pages_listed + pages, pages_counted_at=now, not_before=None)


def note_dear(memory: ListingMemory, active: int, now: datetime) -> ListingMemory:
    """A listing took as many pages as there are active runs, and is not over: for an hour it counts as dearer."""
    return replace(begin_again(memory), pages=active + 1, pages_counted_at=now, not_before=None)


def begin_again(memory: ListingMemory) -> ListingMemory:
    """Forget the place of a listing that was cut short, so that the next one begins at the first page."""
    return replace(memory, page_token=None, listing_began_at=None, pages_listed=0)
