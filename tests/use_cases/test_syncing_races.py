"""Another instance writes a job's row after a discovery has read it and before the discovery writes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from local.rig import Rig
from local.workspace import SimulatedWorkspace
from polysync_core.rules.rows.job_entity import JOB
from polysync_core.values.errors import JobNotFound
from polysync_core.values.job import Counts, Direction
from tests.use_cases.jobs_rig import LEFT_OUT, PIPELINE, MeddlingClock, discover_all, etags, put, sync, values, written

Race = Callable[[Callable[[], object]], None]


@pytest.fixture
def clock() -> MeddlingClock:
    return MeddlingClock()


@pytest.fixture
def race(workspace: SimulatedWorkspace, clock: MeddlingClock) -> Iterator[Race]:
    """Return a function that schedules an action. It runs once the next discovery has fetched a pipeline."""
    done = threading.Event()

    def arrange(what: Callable[[], object]) -> None:
        def meddle() -> None:
            what()
            done.set()

        workspace.clear_calls()
        clock.meddle(lambda: bool(workspace.calls("GET", PIPELINE)), meddle)

    yield arrange
    assert done.is_set()


@pytest.fixture
def pipeline_id(rig: Rig, workspace: SimulatedWorkspace) -> str:
    pipeline_id = workspace.add_pipeline()
    workspace.add_pipelines(3)
    discover_all(rig)
    return pipeline_id


@pytest.mark.parametrize("by", [discover_all, lambda rig: sync(rig, rig.workspace.pipeline_ids()[0])])
def test_a_put_during_a_discovery_and_the_discovery_s_findings_are_both_kept(
    rig: Rig,
    workspace: SimulatedWorkspace,
    race: Race,
    pipeline_id: str,
    by: Callable[[Rig], object],
) -> None:
    pipeline_id = workspace.pipeline_ids()[0]
    workspace.set_spec(pipeline_id, {"photon": False})
    race(lambda: put(rig, pipeline_id, True, Direction.BOTH))
    by(rig)
    assert values(rig, pipeline_id) == LEFT_OUT | {"full_refresh": True}


def test_a_put_that_meets_a_removal_is_before_it_and_leaves_nothing_behind(
    rig: Rig,
    workspace: SimulatedWorkspace,
    race: Race,
    pipeline_id: str,
) -> None:
    workspace.remove_pipeline(pipeline_id)
    race(lambda: put(rig, pipeline_id, True))
    assert discover_all(rig).tally.jobs == Counts(removed=1, unchanged=3)
    assert f"{JOB}{pipeline_id}" not in etags(rig)
    with pytest.raises(JobNotFound):
        put(rig, pipeline_id, True)
    assert f"{JOB}{pipeline_id}" not in etags(rig)


def test_two_discoveries_import_a_new_pipeline_once_and_keep_a_put_between_them(
    rig: Rig,
    workspace: SimulatedWorkspace,
    race: Race,
) -> None:
    new = workspace.add_pipeline()
    race(lambda: (discover_all(rig), put(rig, new, True)))
    assert discover_all(rig).tally.jobs == Counts(unchanged=1)
    assert values(rig, new)["full_refresh"] is True


def test_of_two_discoveries_that_find_a_deleted_pipeline_both_come_to_its_end(
    rig: Rig,
    workspace: SimulatedWorkspace,
    race: Race,
    pipeline_id: str,
) -> None:
    workspace.remove_pipeline(pipeline_id)
    race(lambda: discover_all(rig))
    discover_all(rig)
    assert f"{JOB}{pipeline_id}" not in etags(rig)


def test_one_row_that_changed_does_not_keep_the_others_of_its_batch_from_being_written(
    rig: Rig,
    workspace: SimulatedWorkspace,
    race: Race,
    pipeline_id: str,
) -> None:
    for changed in workspace.pipeline_ids():
        workspace.set_spec(changed, {"photon": False})
    before = etags(rig)
    race(lambda: put(rig, pipeline_id, True))
    assert discover_all(rig).tally.jobs == Counts(changed=4)
    assert len(written(before, etags(rig))) == 5


def test_of_two_discoveries_that_find_the_same_change_one_writes_it(
    rig: Rig, workspace: SimulatedWorkspace, race: Race, pipeline_id: str
) -> None:
    workspace.set_spec(pipeline_id, {"photon": False})
    race(lambda: discover_all(rig))
    assert discover_all(rig).tally.jobs == Counts(unchanged=4)
