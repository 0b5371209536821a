"""One sweep's part of a listing, with a client that answers from a script."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from local.rig import ManualClock
from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.use_cases.pipeline_listing import Listing
from polysync_core.values.databricks import PipelinesPage
from polysync_core.values.databricks_errors import DatabricksError
from polysync_core.values.deadline import Deadline
from polysync_core.values.run import ListingMemory

NOW = datetime(2026, 11, 27, tzinfo=UTC)


class _Pages:
    """Ten pages. The first call with the token of the third one is refused, as an expired token is."""

    workspace_name = "w"

    def __init__(self) -> None:
        self.deadline = Deadline.after(ManualClock(), 60)
        self.asked: list[str | None] = []

    def fetch_pipelines_page(self, page_token: str | None = None) -> PipelinesPage:
        self.asked.append(page_token)
        if self.asked == ["page-2"]:
            raise DatabricksError("The page token has expired.", databricks_status=400)
        number = 0 if page_token is None else int(page_token[5:])
        following = None if number == 9 else f"page-{number + 1}"
        return PipelinesPage(pipelines=(), next_page_token=following)


def test_a_listing_that_begins_again_may_meet_the_refused_token_once_more() -> None:
    client = _Pages()
    memory = ListingMemory(pages=10, pages_counted_at=NOW, page_token="page-2", listing_began_at=NOW, pages_listed=2)
    listing = Listing(cast("BoundedClient", client), memory, 1_000, NOW, most_seconds_a_page=4.0)
    assert len([*listing.pages()]) == 10
    assert client.asked[:2] == ["page-2", None]
    assert (listing.is_complete, listing.memory.pages) == (True, 10)
