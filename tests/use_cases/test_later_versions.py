"""Rows that a later version has written: this version works on them, and keeps what it does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from azure.data.tables import TableClient, UpdateMode

from local.receiver import Receiver
from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.services import JOBS_TABLE, RUNS_TABLE
from polysync_core.use_cases import jobs
from polysync_core.values.job import Direction, FullRefresh
from polysync_core.values.run import Run
from tests.conftest import RigOf
from tests.use_cases.callbacks import deliver, started

LATER = {"later": "x", "laterList": [1, 2]}


@contextmanager
def _table(rig: Rig, name: str = RUNS_TABLE) -> Iterator[TableClient]:
    connection = rig.settings.tables.connection_string
    assert connection is not None
    with TableClient.from_connection_string(connection, name) as table:
        yield table


def _rows(rig: Rig, kind: str) -> list[dict[str, Any]]:
    with _table(rig) as table:
        rows = table.query_entities("PartitionKey eq @name", parameters={"name": rig.partition})
        return [dict(row) for row in rows if str(row["RowKey"]).startswith(f"{kind}|")]


def _merge(rig: Rig, key: str, columns: Mapping[str, object], table: str = RUNS_TABLE) -> None:
    with _table(rig, table) as rows:
        rows.update_entity({"PartitionKey": rig.partition, "RowKey": key, **columns}, mode=UpdateMode.MERGE)


def _write_as_a_later_version(rig: Rig, run: Run) -> None:
    """Put fields that this version does not know into the rows of an active run."""
    (active,) = [row for row in _rows(rig, "active") if row["RowKey"].endswith(str(run.run_id))]
    members = {**json.loads(active["run0"]), **LATER}
    members["attempts"][0]["later"] = "of the attempt"
    members["callbacks"][0]["later"] = "of the callback"
    _merge(rig, active["RowKey"], {"run0": json.dumps(members)})


def test_a_run_keeps_the_fields_of_a_later_version_until_its_last_callback(
    rig_of: RigOf, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    with Receiver(status=500) as receiver:
        rig = rig_of(receiver)
        run = started(rig, receiver.url())
        _write_as_a_later_version(rig, run)
        workspace.set_state(run.run_id.pipeline_id, None, "RUNNING")
        rig.sweep()
        (active,) = _rows(rig, "active")
        members = json.loads(active["run0"])
        assert LATER.items() <= members.items()
        assert members["attempts"][0]["later"] == "of the attempt"
        rig.cancel(run.run_id)
        workspace.set_state(run.run_id.pipeline_id, None, "CANCELED")
        rig.sweep()
        _check_finished(rig)
        (owed,) = _rows(rig, "callback")
        _merge(rig, owed["RowKey"], {"later": "of the queue"})
        deliver(rig)
        _check_finished(rig)
        (owed,) = _rows(rig, "callback")
        assert (owed["later"], owed["tries"]) == ("of the queue", 1)
        receiver.status = 200
        clock.pass_time(minutes=10)
        assert deliver(rig).delivered == 1
        _check_finished(rig)


def _check_finished(rig: Rig) -> None:
    """Assert that the rows of the one run, which is finished, hold all that the later version has written."""
    for row in (*_rows(rig, "run"), *_rows(rig, "recent")):
        assert (row["later"], row["laterList"]) == ("x", "[1,2]")
        assert json.loads(row["attempts"])[0]["later"] == "of the attempt"
        assert json.loads(row["callbacks"])[0]["later"] == "of the callback"


def test_a_job_keeps_the_columns_of_a_later_version(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline(spec={"configuration": {"photon": "true"}})
    jobs.discover_on_schedule([rig.ws], rig.services.import_rules())
    for key in (f"job|{pipeline_id}", "discovery|last"):
        _merge(rig, key, {"later": key}, JOBS_TABLE)
    workspace.set_spec(pipeline_id, {"configuration": {"photon": "false"}})
    jobs.discover_on_schedule([rig.ws], rig.services.import_rules())
    jobs.set_full_refresh(pipeline_id, FullRefresh(value=True, direction=Direction.INPUT), rig.ws)
    with _table(rig, JOBS_TABLE) as table:
        for key in (f"job|{pipeline_id}", "discovery|last"):
            assert table.get_entity(rig.partition, key)["later"] == key
        assert '"photon":false' in table.get_entity(rig.partition, f"job|{pipeline_id}")["parameters0"]


def test_a_sweep_replaces_the_row_of_the_last_one_as_a_whole(rig: Rig) -> None:
    """The row says what one sweep saw. What is left of another version's sweep would be untrue."""
    rig.sweep()
    _merge(rig, "sweep|last", {"later": "of a later version's sweep"})
    rig.sweep()
    (row,) = _rows(rig, "sweep")
    assert "later" not in row
