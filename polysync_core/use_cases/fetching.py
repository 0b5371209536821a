"""Fetch the configurations of many pipelines in parallel, over a bounded number of connections.

When Databricks answers that it is busy, all calls wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

from polysync_core.adapters.clock import Clock
from polysync_core.adapters.databricks.client import BoundedClient
from polysync_core.adapters.threads import ContextPool
from polysync_core.rules.decisions import budgets
from polysync_core.rules.decisions.discovery_rules import Seen, read_pause_seconds
from polysync_core.use_cases.retrying import retried
from polysync_core.values.databricks import Absent, PipelinesPage
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable, PermissionRefused
from polysync_core.values.errors import PolysyncError

_T = TypeVar("_T")


class OutOfTime(Exception):
    """Too little time is left for another call. `because` is the error that caused the delay, if there was one."""

    def __init__(self, because: PolysyncError | None = None) -> None:
        super().__init__()
        self.because = because


class Fetcher:
    """Reads of one workspace until its client's deadline. A 429 or 503 delays all of them."""

    def __init__(self, client: BoundedClient, clock: Clock, connections: int) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._not_before = clock.monotonic()
        self._pool = ContextPool(max_workers=connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def fetch_page(self, page_token: str | None) -> PipelinesPage:
        """A page of the listing. Raises what Databricks raises, and OutOfTime."""
        return self._patiently(lambda: self._client.fetch_pipelines_page(page_token))

    def fetch_all(self, pipeline_ids: Sequence[str]) -> Iterator[Seen | PolysyncError | None]:
        """The result for each pipeline, in order: the answer, the error, or None when time ran out before it.

        Raises the errors that every other pipeline would meet too: TokenUnavailable, and an answer that refuses the
        app.
        """
        return self._pool.map(self._fetch, pipeline_ids)

    def _fetch(self, pipeline_id: str) -> Seen | PolysyncError | None:
        try:
            return self.fetch(pipeline_id)
        except OutOfTime:
            return None
        except (DatabricksError, DatabricksUnreachable) as error:
            if isinstance(error, DatabricksError) and error.refuses_app:
                raise
            return error

    def fetch(self, pipeline_id: str) -> Seen:
        """A pipeline's configuration, or Absent.GONE or Absent.FORBIDDEN.

        Raises what Databricks raises, and OutOfTime.
        """
        try:
            return self._patiently(lambda: self._client.fetch_pipeline(pipeline_id))
        except PermissionRefused as refused:
            if refused.refuses_app:
                raise
            return Absent.FORBIDDEN
        except DatabricksError as error:
            if not error.does_not_exist:
                raise
            return Absent.GONE

    def _patiently(self, call: Callable[[], _T]) -> _T:
        def allowed_call() -> _T:
            self._wait_until_allowed()
            return call()

        return retried(allowed_call, self._pause_after, self._clock)

    def _pause_after(self, error: PolysyncError, tries: int) -> float | None:
        if isinstance(error, DatabricksUnreachable) and self._client.deadline.seconds_left() < budgets.DISCOVERY_LEAST:
            raise OutOfTime(error) from error
        pause = read_pause_seconds(error, tries)
        if pause is None:
            return None
        self._check_time_for(pause, error)
        if isinstance(error, DatabricksError) and error.is_busy:
            self._hold_everyone(pause)  # a busy workspace is busy for every call, so all of them wait
            return 0
        return pause

    def _wait_until_allowed(self) -> None:
        while (seconds := self._not_before - self._clock.monotonic()) > 0:
            self._check_time_for(seconds)
            self._clock.sleep(seconds)
        self._check_time_for(0)

    def _hold_everyone(self, seconds: float) -> None:
        with self._lock:
            self._not_before = max(self._not_before, self._clock.monotonic() + seconds)

    def _check_time_for(self, seconds: float, because: PolysyncError | None = None) -> None:
        if self._client.deadline.seconds_left() - seconds < budgets.DISCOVERY_LEAST:
            raise OutOfTime(because)
