"""What the workspace knows, and what stands in storage: read past the app, and past the core's own readers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient

from local.receiver import Receiver
from local.workspace import SimulatedWorkspace, UpdateRecord

TABLE = "PolysyncRuns"
FINAL_STATES = frozenset({"COMPLETED", "FAILED", "CANCELED"})


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRun:
    """A `run` row. `listed` are its `recent` rows' statuses, `is_active` says whether an `active` row is there."""

    run_id: str
    update_ids: tuple[str, ...]
    status: str
    is_finished: bool
    is_active: bool
    listed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entries:
    """A partition as it stands: its runs by id, the pipelines with a start in flight, keys without an outcome, and how
    many callbacks are in the queue."""

    runs: Mapping[str, StoredRun]
    reserved: tuple[str, ...]
    open_keys: int
    queued: int

    @property
    def is_quiet(self) -> bool:
        is_open = any(run.is_active or not run.is_finished for run in self.runs.values())
        return not (self.reserved or self.queued or is_open)


class Books:
    """Reads all sides."""

    def __init__(self, connection_string: str, workspace: SimulatedWorkspace, receiver: Receiver) -> None:
        self._service = TableServiceClient.from_connection_string(connection_string)
        self._table = self._service.get_table_client(TABLE)
        self._workspace = workspace
        self._receiver = receiver

    def create_table(self) -> None:
        self._service.create_table_if_not_exists(TABLE)

    def delete_table(self) -> None:
        self._service.delete_table(TABLE)

    def updates(self, pipeline_ids: Iterable[str]) -> dict[str, list[UpdateRecord]]:
        """What Databricks has, by pipeline, oldest first."""
        return {pipeline_id: self._workspace.updates_of(pipeline_id) for pipeline_id in pipeline_ids}

    def deliveries(self) -> dict[str, list[str]]:
        """What the receiver got: by callback id, the statuses that it was told."""
        told: dict[str, list[str]] = {}
        for delivery in list(self._receiver.deliveries):
            told.setdefault(delivery.path.lstrip("/"), []).append(str(delivery.json["status"]))
        return told

    def forget_deliveries(self) -> None:
        self._receiver.deliveries.clear()

    def entries(self, partition: str) -> Entries:
        try:
            rows = [*self._table.query_entities("PartitionKey eq @name", parameters={"name": partition})]
        except ResourceNotFoundError:
            rows = []
        kinds: dict[str, list[Mapping[str, object]]] = {}
        for row in rows:
            kinds.setdefault(str(row["RowKey"]).partition("|")[0], []).append(row)
        active = Counter(str(row["runId"]) for row in kinds.get("active", ()))
        listed: dict[str, list[str]] = {}
        for entry in kinds.get("recent", ()):
            listed.setdefault(str(entry["runId"]), []).append(str(entry["status"]))
        runs = [_stored_run(row, active, listed) for row in kinds.get("run", ()) if "attempts" in row]
        return Entries(
            runs={run.run_id: run for run in runs},
            reserved=tuple(str(row["RowKey"]).partition("|")[2] for row in kinds.get("starting", ())),
            open_keys=sum("runId" not in row for row in kinds.get("start", ())),
            queued=len(kinds.get("callback", ())),
        )


def _stored_run(row: Mapping[str, object], active: Counter[str], listed: Mapping[str, list[str]]) -> StoredRun:
    run_id = str(row["runId"])
    return StoredRun(
        run_id=run_id,
        update_ids=tuple(attempt["updateId"] for attempt in json.loads(str(row["attempts"]))),
        status=str(row["status"]),
        is_finished=row["isFinished"] is True,
        is_active=active[run_id] > 0,
        listed=tuple(listed.get(run_id, ())),
    )
