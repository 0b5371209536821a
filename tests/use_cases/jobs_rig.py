"""Helpers for tests of jobs: the use cases on a Rig, and direct access to the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from azure.data.tables import TableClient

from local.rig import ManualClock, Rig
from polysync_core.rules.rows.job_entity import JOB
from polysync_core.rules.wire.job_document import JobDocument, encode_job_document
from polysync_core.services import JOBS_TABLE
from polysync_core.use_cases import jobs
from polysync_core.use_cases.discovering import discover
from polysync_core.use_cases.jobs import JobView
from polysync_core.values.deadline import Deadline
from polysync_core.values.job import Direction, DiscoveryPass, DiscoveryReport, FullRefresh

PIPELINES, PIPELINE = "/pipelines", "/pipelines/{id}"
LEFT_OUT = {"continuous": False, "development": False, "photon": False}
"""The parameters of a job whose pipeline does not set these."""


class MeddlingClock(ManualClock):
    """Calls a function once, when the clock is read for the first time after `when` has become true."""

    def __init__(self) -> None:
        super().__init__()
        self._meddle: Callable[[], object] | None = None
        self._when: Callable[[], bool] = lambda: False

    def meddle(self, when: Callable[[], bool], what: Callable[[], object]) -> None:
        self._when, self._meddle = when, what

    def now(self) -> datetime:
        meddle = self._meddle
        if meddle is not None and self._when():
            self._meddle = None
            meddle()
        return super().now()


def discover_all(rig: Rig, go_on_from: DiscoveryPass | None = None, *, seconds: float = 600.0) -> DiscoveryReport:
    return discover(rig.ws, rig.services.import_rules(), go_on_from, deadline=Deadline.after(rig.clock, seconds))


def sync(rig: Rig, pipeline_id: str) -> DiscoveryReport:
    return jobs.sync_parameters(pipeline_id, rig.ws, rig.services.import_rules())


def put(rig: Rig, pipeline_id: str, value: bool, direction: Direction = Direction.INPUT) -> JobView:
    return jobs.set_full_refresh(pipeline_id, FullRefresh(value=value, direction=direction), rig.ws)


def document(rig: Rig, pipeline_id: str) -> JobDocument:
    """Return the job as a caller sees it."""
    view = jobs.find_job(pipeline_id, rig.ws)
    return encode_job_document(view.job, workspace=view.workspace, synced_at=view.synced_at)


def values(rig: Rig, pipeline_id: str) -> dict[str, Any]:
    """Return the job's parameters, name to value."""
    return {shown["name"]: shown["value"] for shown in document(rig, pipeline_id)["parameters"]}


def table(rig: Rig) -> TableClient:
    connection = rig.settings.tables.connection_string
    assert connection is not None
    return TableClient.from_connection_string(connection, JOBS_TABLE)


def written(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    """Return the keys of the rows that were written or deleted between two calls of etags()."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def etags(rig: Rig) -> dict[str, str]:
    """Return every row of the workspace with its ETag. A write changes the ETag."""
    with table(rig) as rows:
        found = rows.query_entities("PartitionKey eq @name", parameters={"name": rig.partition})
        return {row["RowKey"]: str(row.metadata["etag"]) for row in found}


def columns_of(rig: Rig, pipeline_id: str) -> dict[str, Any]:
    with table(rig) as rows:
        return dict(rows.get_entity(rig.partition, f"{JOB}{pipeline_id}"))


def put_columns(rig: Rig, pipeline_id: str, columns: Mapping[str, object]) -> None:
    """Write columns of a job's row without the store."""
    with table(rig) as rows:
        rows.update_entity({"PartitionKey": rig.partition, "RowKey": f"{JOB}{pipeline_id}", **columns})
