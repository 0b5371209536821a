"""Responses of Databricks that prove nothing: empty, about something else, or without end."""

from __future__ import annotations

import json

import pytest

from local.rig import Rig
from local.workspace import SimulatedWorkspace

UPDATES, UPDATE = "/pipelines/{id}/updates", "/pipelines/{id}/updates/{uid}"


@pytest.mark.parametrize("other", [{"update_id": "another"}, {"pipeline_id": "another"}])
def test_an_answer_about_another_update_ends_no_run(
    rig: Rig, workspace: SimulatedWorkspace, other: dict[str, str]
) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    told = {"pipeline_id": run_id.pipeline_id, "update_id": run_id.update_id, "state": "COMPLETED", **other}
    workspace.add_fault("garbage", method="GET", route=UPDATE, status=200, body=json.dumps({"update": told}))
    assert rig.sweep().failed == 1
    assert not rig.stored(run_id).is_finished
