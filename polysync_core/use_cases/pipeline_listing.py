"""One sweep's part of a workspace's list of pipelines. It begins where the sweep before had to stop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime

from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.rules.decisions import listing_rules
from polysync_core.values.databricks import PipelinesPage
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable
from polysync_core.values.run import ListingMemory

_log = logging.getLogger("polysync.sweep")


class Listing:
    """The pages of one sweep. When `pages` has ended, `memory` says how the next sweep goes on.

    `began_at` is when the listing began, maybe some sweeps ago. `is_complete`: its last page came.
    `is_refused`: Databricks refused it, or did not answer to it. `is_dear`: single looks cost no more calls.
    """

    def __init__(
        self, client: BoundedClient, memory: ListingMemory, active: int, now: datetime, *, most_seconds_a_page: float
    ) -> None:
        self._client = client
        self._active = active
        self._now = now
        self._most_seconds_a_page = most_seconds_a_page
        self.memory = memory
        self.began_at = memory.listing_began_at or now
        self.is_complete = self.is_refused = self.is_dear = False

    def pages(self) -> Iterator[PipelinesPage]:
        """Fetch pages until the client's deadline.

        Raises DatabricksUnreachable and TokenUnavailable where nothing could be sent for the first page: asking for
        each run would do no better.
        """
        begin, count = self.memory, 0
        token = begin.page_token
        used: set[str | None] = {token}
        while True:
            asked = self._client.deadline.clock.monotonic()
            try:
                page = self._client.fetch_pipelines_page(token)
            except DatabricksUnreachable as error:
                waited = self._client.deadline.clock.monotonic() - asked
                self._end_without_answer(error, begin, token, count, waited)
                return
            except DatabricksError as error:
                if count == 0 and token is not None and not error.is_busy:
                    begin, token = listing_rules.begin_again(begin), None  # the stored page token may have expired
                    used = {token}
                    self.memory = begin
                    self.began_at = self._now
                    continue
                self._end_refused(error.detail, error.retry_after_seconds)
                return
            count += 1
            yield page
            token = page.next_page_token
            if token is None or token in used:
                self.memory = listing_rules.note_complete(begin, count, self._now)
                self.is_complete = True
                return
            used.add(token)
            if begin.pages_listed + count >= self._active:
                self.memory = listing_rules.note_dear(begin, self._active, self._now)
                self.is_dear = True
                return

    def _end_without_answer(
        self, error: DatabricksUnreachable, begin: ListingMemory, token: str | None, count: int, waited: float
    ) -> None:
        """End where a page did not come. A page that only had too little time is fetched by the next sweep."""
        if count and token is not None:
            self.memory = listing_rules.note_cut(begin, token, count, self._now)
            return
        is_cut = self._client.deadline.is_over() and waited < self._most_seconds_a_page
        if error.was_sent and not is_cut:
            self._end_refused(error.detail, None)
        elif not is_cut:
            raise error

    def _end_refused(self, detail: str, retry_after_seconds: int | None) -> None:
        name = self._client.workspace_name
        _log.warning("the pipelines of workspace %s are not listed for now: %s", name, detail)
        self.memory = listing_rules.note_refused(self.memory, retry_after_seconds, self._now)
        self.is_refused = True
