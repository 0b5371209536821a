"""The full_refresh that a start sends: the request's, else the job's if its direction allows it, else false."""

from __future__ import annotations

import uuid

import pytest

from local.rig import Rig
from local.workspace import SimulatedWorkspace
from polysync_core.values.job import Direction
from tests.use_cases.jobs_rig import discover_all, put, put_columns


@pytest.mark.parametrize(
    ("stored", "direction", "requested", "sent"),
    [
        (True, Direction.INPUT, None, True),
        (True, Direction.BOTH, None, True),
        (True, Direction.OUTPUT, None, False),
        (False, Direction.INPUT, None, False),
        (True, Direction.INPUT, False, False),
        (False, Direction.OUTPUT, True, True),
    ],
)
def test_the_request_goes_before_the_job_and_output_is_never_sent(
    rig: Rig,
    workspace: SimulatedWorkspace,
    stored: bool,
    direction: Direction,
    requested: bool | None,
    sent: bool,
) -> None:
    pipeline_id = workspace.add_pipeline(name="orders")
    discover_all(rig)
    put(rig, pipeline_id, stored, direction)
    run = rig.start(pipeline_id, {} if requested is None else {"full_refresh": requested}).run
    assert workspace.updates_of(pipeline_id)[0].body == {"pipeline_id": pipeline_id, "full_refresh": sent}
    assert (run.full_refresh, run.pipeline_name) == (sent, "orders")


def test_a_job_that_is_not_imported_or_has_none_starts_without(rig: Rig, workspace: SimulatedWorkspace) -> None:
    imported = workspace.add_pipeline()
    discover_all(rig)
    other = workspace.add_pipeline()
    assert rig.start(imported).run.full_refresh is False
    run = rig.start(other).run
    assert (run.full_refresh, run.pipeline_name) == (False, None)


@pytest.mark.parametrize(
    "columns", [{"fullRefresh": "true"}, {"fullRefreshDirection": "Sideways"}, {"pieces": "x", "name": 3}]
)
def test_an_unreadable_row_stops_no_start(
    rig: Rig,
    workspace: SimulatedWorkspace,
    columns: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline_id = workspace.add_pipeline()
    discover_all(rig)
    put(rig, pipeline_id, True)
    put_columns(rig, pipeline_id, columns)
    own_is_unreadable = "pieces" not in columns
    assert rig.start(pipeline_id).run.full_refresh is not own_is_unreadable
    assert ("counts as not set" in caplog.text) is own_is_unreadable


def test_a_repeat_with_the_key_is_the_same_start_even_if_the_job_has_changed(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    discover_all(rig)
    put(rig, pipeline_id, True)
    key = uuid.uuid4().hex
    first = rig.start(pipeline_id, key=key)
    put(rig, pipeline_id, False)
    again = rig.start(pipeline_id, key=key)
    assert (again.run.run_id, again.run.full_refresh) == (first.run.run_id, True)
    assert len(workspace.updates_of(pipeline_id)) == 1


def test_an_update_is_joined_only_if_it_is_what_the_job_wants(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    discover_all(rig)
    put(rig, pipeline_id, True)
    workspace.start_elsewhere(pipeline_id, full_refresh=True)
    started = rig.start(pipeline_id, {"onConflict": "attach"})
    assert (started.attached, started.run.full_refresh) == (True, True)


def test_a_start_whose_answer_was_lost_keeps_the_value_and_the_name_it_began_with(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline(name="orders")
    discover_all(rig)
    put(rig, pipeline_id, True)
    workspace.add_fault("reset", when="after", method="POST")
    started = rig.start(pipeline_id).run
    assert (started.full_refresh, started.pipeline_name) == (True, "orders")
