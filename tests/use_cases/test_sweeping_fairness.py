"""Sweeps under load: stops are sent, late workspaces lose nothing, and every run has its turn."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.rig import Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.rules.decisions.budgets import SWEEP_TIMES, SweepTimes
from polysync_core.use_cases.workspace_sweep import WorkspaceSweep
from polysync_core.values.run import LastSweep, ListingMemory, SweepReport

UPDATE = "/pipelines/{id}/updates/{uid}"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def real_time(azurite: str, rig: Rig, workspace: SimulatedWorkspace) -> Rig:
    """A rig in real time on the partition of `rig`."""
    return Rig(azurite, {rig.name: workspace.url}, workspace, Clock())


def _last(rig: Rig) -> LastSweep:
    last = rig.ws.runs.last_sweep()
    assert last is not None
    return last


def test_a_stop_is_sent_while_many_looks_wait(rig: Rig, real_time: Rig, workspace: SimulatedWorkspace) -> None:
    """Seen before: stops waited behind all looks of the sweep, and were never sent."""
    real_time.sweep_times = SweepTimes(databricks=3.0, work=3.5)
    workspace.configure(has_update_stop=True)
    runs = track_running(rig, workspace, workspace.add_pipelines(80))
    overdue = real_time.ws.runs.find_active(runs[0].run_id)
    assert overdue is not None
    timed_out = replace(overdue.value, seen_at=overdue.value.seen_at - timedelta(days=1), timeout_at=LONG_AGO)
    real_time.ws.runs.save_transition(overdue, timed_out)
    memory = ListingMemory(pages=500, pages_counted_at=real_time.clock.now())
    real_time.ws.runs.save_last_sweep(LastSweep(swept_at=LONG_AGO, report=SweepReport(workspace="w"), listing=memory))
    workspace.add_fault("delay", method="GET", route=UPDATE, seconds=1, times=None)
    report = real_time.sweep()
    assert report.failed > 0, "not all looks fit into the sweep"
    assert len(workspace.calls("POST", f"{UPDATE}/stop")) == 1


def test_a_page_that_had_too_little_time_is_not_taken_for_refused(
    rig: Rig, real_time: Rig, workspace: SimulatedWorkspace
) -> None:
    track_running(rig, workspace, workspace.add_pipelines(200))
    workspace.add_fault("delay", method="GET", route="/pipelines", seconds=2, times=None)
    began = real_time.clock.monotonic() - SWEEP_TIMES.listing + 1.2
    report = WorkspaceSweep(real_time.ws, real_time.settings.sweep_limits, None, began).run()
    last = _last(real_time)
    assert last.listing.not_before is None
    assert (report.failed, len(workspace.calls("GET", UPDATE))) == (200, 0)
    assert last.blind_since is None, "it was hardly asked"
    workspace.clear_faults()
    assert real_time.sweep().failed == 0


def test_a_part_of_a_listing_that_shows_no_active_run_does_not_make_the_workspace_silent(
    rig: Rig, real_time: Rig, workspace: SimulatedWorkspace
) -> None:
    real_time.sweep_times = SweepTimes(listing=1.3)
    workspace.add_pipelines(300)
    first_page = [pipeline.pipeline_id for pipeline in rig.client().fetch_pipelines_page().pipelines]
    track_running(rig, workspace, first_page[:20])
    last = LastSweep(
        swept_at=real_time.clock.now(),
        report=SweepReport(workspace="w"),
        listing=ListingMemory(round_began_at=real_time.clock.now(), round_cursor="~"),
    )
    real_time.ws.runs.save_last_sweep(last)
    workspace.add_fault("delay", method="GET", route="/pipelines", seconds=0.7, times=None)
    seen = []
    for _ in range(4):
        report = real_time.sweep()
        seen.append(report.active - report.failed)
        assert _last(real_time).blind_since is None
    assert 0 in seen, "one part showed none of them"
    assert 20 in seen


def test_when_no_page_comes_nobody_loses_the_turn_of_the_round(rig: Rig, workspace: SimulatedWorkspace) -> None:
    track_running(rig, workspace, workspace.add_pipelines(60))
    workspace.add_fault("status", status=500, method="GET", route="/pipelines", times=1)
    rig.sweep()
    assert _last(rig).listing.round_cursor == ""
