"""Reads the workspace's updates, the stored rows and the receiver's deliveries, without the app's own code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient

from local.receiver import Receiver
from local.workspace import SimulatedWorkspace, UpdateRecord

TABLE = "PolysyncRuns"
FINAL_STATES = frozenset({"COMPLETED", "FAILED", "CANCELED"})
_DATA_FACTORY_CODES = {"Success": "200", "Failed": "424", "Cancelled": "409", "Unknown": "410"}


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRun:
    """A `run` row. `listed` are the statuses in its `recent` rows. `is_active`: it has an `active` row."""

    run_id: str
    update_ids: tuple[str, ...]
    status: str
    is_finished: bool
    is_active: bool
    listed: tuple[str, ...]
    follows_retries: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """One delivery, as the receiver got it."""

    run_id: str
    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Entries:
    """The content of a partition.

    runs: by run id.
    aliases: later attempts, each with the run that it leads to.
    reserved: the pipelines with a start in flight.
    open_keys: how many keys have no outcome.
    queued: how many callbacks are in the queue.
    strays: rows about runs that do not exist.
    """

    runs: Mapping[str, StoredRun]
    aliases: Mapping[str, str] = field(default_factory=dict)
    reserved: tuple[str, ...]
    open_keys: int
    queued: int
    strays: tuple[str, ...] = ()

    @property
    def is_quiet(self) -> bool:
        is_open = any(run.is_active or not run.is_finished for run in self.runs.values())
        return not (self.reserved or self.queued or self.strays or is_open)


class Ledger:
    """Reads storage, the workspace and the receiver."""

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
        """Return the workspace's updates by pipeline, oldest first."""
        return {pipeline_id: self._workspace.updates_of(pipeline_id) for pipeline_id in pipeline_ids}

    def deliveries(self) -> dict[str, list[Delivered]]:
        """Return the receiver's deliveries by callback id."""
        told: dict[str, list[Delivered]] = {}
        for delivery in list(self._receiver.deliveries):
            told.setdefault(delivery.target.lstrip("/"), []).append(_delivered(delivery.json))
        return told

    def forget_deliveries(self) -> None:
        self._receiver.deliveries.clear()

    def entries(self, partition: str) -> Entries:
        try:
            rows = [*self._table.query_entities("PartitionKey eq @name", parameters={"name": partition})]
        except ResourceNotFoundError:
            rows = []
        fault_kinds: dict[str, list[Mapping[str, object]]] = {}
        for row in rows:
            fault_kinds.setdefault(str(row["RowKey"]).partition("|")[0], []).append(row)
        active = Counter(_after_bar(str(row["RowKey"])) for row in fault_kinds.get("active", ()))
        listed: dict[str, list[str]] = {}
        for entry in fault_kinds.get("recent", ()):
            listed.setdefault(str(entry["runId"]), []).append(str(entry["status"]))
        stored = [_stored_run(row, active, listed) for row in fault_kinds.get("run", ()) if "attempts" in row]
        runs = {run.run_id: run for run in stored}
        return Entries(
            runs=runs,
            aliases={
                _after_bar(str(row["RowKey"])): _after_bar(str(row["aliasOf"]))
                for row in fault_kinds.get("run", ())
                if "aliasOf" in row
            },
            reserved=tuple(str(row["RowKey"]).partition("|")[2] for row in fault_kinds.get("starting", ())),
            open_keys=sum("runId" not in row for row in fault_kinds.get("start", ())),
            queued=len(fault_kinds.get("callback", ())),
            strays=tuple(str(row["RowKey"]) for row in rows if (of := _run_of(row)) is not None and of not in runs),
        )


def _run_of(row: Mapping[str, object]) -> str | None:
    """Return the id of the run that a row is about, or None."""
    parts = str(row["RowKey"]).split("|")
    match parts[0]:
        case "active" | "waiter":
            return parts[1]
        case "recent" | "callback":
            return parts[2]
        case "run":
            return _after_bar(str(row.get("aliasOf", row["RowKey"])))
        case "start" if "runId" in row:
            return str(row["runId"])
    return None


def _after_bar(key: str) -> str:
    return key.partition("|")[2]


def _delivered(body: Mapping[str, Any]) -> Delivered:
    """Decode a delivery. Data Factory gets a status code beside the document.

    If the code does not fit the document, the result has a status that no run can have.
    """
    document = body.get("Output", body)
    status = str(document["status"])
    if "Output" in body and _DATA_FACTORY_CODES.get(status) != body["StatusCode"]:
        status = f"{status} with the code {body['StatusCode']}"
    return Delivered(run_id=str(document["runId"]), status=status)


def _stored_run(row: Mapping[str, object], active: Counter[str], listed: Mapping[str, list[str]]) -> StoredRun:
    run_id = str(row["runId"])
    return StoredRun(
        run_id=run_id,
        update_ids=tuple(attempt["updateId"] for attempt in json.loads(str(row["attempts"]))),
        status=str(row["status"]),
        is_finished=row["isFinished"] is True,
        is_active=active[run_id] > 0,
        listed=tuple(listed.get(run_id, ())),
        follows_retries=row.get("followRetries") is True,
    )
