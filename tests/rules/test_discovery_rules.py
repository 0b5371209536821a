"""A discovery's decisions: when a job is written, what counts as a difference, how long a read waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from polysync_core.rules.decisions.discovery_rules import (
    MAX_NOT_SYNCED,
    JobDecision,
    PipelineSeen,
    Seen,
    completed,
    decide_job,
    read_pause_seconds,
    synced_at,
    tally,
)
from polysync_core.rules.decisions.parameters import ImportRules
from polysync_core.values.databricks import Absent, PipelineSpec
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable, PermissionRefused
from polysync_core.values.errors import PolysyncError
from polysync_core.values.job import (
    Change,
    ChangeKind,
    Counts,
    Direction,
    DiscoveryPass,
    FullRefresh,
    Job,
    LastDiscovery,
    Tally,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(hours=1)
JOB = Job(
    pipeline_id="p1",
    name="orders",
    imported_at=BEFORE,
    synced_at=BEFORE,
    parameters={"photon": True, "spark.x": 1},
    full_refresh=FullRefresh(value=True, direction=Direction.BOTH),
)
RULES = ImportRules(patterns=("photon", "spark.*"), key=b"key")
SPEC = PipelineSpec(name="orders", spec={"photon": True, "configuration": {"spark.x": "1"}})


def decided(
    seen: Seen, stored: Job | None, listed_name: str | None = None, *, always_write: bool = False
) -> JobDecision:
    pipeline = PipelineSeen(pipeline_id="p1", seen=seen, stored=stored, listed_name=listed_name)
    return decide_job(pipeline, rules=RULES, now=NOW, always_write=always_write)


def spec(**configuration: str) -> PipelineSpec:
    return PipelineSpec(name="orders", spec={"photon": True, "configuration": configuration})


def test_a_new_pipeline_becomes_a_job_without_a_full_refresh() -> None:
    assert decided(SPEC, None).after == replace(JOB, imported_at=NOW, synced_at=NOW, full_refresh=None)


def test_a_job_in_step_is_not_written() -> None:
    assert decided(SPEC, JOB) == JobDecision(before=JOB, after=JOB, write=False)


def test_sync_parameters_writes_down_when_it_looked() -> None:
    assert decided(SPEC, JOB, always_write=True) == JobDecision(
        before=JOB, after=replace(JOB, synced_at=NOW), write=True
    )


@pytest.mark.parametrize(
    ("seen", "after"),
    [
        (replace(SPEC, name="renamed"), replace(JOB, name="renamed", synced_at=NOW)),
        (PipelineSpec(name=None, spec=SPEC.spec), JOB),
        (spec(), replace(JOB, parameters={"photon": True}, synced_at=NOW)),
        (spec(**{"spark.x": "true"}), replace(JOB, parameters={"photon": True, "spark.x": True}, synced_at=NOW)),
        (Absent.FORBIDDEN, replace(JOB, accessible=False)),
        (Absent.GONE, None),
    ],
)
def test_what_a_known_job_becomes_keeps_the_user_s_full_refresh(seen: Seen, after: Job | None) -> None:
    decision = decided(seen, JOB)
    assert decision.after == after
    assert decision.write is (after != JOB)


def test_a_forbidden_job_is_written_once_and_takes_the_listing_s_name() -> None:
    forbidden = replace(JOB, accessible=False)
    assert not decided(Absent.FORBIDDEN, forbidden).write
    assert not decided(Absent.FORBIDDEN, forbidden, always_write=True).write
    assert decided(Absent.FORBIDDEN, forbidden, "renamed").after == replace(forbidden, name="renamed")


def test_a_forbidden_pipeline_that_is_listed_becomes_a_job_that_says_so() -> None:
    after = decided(Absent.FORBIDDEN, None, "orders").after
    assert after == Job(pipeline_id="p1", name="orders", imported_at=NOW, synced_at=None, accessible=False)


def test_a_job_that_is_accessible_again_is_in_step_again() -> None:
    decision = decided(SPEC, replace(JOB, accessible=False))
    assert decision.after == replace(JOB, synced_at=NOW)


def test_a_pipeline_that_is_gone_before_it_was_imported_is_nothing() -> None:
    assert decided(Absent.GONE, None) == JobDecision(before=None, after=None, write=False)
    assert tally(None, None) == (Tally(), ())


# --- counting


def test_differences_are_counted_and_named() -> None:
    after = replace(JOB, name="new", accessible=False, parameters={"photon": False, "spark.y": "y"})
    counted, changes = tally(JOB, after)
    assert counted == Tally(jobs=Counts(changed=1), parameters=Counts(added=1, changed=1, removed=1))
    assert [(change.parameter, change.kind.value, change.before, change.after) for change in changes] == [
        (None, "changed", "orders", "new"),
        (None, "changed", "accessible", "not accessible"),
        ("photon", "changed", True, False),
        ("spark.x", "removed", 1, None),
        ("spark.y", "added", None, "y"),
    ]


def test_a_job_is_added_and_removed_with_its_parameters_but_not_with_full_refresh() -> None:
    added, came = tally(None, JOB)
    removed, went = tally(JOB, None)
    assert added == Tally(jobs=Counts(added=1), parameters=Counts(added=2))
    assert removed == Tally(jobs=Counts(removed=1), parameters=Counts(removed=2))
    assert came[0] == Change(job="p1", parameter=None, kind=ChangeKind.ADDED, before=None, after="orders")
    assert went[0] == Change(job="p1", parameter=None, kind=ChangeKind.REMOVED, before="orders", after=None)
    assert tally(JOB, replace(JOB, full_refresh=None)) == (
        Tally(jobs=Counts(unchanged=1), parameters=Counts(unchanged=2)),
        (),
    )


# --- when a job was last synced


@pytest.mark.parametrize(
    ("job", "last", "expected"),
    [
        (JOB, None, BEFORE),
        (JOB, LastDiscovery(discovered_at=NOW), NOW),
        (replace(JOB, synced_at=NOW), LastDiscovery(discovered_at=BEFORE), NOW),
        (JOB, LastDiscovery(discovered_at=NOW, not_synced={"p1": None}), BEFORE),
        (
            JOB,
            LastDiscovery(discovered_at=NOW, not_synced={"p1": NOW - timedelta(minutes=9)}),
            NOW - timedelta(minutes=9),
        ),
        (JOB, LastDiscovery(discovered_at=NOW, not_synced={"p2": None}), NOW),
        (replace(JOB, accessible=False), LastDiscovery(discovered_at=NOW), BEFORE),
        (replace(JOB, synced_at=None), LastDiscovery(discovered_at=NOW), None),
    ],
)
def test_a_job_is_in_step_as_of_its_own_row_or_a_later_discovery_that_saw_it(
    job: Job, last: LastDiscovery | None, expected: datetime | None
) -> None:
    assert synced_at(job, last) == expected


def test_a_discovery_with_many_failures_or_an_older_one_confirms_nothing() -> None:
    earlier = LastDiscovery(discovered_at=BEFORE)
    done = DiscoveryPass(began_at=NOW, not_synced={"p1": BEFORE}, tally=Tally(failed=1))
    assert completed(done, earlier) == LastDiscovery(discovered_at=NOW, not_synced={"p1": BEFORE})
    assert completed(replace(done, tally=Tally(failed=MAX_NOT_SYNCED + 1)), earlier) == earlier
    assert completed(replace(done, began_at=BEFORE - timedelta(hours=1)), earlier) == earlier


# --- patience


def refused(status: int, retry_after_seconds: int | None = None) -> DatabricksError:
    return DatabricksError("no", databricks_status=status, retry_after_seconds=retry_after_seconds)


@pytest.mark.parametrize(
    ("error", "tries", "pause"),
    [
        (refused(429, 7), 1, 7.0),
        (refused(429, 7), 50, 7.0),
        (refused(429, 0), 1, 1.0),
        (refused(429), 1, 1.0),
        (refused(429), 4, 8.0),
        (refused(429), 5000, 30.0),
        (refused(503, 20), 5, 20.0),
        (refused(503, 20), 6, None),
        (refused(500), 1, 1.0),
        (refused(500), 2, 2.0),
        (refused(500), 3, None),
        (DatabricksUnreachable("no", was_sent=True), 2, 2.0),
        (DatabricksUnreachable("no", was_sent=True), 3, None),
        (refused(404), 1, None),
        (refused(200), 1, None),
        (PermissionRefused("no", databricks_status=403, error_code=None), 1, None),
        (PolysyncError("no"), 1, None),
    ],
)
def test_a_read_is_repeated_at_databricks_pace(error: PolysyncError, tries: int, pause: float | None) -> None:
    assert read_pause_seconds(error, tries) == pause
