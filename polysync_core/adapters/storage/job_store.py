"""The table PolysyncJobs: one row for each job, one for each removed job with user values, one for discoveries.

A row that a discovery writes holds the random `writeId` of that write. After an unclear answer from storage, the row is
read back and the write is recognised by it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice

from azure.data.tables import TableEntity

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.tables import Operation, Partition, etag_of
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.job_entity import (
    DEFAULTS_COLUMNS,
    DISCOVERY_LAST,
    JOB,
    REMOVED,
    decode_defaults,
    decode_discoveries,
    decode_full_refresh,
    decode_job,
    encode_full_refresh,
    encode_last_discovery,
    encode_under_way,
    job_key,
    pieces_of,
    removed_key,
)
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.ids import is_id
from polysync_core.values.job import (
    Discoveries,
    DiscoveryPass,
    FullRefresh,
    Job,
    JobDefaults,
    JobPage,
    JobWrite,
    LastDiscovery,
    StoredJob,
    Tally,
)

MAX_PAGE_CHARACTERS = 1_000_000
"""A page ends after this many characters of parameters: Data Factory accepts responses up to 4 MB."""
_MAX_BATCH_CHARACTERS = 1_500_000
"""Characters of text in one batch. Table Storage takes 4 MiB, and encoding doubles each quote."""
_MAX_BATCH, _MAX_JOBS = 100, 50
"""The most rows and the most jobs in one batch. A removed job takes two rows."""
_log = logging.getLogger("polysync.jobs")


class JobStore:
    """All reads and writes of one workspace's jobs. Every method may raise StorageUnavailable."""

    def __init__(self, partition: Partition, new_id: Callable[[], str]) -> None:
        self._partition = partition
        self._new_id = new_id

    # --- reading

    def find(self, pipeline_id: str) -> StoredJob | None:
        row = self._partition.get(job_key(pipeline_id))
        return None if row is None else _stored(row)

    def find_defaults(self, pipeline_id: str) -> JobDefaults:
        """What a start needs of its job. Raises RowUnreadable when the user's own columns are unreadable."""
        row = self._partition.get(job_key(pipeline_id), DEFAULTS_COLUMNS)
        return JobDefaults() if row is None else decode_defaults(row)

    def iter_jobs(self, *, after: str, upto: str | None) -> Iterator[StoredJob]:
        """The jobs with ids after `after`, up to `upto` (None: to the end), in order of id.

        Rows are read only as the caller takes them.
        """
        first, last = (job_key(after) if after else ""), (None if upto is None else job_key(upto))
        for row in self._partition.scan(JOB, after=first, upto=last):
            stored = _stored(row)
            if is_id(stored.pipeline_id):
                yield stored

    def list_page(self, *, limit: int, continuation: str | None) -> JobPage:
        """A page of jobs, in order of pipeline id. It is shorter when their parameters are large.

        Unreadable rows are left out. Raises InvalidRequest when the continuation is not from an earlier page.
        """
        after = row_keys.decode_continuation(continuation, JOB)
        jobs: list[Job] = []
        characters, last_key = 0, ""
        for row in self._partition.scan(JOB, after=after, page_size=limit + 1):
            if len(jobs) >= limit or characters > MAX_PAGE_CHARACTERS:
                return JobPage(jobs=tuple(jobs), continuation=row_keys.encode_continuation(last_key))
            last_key = str(row["RowKey"])
            stored = _stored(row)
            if stored.job is None:
                _log.warning("row %s cannot be read", last_key, extra={"action": "list_jobs"})
            else:
                jobs.append(stored.job)
                characters += stored.job.characters
        return JobPage(jobs=tuple(jobs), continuation=None)

    # --- writing

    def save(self, writes: Sequence[JobWrite]) -> list[JobWrite]:
        """Save `writes` in batches. Returns the writes of each batch in which a row was not as expected.

        Nothing of such a batch was written. A row is merged under its ETag, so a PUT in between is noticed and not
        undone.
        """
        refused: list[JobWrite] = []
        for batch in _batches(writes):
            if not self._commit(batch):
                refused += batch
        return refused

    def _commit(self, writes: Sequence[JobWrite]) -> bool:
        write_id = self._new_id()
        operations = [operation for write in writes for operation in _operations(write, write_id)]
        return self._partition.commit(operations, was_written=lambda: self._wrote(writes, write_id)) is not None

    def _wrote(self, writes: Sequence[JobWrite], write_id: str) -> bool:
        """Whether this batch was written. One row shows it, because a batch is written completely or not at all."""
        write = next((write for write in writes if write.columns is not None), writes[0])
        row = self._partition.get(job_key(write.pipeline_id), ["RowKey", "writeId"])
        if write.columns is None:
            return row is None
        return row is not None and row.get("writeId") == write_id

    def removed_full_refresh(self) -> dict[str, FullRefresh]:
        """The users' full_refresh of removed jobs, by pipeline id. Unreadable rows are left out."""
        kept: dict[str, FullRefresh] = {}
        for row in self._partition.scan(REMOVED):
            with suppress(RowUnreadable):
                full_refresh = decode_full_refresh(row)
                if full_refresh is not None:
                    kept[str(row["RowKey"]).removeprefix(REMOVED)] = full_refresh
        return kept

    def delete_removed_before(self, cutoff: datetime) -> None:
        """Delete up to 100 rows of jobs that were removed before `cutoff`."""
        rows = self._partition.scan(REMOVED, where="removedAt lt @cutoff", values={"cutoff": cutoff})
        operations = [tables.delete(str(row["RowKey"]), etag_of(row)) for row in islice(rows, _MAX_BATCH)]
        if operations:
            self._partition.commit(operations, was_written=lambda: False)

    def set_full_refresh(self, pipeline_id: str, full_refresh: FullRefresh) -> bool:
        """Store the user's own value and direction, and no other column. False when there is no such job."""
        columns = encode_full_refresh(full_refresh)

        def is_there() -> bool:
            row = self._partition.get(job_key(pipeline_id), [*columns])
            return row is not None and all(row.get(name) == value for name, value in columns.items())

        merged = tables.merge(job_key(pipeline_id), columns)
        return self._partition.commit([merged], was_written=is_there) is not None

    # --- the last discovery

    def discoveries(self) -> Discoveries:
        """The last discovery and the one under way. Both are None when the row is missing or unreadable."""
        row = self._partition.get(DISCOVERY_LAST)
        try:
            return Discoveries() if row is None else decode_discoveries(row)
        except RowUnreadable:
            return Discoveries()

    def save_completed(self, last: LastDiscovery | None, tally: Tally, *, scheduled: bool) -> None:
        """Save the report of a complete discovery. With `scheduled`, the one under way is ended too."""
        columns = encode_last_discovery(last, tally)
        if scheduled:
            columns |= encode_under_way(None)
        self._partition.set_columns(DISCOVERY_LAST, columns)

    def save_under_way(self, under_way: DiscoveryPass) -> None:
        columns = encode_under_way(under_way)
        self._partition.set_columns(DISCOVERY_LAST, columns)


def _stored(row: TableEntity) -> StoredJob:
    pipeline_id = str(row["RowKey"]).removeprefix(JOB)
    try:
        job = decode_job(row)
    except RowUnreadable:
        return StoredJob(pipeline_id=pipeline_id, etag=etag_of(row), pieces=pieces_of(row), job=None)
    return StoredJob(pipeline_id=pipeline_id, etag=etag_of(row), pieces=pieces_of(row), job=job)


def _batches(writes: Sequence[JobWrite]) -> Iterator[list[JobWrite]]:
    batch: list[JobWrite] = []
    characters = 0
    for write in writes:
        size = sum(len(value) for value in (write.columns or {}).values() if isinstance(value, str))
        if batch and (len(batch) == _MAX_JOBS or characters + size > _MAX_BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(write)
        characters += size
    if batch:
        yield batch


def _operations(write: JobWrite, write_id: str) -> Iterator[Operation]:
    key, stored = job_key(write.pipeline_id), write.stored
    if write.kept is not None:
        yield tables.replace(removed_key(write.pipeline_id), write.kept)
    if write.columns is None:
        yield tables.delete(key, "" if stored is None else stored.etag)
        return
    columns = {**write.columns, "writeId": write_id}
    yield tables.create(key, columns) if stored is None else tables.merge(key, columns, stored.etag)
