"""The `recent` rows of a listing, newest first.

Table Storage has no index but the row key, so a filter reads every row of its range. A filtered listing goes back in
time range by range. Each range is as long as it takes to read it in a fraction of a second, so the caller may stop in
between.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from polysync_core.adapters.storage.tables import Partition
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import RUN
from polysync_core.values.deadline import MonotonicClock
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.run import Run, RunFilter

_log = logging.getLogger("polysync.store")
_FIRST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
"""No run is older. Table Storage refuses a time before the year 1601."""
_FIRST_RANGE_SECONDS = 7 * 24 * 3600.0
_QUICK_SECONDS, _SLOW_SECONDS = 0.3, 0.8
"""A range that is read faster is followed by a longer one, and one that takes longer by a shorter one."""


def recent_rows(
    partition: Partition, wanted: RunFilter, after: str, end: str, limit: int, clock: MonotonicClock
) -> Iterator[tuple[str, Run | None]]:
    """The key and the run of each row after `after`, up to `end`.

    With a filter, None stands for the run at the end of each range: the listing has come as far as that key.
    """
    where, values = _condition(wanted)
    if not where:
        yield from _read(partition, after, end, where, values, limit)
        return
    seconds = _FIRST_RANGE_SECONDS
    while (first := _first_key(partition, after, end)) is not None:
        began = clock.monotonic()
        upto = min(end, row_keys.recent_earlier(first, seconds))
        yield from _read(partition, after, upto, where, values, limit)
        yield upto, None
        after = upto
        took = clock.monotonic() - began
        seconds = seconds * 2 if took < _QUICK_SECONDS else seconds / 2 if took > _SLOW_SECONDS else seconds


def _condition(wanted: RunFilter) -> tuple[str, dict[str, object]]:
    """The filter for Table Storage, and the values of its parameters. A row without a column does not match."""
    wants: list[tuple[str, str, object]] = []
    if wanted.status is not None:
        wants.append(("status", "eq", wanted.status.value))
    if wanted.pipeline_id is not None:
        wants.append(("pipelineId", "eq", wanted.pipeline_id))
    if wanted.finished_since is not None:
        wants.append(("finishedAt", "ge", max(_FIRST_INSTANT, wanted.finished_since)))
    return (
        " and ".join(f"{column} {operator} @{column}" for column, operator, _ in wants),
        {column: value for column, _, value in wants},
    )


def _first_key(partition: Partition, after: str, end: str) -> str | None:
    """The key of the next row, whatever it holds: a range without rows is not worth a question of its own."""
    row = next(partition.scan(row_keys.RECENT, after=after, upto=end, page_size=1), None)
    return None if row is None else str(row["RowKey"])


def _read(
    partition: Partition, after: str, upto: str, where: str, values: dict[str, object], limit: int
) -> Iterator[tuple[str, Run]]:
    for row in partition.scan(row_keys.RECENT, after=after, upto=upto, where=where, values=values, page_size=limit + 1):
        try:
            yield str(row["RowKey"]), RUN.decode(row)
        except RowUnreadable:
            _log.warning("a row of the listing cannot be read", extra={"action": "list_runs"})
