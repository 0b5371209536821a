"""The rows that hold one run: `run`, `recent` and, while it is active, `active`. They change together or not at all.

Each writer leaves a random `writeId`, so that after an unclear answer of storage the write can be recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.tables import Operation, Table, etag_of
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.columns import Columns
from polysync_core.rules.rows.run_entity import decode_run, encode_run
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run, TrackedRun


class RunRows:
    """Reads and writes of single runs. Every method may raise StorageUnavailable."""

    def __init__(self, table: Table, new_id: Callable[[], str]) -> None:
        self._table = table
        self._new_id = new_id

    def find(self, workspace: str, run_id: RunId) -> Run | None:
        """The run; by the id of any of its attempts.

        Where the row of an active run is spoilt, as its lock has it; RowUnreadable for any other.
        """
        row = self._table.get(workspace, row_keys.run(run_id))
        if row is not None and "aliasOf" in row:
            run_id = _decode_alias(row)
            row = self._table.get(workspace, row_keys.run(run_id))
            if row is None:
                raise RowUnreadable("A stored row leads to a run that is not there.")
        if row is None:
            return None
        try:
            return decode_run(row)
        except RowUnreadable:
            tracked = self.find_active(workspace, run_id)
            if tracked is None:
                raise
            return tracked.run

    def find_holder(self, workspace: str, run_id: RunId) -> RunId | None:
        """The id of the run that tracks this update; None when none does.

        A row that cannot be read still holds its update: nobody else may track it, and nobody has to wait for it.
        """
        try:
            run = self.find(workspace, run_id)
        except RowUnreadable:
            return run_id
        return None if run is None else run.run_id

    def find_active(self, workspace: str, run_id: RunId) -> TrackedRun | None:
        """The run with its lock, or None when it is not active."""
        row = self._table.get(workspace, row_keys.active(run_id))
        return None if row is None else TrackedRun(run=decode_run(row), etag=etag_of(row))

    def find_locked(self, workspace: str, run_id: RunId) -> TrackedRun | None:
        """The run with its lock, active or finished; None when it is not known."""
        return self.find_active(workspace, run_id) or self.find_finished(workspace, run_id)

    def find_finished(self, workspace: str, run_id: RunId) -> TrackedRun | None:
        """The run with its lock, or None when it is not known or not finished."""
        row = self._table.get(workspace, row_keys.run(run_id))
        if row is None:
            return None
        run = decode_run(row)
        return TrackedRun(run=run, etag=etag_of(row)) if run.is_finished else None

    def insert(self, run: Run, extra_operations: Sequence[Operation]) -> bool:
        """Begin to track a run, with the operations `beside` in the same batch. False when it is tracked already."""
        write_id = self._new_id()
        rows = [_run_row(run, key, write_id) for key in _keys_of(run)]
        return self._table.commit(
            [*extra_operations, *(tables.create(row) for row in rows)], was_written=lambda: self._wrote(run, write_id)
        )

    def change(self, tracked: TrackedRun, run: Run, extra_operations: Sequence[Operation] = ()) -> bool:
        """Replace the run under its lock, with the operations `beside` in the same batch.

        False when another change was first, or a row of `beside` was not as expected: then nothing was written. A run
        that finishes leaves the active ones; a new attempt gets an alias row, so that nobody else tracks its update.
        """
        write_id = self._new_id()
        active_key, run_key, recent_key = _keys_of(run)
        changed = tables.replace(_run_row(run, run_key, write_id), tracked.etag if tracked.run.is_finished else None)
        operations = [changed, tables.replace(_run_row(run, recent_key, write_id))]
        if not tracked.run.is_finished and run.is_finished:
            operations.append(tables.delete(row_of(run.workspace, active_key), tracked.etag))
        elif not run.is_finished:
            operations.append(tables.replace(_run_row(run, active_key, write_id), tracked.etag))
        known = {attempt.update_id for attempt in tracked.run.attempts}
        for attempt in run.attempts:
            if attempt.update_id in known:
                continue
            alias = row_keys.run(RunId(run.run_id.pipeline_id, attempt.update_id))
            operations.append(tables.create(row_of(run.workspace, alias, {"aliasOf": run_key})))
        return self._table.commit([*operations, *extra_operations], was_written=lambda: self._wrote(run, write_id))

    def restore(self, run: Run, active_key: str, etag: str) -> bool:
        """Write the `active` row of a run anew over the spoilt version with this ETag."""
        write_id = self._new_id()
        restored = tables.replace(_run_row(run, active_key, write_id), etag)
        return self._table.commit([restored], was_written=lambda: self._restored(run, active_key, write_id))

    def _restored(self, run: Run, active_key: str, write_id: str) -> bool:
        row = self._table.get(run.workspace, active_key)
        return row is not None and row.get("writeId") == write_id

    def _wrote(self, run: Run, write_id: str) -> bool:
        row = self._table.get(run.workspace, row_keys.run(run.run_id))
        return row is not None and row.get("writeId") == write_id


def row_of(partition: str, key: str, columns: Columns | None = None) -> Columns:
    return {"PartitionKey": partition, "RowKey": key, **(columns or {})}


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


def _run_row(run: Run, key: str, write_id: str) -> Columns:
    return row_of(run.workspace, key, {**encode_run(run), "writeId": write_id})
