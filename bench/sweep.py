"""Compares a sweep of unchanged runs with a GET for each run: `python -m bench.sweep`.

A simulated workspace of 1,000 pipelines, with 50 ms latency, and Azurite run on this machine. One process measures both
sides of each row. Compare the ratios: the seconds depend on the machine.
"""

from __future__ import annotations

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.table import Table

from local.azurite import Azurite
from local.rig import Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock

LATENCY_SECONDS = 0.05
THREADS = 16


def measure(rig: Rig, workspace: SimulatedWorkspace, runs: int) -> tuple[int, float, int, float]:
    """Return calls and seconds of one sweep, then of one GET for each run. The GETs use as many threads as a sweep."""
    tracked = track_running(rig, workspace, workspace.pipeline_ids()[:runs])
    rig.sweep()  # the first sweep learns how many pages a listing has
    began = time.perf_counter()
    report = rig.sweep()
    swept = time.perf_counter() - began
    assert (report.active, report.changed, report.failed) == (runs, 0, 0), report
    client = rig.client(600)
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda run: client.fetch_update(run.run_id), tracked))
    return report.calls, swept, client.calls, time.perf_counter() - began


def main() -> None:
    table = Table(
        "active runs", "sweep calls", "seconds", "one by one: calls", "seconds", "calls saved", "times as fast"
    )
    with Azurite() as azurite:
        for runs in (1, 10, 100, 1000):
            with SimulatedWorkspace() as workspace:
                os.environ.update(workspace.environ())
                workspace.add_pipelines(1000)
                rig = Rig(azurite.connection_string, {f"b-{uuid.uuid4().hex[:8]}": workspace.url}, workspace, Clock())
                workspace.configure(latency_seconds=LATENCY_SECONDS)
                calls, seconds, single_calls, single_seconds = measure(rig, workspace, runs)
            table.add_row(
                str(runs),
                str(calls),
                f"{seconds:.2f}",
                str(single_calls),
                f"{single_seconds:.2f}",
                f"{single_calls - calls}",
                f"{single_seconds / seconds:.1f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
