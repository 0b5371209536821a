"""Retention: finished runs, their listing and their keys go after the time set; nothing active ever does."""

from __future__ import annotations

import pytest
from azure.data.tables import TableClient

from local.workspace import SimulatedWorkspace
from polysync_core import reading
from polysync_core.errors import RunNotFound
from polysync_core.model import RunFilter
from polysync_core.services import RUNS_TABLE
from tests.rig import ManualClock, Rig


def _keys(rig: Rig) -> set[str]:
    connection = rig.settings.tables.connection_string
    assert connection is not None
    with TableClient.from_connection_string(connection, RUNS_TABLE) as table:
        rows = table.query_entities("PartitionKey eq @name", parameters={"name": rig.name}, select=["RowKey"])
        return {str(row["RowKey"]).split("|")[0] for row in rows}


def test_finished_runs_and_keys_go_after_90_days_and_active_ones_stay(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    old, endless = workspace.add_pipeline(), workspace.add_pipeline()
    old_id = rig.start(old, key="k").run.run_id
    endless_id = rig.start(endless).run.run_id
    workspace.set_state(old, None, "COMPLETED")
    rig.sweep()
    clock.pass_time(days=89)
    rig.sweep()
    assert rig.read(old_id).run.is_finished
    clock.pass_time(days=1, minutes=2)
    rig.sweep()
    with pytest.raises(RunNotFound):
        rig.read(old_id)
    assert rig.stored(endless_id).run_id == endless_id
    assert _keys(rig) == {"run", "active", "recent", "sweep"}
    page = reading.list_runs(rig.access, RunFilter(), limit=10, continuation=None, max_age_seconds=30)
    assert [view.run.run_id for view in page.views] == [endless_id]


def test_many_old_runs_go_in_bounded_pieces(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> None:
    for _ in range(60):
        pipeline_id = workspace.add_pipeline()
        rig.start(pipeline_id, key="k")
        workspace.set_state(pipeline_id, None, "COMPLETED")
    rig.sweep()
    clock.pass_time(days=91)

    def left() -> int:
        page = reading.list_runs(rig.access, RunFilter(), limit=200, continuation=None, max_age_seconds=30)
        return len(page.views)

    assert left() == 60
    rig.sweep()
    assert left() == 10
    rig.sweep()
    assert left() == 10, "once a minute"
    clock.pass_time(minutes=1)
    rig.sweep()
    assert left() == 0
