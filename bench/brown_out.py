"""One of three workspaces accepts calls and answers none, while 300 of its runs are polled: what the others feel of it.

    python -m bench.brown_out [--minutes 10] [--before-minutes 2] [--runs 300]

The app runs as `python -m local.host` in a process of its own, on Azurite. Three proxies stand for three workspaces. In
the first phase all of them answer. In the second, the first workspace is silent. Time is real.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime

import requests

from bench.processes import KEY, app_process
from local.azurite import Azurite
from local.faults import Fault, FaultPlan, FaultProxy, workspace_label
from local.rig import Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock

POLL_SECONDS = 15.0
START_EVERY_SECONDS = 5.0
NAMES = ("silent", "north", "south")


@dataclass
class Phase:
    """What was measured in one phase, in seconds."""

    name: str
    polls: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    sweeps: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    refused: int = 0

    def row(self) -> str:
        parts = [
            f"{self.name:<8}",
            f"{len(self.polls):>6}",
            *(f"{value:>7.2f}" for value in (_at(self.polls, 50), _at(self.polls, 99), max(self.polls))),
            f"{len(self.starts):>7}",
            *(f"{value:>7.2f}" for value in (_at(self.starts, 50), _at(self.starts, 95))),
            *(f"{value:>7.2f}" for value in (_at(self.sweeps, 50), max(self.sweeps), max(self.gaps))),
            f"{self.refused:>8}",
        ]
        return " ".join(parts)


def _at(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.brown_out", description="A silent workspace, measured.")
    parser.add_argument("--minutes", type=float, default=10.0, help="of silence")
    parser.add_argument("--before-minutes", type=float, default=2.0, help="in which all workspaces answer")
    parser.add_argument("--runs", type=int, default=300, help="active in each workspace")
    options = parser.parse_args()
    with ExitStack() as stack:
        azurite = stack.enter_context(Azurite())
        workspace = stack.enter_context(SimulatedWorkspace(pace_seconds=None))
        identity = {name: value for name, value in workspace.environ().items() if name.startswith("IDENTITY_")}
        os.environ.update(identity)
        plan = FaultPlan()
        plans = [plan, FaultPlan(), FaultPlan()]
        urls = [stack.enter_context(FaultProxy(workspace.url, each, label=workspace_label)).url for each in plans]
        bench = _Bench(azurite.connection_string, dict(zip(NAMES, urls, strict=True)), workspace, options.runs)
        base = stack.enter_context(app_process(bench.environ()))
        print(
            f"{options.runs} runs in each of 3 workspaces; polls in the first, starts in the others; seconds\n\n"
            "phase     polls     p50     p99     max  starts     p50     p95  sweeps     max     gap  refused",
            flush=True,
        )
        phases = [bench.measure("answers", base, options.before_minutes * 60)]
        print(phases[0].row(), flush=True)
        plan.add(Fault("hang", times=None, seconds=60))
        phases.append(bench.measure("silent", base, options.minutes * 60))
        print(phases[1].row(), flush=True)
        plan.clear()
        before, during = phases
        print(
            f"\nratio of the silent phase to the one before: starts p50 {_ratio(before.starts, during.starts):.2f}, "
            f"sweeps p50 {_ratio(before.sweeps, during.sweeps):.2f}\n{bench.finish_all()}"
        )


def _ratio(before: Sequence[float], during: Sequence[float]) -> float:
    return _at(during, 50) / _at(before, 50)


class _Bench:
    def __init__(self, tables: str, urls: dict[str, str], workspace: SimulatedWorkspace, runs: int) -> None:
        self._tables, self._urls, self._workspace = tables, urls, workspace
        self._rigs = {name: Rig(tables, {name: url}, workspace, Clock()) for name, url in urls.items()}
        self._runs = {
            name: [str(run.run_id) for run in track_running(rig, workspace, workspace.add_pipelines(runs))]
            for name, rig in self._rigs.items()
        }
        self._lock = threading.Lock()

    def environ(self) -> dict[str, str]:
        workspaces = {name: {"url": url} for name, url in self._urls.items()}
        return {"POLYSYNC_WORKSPACES": json.dumps(workspaces), "POLYSYNC_TABLES": self._tables}

    def measure(self, name: str, base: str, seconds: float) -> Phase:
        phase, ends_at = Phase(name), time.monotonic() + seconds
        with ThreadPoolExecutor(64) as pool:
            work = [pool.submit(self._poll, ids, base, offset, ends_at, phase) for offset, ids in self._pollers()]
            work += [pool.submit(self._start, where, base, ends_at, phase) for where in NAMES[1:]]
            work.append(pool.submit(self._watch_sweeps, ends_at, phase))
            for future in work:
                future.result()
        return phase

    def _pollers(self) -> Iterator[tuple[float, list[str]]]:
        """The polled runs in 60 groups: each group is polled by a thread of its own, which begins a little later."""
        run_ids = self._runs[NAMES[0]]
        for number in range(60):
            yield number / 60, run_ids[number::60]

    def _poll(self, run_ids: list[str], base: str, offset: float, ends_at: float, phase: Phase) -> None:
        pause = POLL_SECONDS / max(1, len(run_ids))
        next_at = time.monotonic() + offset * pause
        while True:
            for run_id in run_ids:
                time.sleep(max(0.0, next_at - time.monotonic()))
                if time.monotonic() >= ends_at:
                    return
                next_at += pause
                began = time.monotonic()
                answer = requests.get(
                    f"{base}/api/runs/{run_id}",
                    params={"workspace": NAMES[0]},
                    headers={"x-functions-key": KEY},
                    timeout=120,
                )
                with self._lock:
                    phase.polls.append(time.monotonic() - began)
                    phase.refused += answer.status_code != 200

    def _start(self, where: str, base: str, ends_at: float, phase: Phase) -> None:
        while time.monotonic() < ends_at:
            pipeline_id = self._workspace.add_pipeline()
            began = time.monotonic()
            answer = requests.post(
                f"{base}/api/pipelines/{pipeline_id}/updates",
                params={"workspace": where},
                headers={"x-functions-key": KEY},
                timeout=120,
            )
            with self._lock:
                phase.starts.append(time.monotonic() - began)
                phase.refused += answer.status_code != 202
            if answer.status_code == 202:
                self._runs[where].append(answer.json()["runId"])
            time.sleep(START_EVERY_SECONDS)

    def _watch_sweeps(self, ends_at: float, phase: Phase) -> None:
        """The seconds of each sweep of the healthy workspaces, and the time between two of them."""
        seen: dict[str, datetime | None] = dict.fromkeys(NAMES[1:])
        while time.monotonic() < ends_at:
            for name in NAMES[1:]:
                last = self._rigs[name].ws.runs.last_sweep()
                if last is not None and last.swept_at != seen[name]:
                    phase.sweeps.append(last.report.seconds)
                    earlier, seen[name] = seen[name], last.swept_at
                    if earlier is not None:
                        phase.gaps.append((last.swept_at - earlier).total_seconds())
            time.sleep(1)

    def finish_all(self) -> str:
        """End every update, and wait until the app has seen all ends."""
        for run_ids in self._runs.values():
            for run_id in run_ids:
                pipeline_id, _, update_id = run_id.partition(":")
                self._workspace.set_state(pipeline_id, update_id, "COMPLETED")
        total = sum(map(len, self._runs.values()))
        left = total
        for _ in range(40):
            left = sum(len(rig.active_ids()) for rig in self._rigs.values())
            if not left:
                break
            time.sleep(5)
        return f"{total} runs, {total - left} seen to end, {left} left"


if __name__ == "__main__":
    main()
