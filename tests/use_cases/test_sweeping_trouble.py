"""When a sweep reports that the workspace as a whole could not be swept."""

from __future__ import annotations

from typing import Any

import pytest

from local.rig import Rig
from local.workspace import SimulatedWorkspace


@pytest.mark.parametrize(
    ("fault", "is_trouble"),
    [
        ({"kind": "reset"}, True),
        ({"kind": "half"}, True),
        ({"kind": "status", "status": 401, "error_code": "UNAUTHENTICATED"}, True),
        ({"kind": "status", "status": 403, "body": '{"message": "Source IP address is blocked"}'}, True),
        ({"kind": "status", "status": 200, "body": "<title>Sign in</title>", "content_type": "text/html"}, True),
        ({"kind": "status", "status": 403, "error_code": "PERMISSION_DENIED"}, False),
        ({"kind": "status", "status": 429}, False),
        ({"kind": "status", "status": 500}, False),
        ({"kind": "status", "status": 404, "error_code": "RESOURCE_DOES_NOT_EXIST"}, False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_workspace_is_in_trouble_if_no_call_was_answered_or_the_app_itself_is_refused(
    rig: Rig, workspace: SimulatedWorkspace, fault: dict[str, Any], is_trouble: bool
) -> None:
    rig.start(workspace.add_pipeline())
    rig.start(workspace.add_pipeline())
    workspace.add_fault(times=None, **fault)
    assert bool(rig.sweep().trouble) is is_trouble
    workspace.clear_faults()
    assert rig.sweep().trouble == ""


def test_one_answered_call_is_enough(rig: Rig, workspace: SimulatedWorkspace) -> None:
    silent, other = workspace.add_pipelines(2)
    for pipeline_id in (silent, other):
        rig.start(pipeline_id)
    workspace.add_fault("reset", pipeline_id=silent, times=None)
    workspace.add_fault("reset", route="/pipelines")
    report = rig.sweep()
    assert (report.failed, report.trouble) == (1, "")
