"""The cost of a sweep for a thousand active runs, counted in the workspace's journal and in the table."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from azure.data.tables import TableClient

from local.rig import ManualClock, Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.rules.rows import row_keys
from polysync_core.services import RUNS_TABLE
from polysync_core.values.run import Run

RUNS = 1_000


@pytest.fixture
def runs(rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock) -> list[Run]:
    """1,000 active runs in a workspace of 1,000 pipelines. Each was observed in the state RUNNING."""
    tracked = track_running(rig, workspace, workspace.add_pipelines(RUNS))
    clock.pass_time(seconds=15)
    return tracked


def test_a_thousand_runs_cost_at_most_35_calls_and_one_row_and_135_when_a_hundred_finish(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, runs: list[Run]
) -> None:
    before = _stamps(rig)
    unchanged = rig.sweep()
    after = _stamps(rig)
    assert (unchanged.active, unchanged.changed, unchanged.failed) == (RUNS, 0, 0)
    assert len(workspace.calls()) == unchanged.calls <= 35
    assert {key for key in after if after[key] != before.get(key)} == {row_keys.SWEEP_LAST}

    for run in runs[::10]:
        workspace.set_state(run.run_id.pipeline_id, None, "COMPLETED")
    clock.pass_time(seconds=15)
    workspace.clear_calls()
    report = rig.sweep()
    assert (report.finished, report.failed) == (100, 0)
    assert len(workspace.calls()) == report.calls <= 135
    print(f"\n1,000 active runs: {unchanged.calls} calls and 1 row unchanged, {report.calls} calls when 100 finish")


def _stamps(rig: Rig) -> Mapping[str, str]:
    """Return each row of the workspace with its ETag."""
    connection = rig.settings.tables.connection_string
    assert connection is not None
    with TableClient.from_connection_string(connection, RUNS_TABLE) as table:
        rows = table.query_entities("PartitionKey eq @name", parameters={"name": rig.partition})
        return {row["RowKey"]: str(row.metadata["etag"]) for row in rows}
