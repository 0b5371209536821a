"""The rows of runs: `run`, `recent` and, while a run is active, `active`. The rows of one run change in one batch.

Several runs may share a batch: then all of their changes happen or none. Each writer stores a random `writeId`. After
an unclear answer from storage, the write is recognised by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.tables import Operation, Partition, etag_of
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import RUN, decode_active, encode_active
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run
from polysync_core.values.stored import Locked

_MOST_OPERATIONS = 100
_MOST_CHARACTERS = 1_000_000
"""Of a batch. Storage takes 100 rows and 4 MiB: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunChange:
    """A change of one run: its lock, the run as it is to be, and the changes of other rows in the same batch."""

    locked: Locked[Run]
    run: Run
    extra_operations: Sequence[Operation] = ()


class RunRows:
    """Reads and writes of single runs of one workspace. Every method may raise StorageUnavailable."""

    def __init__(self, partition: Partition, new_id: Callable[[], str]) -> None:
        self._partition = partition
        self._new_id = new_id

    def find(self, run_id: RunId) -> Run | None:
        """The run that has this id, or an attempt with this id. None if there is none.

        If the `run` row of an active run is unreadable, its `active` row is read. Raises RowUnreadable if no row can be
        read.
        """
        row = self._partition.get(row_keys.run(run_id))
        if row is not None and "aliasOf" in row:
            run_id = _decode_alias(row)
            row = self._partition.get(row_keys.run(run_id))
            if row is None:
                raise RowUnreadable("A stored row leads to a run that is not there.")
        if row is None:
            return None
        try:
            return RUN.decode(row)
        except RowUnreadable:
            locked = self.find_active(run_id)
            if locked is None:
                raise
            return locked.value

    def find_holder(self, run_id: RunId) -> RunId | None:
        """The id of the run that tracks this update. None when no run does.

        An unreadable row still holds its update, so `run_id` itself is returned and nothing is raised. No other run may
        track that update.
        """
        try:
            run = self.find(run_id)
        except RowUnreadable:
            return run_id
        return None if run is None else run.run_id

    def find_active(self, run_id: RunId) -> Locked[Run] | None:
        """The run with its lock, or None when it is not active."""
        row = self._partition.get(row_keys.active(run_id))
        return None if row is None else Locked(value=decode_active(row), etag=etag_of(row))

    def find_locked(self, run_id: RunId) -> Locked[Run] | None:
        """The run with its lock, active or finished; None when it is not known."""
        return self.find_active(run_id) or self.find_finished(run_id)

    def find_finished(self, run_id: RunId) -> Locked[Run] | None:
        """The run with its lock, or None when it is not known or not finished."""
        row = self._partition.get(row_keys.run(run_id))
        if row is None:
            return None
        run = RUN.decode(row)
        return Locked(value=run, etag=etag_of(row)) if run.is_finished else None

    def insert(self, run: Run, extra_operations: Sequence[Operation]) -> bool:
        """Begin to track a run, with `extra_operations` in the same batch. False when it is tracked already."""
        write_id = self._new_id()
        active_key, run_key, recent_key = _keys_of(run)
        columns = _columns(run, write_id)
        rows = [
            tables.create(active_key, encode_active(run)),
            tables.create(run_key, columns),
            tables.create(recent_key, columns),
        ]
        done = self._partition.commit([*extra_operations, *rows], was_written=lambda: self._wrote(run, write_id))
        return done is not None

    def change(self, change: RunChange) -> bool:
        """Replace the run under its lock, with the change's other operations in the same batch.

        False when another change was first, or another row was not as expected; nothing was written then. The `active`
        row of a run that finishes is deleted. A new attempt gets an alias row, so that no other run tracks its update.
        """
        return self._commit([self._written(change)])

    def change_all(self, changes: Iterable[RunChange]) -> Iterator[tuple[RunChange, bool]]:
        """Change many runs, each as `change` does, in as few batches as possible. Yields each change as it is made.

        A batch in which one row was not as expected is repeated run by run, so that each run has its own outcome.
        Raises StorageUnavailable: then the changes that were not yielded may have happened or not.
        """
        for batch in _batches([self._written(change) for change in changes]):
            if self._commit(batch):
                yield from ((written.change, True) for written in batch)
            elif len(batch) == 1:
                yield batch[0].change, False
            else:
                yield from ((written.change, self._commit([written])) for written in batch)

    def _written(self, change: RunChange) -> _Written:
        write_id, before, run = self._new_id(), change.locked.value, change.run
        columns = _columns(run, write_id)
        active_key, run_key, recent_key = _keys_of(run)
        etag = change.locked.etag
        changed = tables.replace(run_key, columns, etag if before.is_finished else None)
        operations = [changed, tables.replace(recent_key, columns)]
        if not before.is_finished and run.is_finished:
            operations.append(tables.delete(active_key, etag))
        elif not run.is_finished:
            operations.append(tables.replace(active_key, encode_active(run), etag))
        known = {attempt.update_id for attempt in before.attempts}
        for attempt in run.attempts:
            if attempt.update_id in known:
                continue
            alias = row_keys.run(RunId(run.run_id.pipeline_id, attempt.update_id))
            operations.append(tables.create(alias, {"aliasOf": run_key}))
        return _Written(change=change, operations=(*operations, *change.extra_operations), write_id=write_id)

    def _commit(self, batch: Sequence[_Written]) -> bool:
        first = batch[0]
        done = self._partition.commit(
            [operation for written in batch for operation in written.operations],
            was_written=lambda: self._wrote(first.change.run, first.write_id),
        )
        return done is not None

    def finish_without_active_row(
        self, run_id: RunId, finish: Callable[[Run], Run], extra_operations: Callable[[Run], Sequence[Operation]]
    ) -> Run | None:
        """Finish a run from its `run` row, where its `active` row is unreadable or missing.

        Returns the finished run, or None when it is not known, is finished, or another change was first.
        """
        row = self._partition.get(row_keys.run(run_id))
        before = None if row is None else RUN.decode(row)
        if row is None or before is None or before.is_finished:
            return None
        run, write_id = finish(before), self._new_id()
        columns = _columns(run, write_id)
        active_key, run_key, recent_key = _keys_of(run)
        operations = [tables.replace(run_key, columns, etag_of(row)), tables.replace(recent_key, columns)]
        active = self._partition.get(active_key)
        if active is not None:
            operations.append(tables.delete(active_key, etag_of(active)))
        done = self._partition.commit(
            [*operations, *extra_operations(run)], was_written=lambda: self._wrote(run, write_id)
        )
        return None if done is None else run

    def _wrote(self, run: Run, write_id: str) -> bool:
        row = self._partition.get(row_keys.run(run.run_id))
        return row is not None and row.get("writeId") == write_id


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    """A change as the operations of a batch."""

    change: RunChange
    operations: tuple[Operation, ...]
    write_id: str


def _batches(written: Iterable[_Written]) -> Iterator[list[_Written]]:
    """Group changes in their order, so that no batch passes storage's limits."""
    batch: list[_Written] = []
    operations = characters = 0
    for one in written:
        size = sum(len(str(value)) for each in one.operations for value in each.columns.values())
        if batch and (operations + len(one.operations) > _MOST_OPERATIONS or characters + size > _MOST_CHARACTERS):
            yield batch
            batch, operations, characters = [], 0, 0
        batch.append(one)
        operations += len(one.operations)
        characters += size
    if batch:
        yield batch


def _decode_alias(row: Mapping[str, object]) -> RunId:
    try:
        return RunId.parse(str(row["aliasOf"]).removeprefix(row_keys.RUN))
    except ValueError as wrong:
        raise RowUnreadable("A stored row leads to no run.") from wrong


def _keys_of(run: Run) -> tuple[str, str, str]:
    return (
        row_keys.active(run.run_id),
        row_keys.run(run.run_id),
        row_keys.recent(run.run_id, run.accepted_at),
    )


def _columns(run: Run, write_id: str) -> Mapping[str, object]:
    return {**RUN.encode(run), "writeId": write_id}
