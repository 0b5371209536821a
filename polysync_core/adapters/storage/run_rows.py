"""The rows of one run: `run`, `recent` and, while it is active, `active`. They change in one batch.

Each writer stores a random `writeId`. After an unclear answer from storage, the write is recognised by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.tables import Operation, Partition, etag_of
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import RUN
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run
from polysync_core.values.stored import Locked


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
        return None if row is None else Locked(value=RUN.decode(row), etag=etag_of(row))

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
        rows = [tables.create(key, _columns(run, write_id)) for key in _keys_of(run)]
        return self._partition.commit([*extra_operations, *rows], was_written=lambda: self._wrote(run, write_id))

    def change(self, locked: Locked[Run], run: Run, extra_operations: Sequence[Operation] = ()) -> bool:
        """Replace the run under its lock, with `extra_operations` in the same batch.

        False when another change was first, or another row was not as expected; nothing was written then. The `active`
        row of a run that finishes is deleted. A new attempt gets an alias row, so that no other run tracks its update.
        """
        write_id, before = self._new_id(), locked.value
        columns = _columns(run, write_id)
        active_key, run_key, recent_key = _keys_of(run)
        changed = tables.replace(run_key, columns, locked.etag if before.is_finished else None)
        operations = [changed, tables.replace(recent_key, columns)]
        if not before.is_finished and run.is_finished:
            operations.append(tables.delete(active_key, locked.etag))
        elif not run.is_finished:
            operations.append(tables.replace(active_key, columns, locked.etag))
        known = {attempt.update_id for attempt in before.attempts}
        for attempt in run.attempts:
            if attempt.update_id in known:
                continue
            alias = row_keys.run(RunId(run.run_id.pipeline_id, attempt.update_id))
            operations.append(tables.create(alias, {"aliasOf": run_key}))
        return self._partition.commit([*operations, *extra_operations], was_written=lambda: self._wrote(run, write_id))

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
        return run if done else None

    def _wrote(self, run: Run, write_id: str) -> bool:
        row = self._partition.get(row_keys.run(run.run_id))
        return row is not None and row.get("writeId") == write_id


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
