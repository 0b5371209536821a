"""What a start asks of storage: what was acknowledged is not read back, and what was not is."""

from __future__ import annotations

import pytest

from local.faults import Fault, FaultPlan
from local.rig import Rig
from local.workspace import SimulatedWorkspace
from polysync_core.endpoints import run_endpoints
from polysync_core.rules.wire.http_contract import Call
from polysync_core.values.errors import UpdateConflict
from tests.use_cases.jobs_rig import discover_all

READ_JOB, READ_RESERVATION = "GET PolysyncJobs(job)", "GET PolysyncRuns(starting)"
RESERVE, RESERVE_WITH_KEY = "POST PolysyncRuns(starting)", "POST $batch starting start"
TRACK, TRACK_WITH_KEY = "POST $batch starting active run recent", "POST $batch starting start active run recent"


@pytest.fixture
def rig(behind_proxy: Rig, workspace: SimulatedWorkspace, plan: FaultPlan) -> Rig:
    """A rig that has made a start already, so its tables exist."""
    _answer_a_start(behind_proxy, workspace.add_pipeline(), None)
    discover_all(behind_proxy)
    plan.clear_calls()
    return behind_proxy


def _answer_a_start(rig: Rig, pipeline_id: str, key: str | None) -> None:
    """Start by the endpoint, as a caller does."""
    call = Call(
        method="POST",
        url="http://app.example/api/pipelines/x/updates",
        headers={} if key is None else {"idempotency-key": key},
        route={"pipeline_id": pipeline_id},
        body=b"{}",
    )
    assert run_endpoints.start_update(call, rig.services).status == 202


def _labels(plan: FaultPlan) -> list[str]:
    return [call.label for call in plan.calls()]


@pytest.mark.parametrize(
    ("key", "calls"), [(None, [READ_JOB, RESERVE, TRACK]), ("k", [READ_JOB, RESERVE_WITH_KEY, TRACK_WITH_KEY])]
)
def test_a_start_costs_one_read_two_writes_and_one_post(
    rig: Rig, workspace: SimulatedWorkspace, plan: FaultPlan, key: str | None, calls: list[str]
) -> None:
    workspace.clear_calls()
    _answer_a_start(rig, workspace.add_pipeline(), key)
    assert _labels(plan) == calls
    assert len(workspace.calls()) == 1


@pytest.mark.parametrize(("key", "reserve"), [(None, RESERVE), ("k", RESERVE_WITH_KEY)])
def test_a_reservation_that_was_not_acknowledged_is_read_back(
    rig: Rig, workspace: SimulatedWorkspace, plan: FaultPlan, key: str | None, reserve: str
) -> None:
    plan.add(Fault("reset", when="after", label=reserve))
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id, key=key).run.run_id
    assert _labels(plan)[1:3] == [reserve, READ_RESERVATION]
    assert [update.update_id for update in workspace.updates_of(pipeline_id)] == [run_id.update_id]
    assert rig.active_ids() >= {str(run_id)}
    assert not rig.is_reserved(pipeline_id)


def test_a_used_key_is_met_by_the_reservation_and_sends_nothing(
    rig: Rig, workspace: SimulatedWorkspace, plan: FaultPlan
) -> None:
    pipeline_id = workspace.add_pipeline()
    first = rig.start(pipeline_id, key="k").run
    workspace.clear_calls()
    assert rig.start(pipeline_id, key="k").run == first
    assert workspace.calls() == []
    with pytest.raises(UpdateConflict):
        rig.start(pipeline_id, key="another")
    assert not rig.is_reserved(pipeline_id)
