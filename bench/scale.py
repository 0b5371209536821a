"""Many workspaces with many active runs: what sweeps see, what they cost, and how they stand overload.

    python -m bench.scale [--workspaces 10] [--runs 1000] [--pipelines 1000] [--every 15]

The phases: quiet sweeps; a third of the runs change their state at once; a tenth of them end at once; Databricks takes
ten times as long while two processes use up the CPU; and quiet again. A sweep begins every 15 seconds, as the timer's
do. The app and the workspaces are in processes of their own. `unseen` are runs that a sweep did not see. The ages are
those of the last looks at all runs when a sweep ends. Each figure is the worst of its phase; CPU is the mean.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from local.azurite import Azurite
from local.rig import Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.memory import clear_cycles
from polysync_core.values.run import LastSweep

HEADER = (
    "phase        sweeps  seconds  CPU s  ms a run  calls  changed  ended  unseen  age p50    p99    max  MiB  left"
)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What one sweep of the app's process did. `ages` are those of the last looks, in seconds."""

    active: int
    changed: int
    finished: int
    failed: int
    calls: int
    seconds: float
    cpu_seconds: float
    mebibytes: float
    ages: tuple[float, ...]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description="Many active runs, measured.")
    parser.add_argument("--workspaces", type=int, default=10)
    parser.add_argument("--runs", type=int, default=1_000, help="active in each workspace")
    parser.add_argument("--pipelines", type=int, help="of each workspace (default: as many as runs)")
    parser.add_argument("--latency-ms", type=float, default=50.0, help="of each answer of Databricks")
    parser.add_argument("--every", type=float, default=15.0, help="seconds from one sweep to the next")
    parser.add_argument("--sweeps", type=int, default=4, help="of each quiet or overloaded phase")
    options = parser.parse_args()
    pipelines = max(options.runs, options.pipelines or 0)
    with ExitStack() as stack:
        azurite = stack.enter_context(Azurite())
        workspaces = stack.enter_context(
            _process(_serve, azurite.connection_string, options.workspaces, options.runs, pipelines)
        )
        urls, environ = workspaces.recv()
        os.environ.update(environ)
        app = stack.enter_context(_process(_sweep, azurite.connection_string, urls))
        total = options.workspaces * options.runs
        print(
            f"{options.workspaces} workspaces, {options.runs} runs and {pipelines} pipelines each; one process; "
            f"{options.latency_ms:g} ms an answer; a sweep every {options.every:g} s\n\n{HEADER}",
            flush=True,
        )
        bench = _Bench(app, workspaces, options.every)
        bench.tell("latency", options.latency_ms / 1000)
        bench.sweep_until(lambda sweep: sweep.active == total and not sweep.failed, most=8)  # learns the pages
        bench.show("quiet", bench.sweep(options.sweeps))
        bench.tell("change", total * 3 // 10)
        bench.show("changes", bench.sweep_until(lambda sweep: not sweep.changed and not sweep.failed, most=12))
        bench.tell("end", total // 10)
        bench.show("ends", bench.sweep_until(lambda sweep: not sweep.finished and not sweep.failed, most=12))
        bench.tell("latency", options.latency_ms / 100)
        with _hogs(2):
            bench.show("overload", bench.sweep(options.sweeps))
        bench.tell("latency", options.latency_ms / 1000)
        bench.show("after it", bench.sweep(options.sweeps))


class _Bench:
    def __init__(self, app: Connection, workspaces: Connection, every: float) -> None:
        self._app = app
        self._workspaces = workspaces
        self._every = every
        self._next = time.monotonic()

    def tell(self, what: str, value: float) -> None:
        """Tell the workspaces to `change` or `end` so many runs, or to answer with another `latency`."""
        self._workspaces.send((what, value))
        self._workspaces.recv()

    def sweep(self, count: int) -> list[Sweep]:
        return [self._one() for _ in range(count)]

    def sweep_until(self, is_done: object, most: int) -> list[Sweep]:
        assert callable(is_done)
        sweeps: list[Sweep] = []
        while len(sweeps) < most and not (sweeps and is_done(sweeps[-1])):
            sweeps.append(self._one())
        return sweeps

    def _one(self) -> Sweep:
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = max(self._next, time.monotonic() - self._every) + self._every
        self._app.send(True)
        sweep = self._app.recv()
        assert isinstance(sweep, Sweep)
        return sweep

    def show(self, phase: str, sweeps: list[Sweep]) -> None:
        ages = [age for sweep in sweeps for age in sweep.ages]
        cpu = statistics.mean(sweep.cpu_seconds for sweep in sweeps)
        active = max(sweep.active for sweep in sweeps)
        print(
            f"{phase:<12} {len(sweeps):>6} {max(sweep.seconds for sweep in sweeps):>8.2f} {cpu:>6.2f} "
            f"{cpu / active * 1000:>9.3f} {max(sweep.calls for sweep in sweeps):>6} "
            f"{sum(sweep.changed for sweep in sweeps):>8} {sum(sweep.finished for sweep in sweeps):>6} "
            f"{max(sweep.failed for sweep in sweeps):>7} {_percent(ages, 50):>8.1f} {_percent(ages, 99):>6.1f} "
            f"{max(ages):>6.1f} {sweeps[-1].mebibytes:>4.0f} {sweeps[-1].failed:>5}",
            flush=True,
        )


def _percent(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


@contextmanager
def _process(work: object, *arguments: object) -> Iterator[Connection]:
    """The pipe to a process that runs `work(pipe, *arguments)`. It gets None at the end."""
    assert callable(work)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=work, args=(theirs, *arguments), daemon=True)
    process.start()
    try:
        yield ours
    finally:
        ours.send(None)
        process.join(10)


@contextmanager
def _hogs(count: int) -> Iterator[None]:
    hogs = [multiprocessing.Process(target=_hog, daemon=True) for _ in range(count)]
    for hog in hogs:
        hog.start()
    try:
        yield
    finally:
        for hog in hogs:
            hog.terminate()
            hog.join()


def _hog() -> None:
    while True:
        pass


def _serve(pipe: Connection, tables: str, count: int, runs: int, pipelines: int) -> None:
    """Simulated workspaces whose runs are in the state SETTING_UP_TABLES. All are changed or ended in turn."""
    with ExitStack() as stack:
        first = stack.enter_context(SimulatedWorkspace())
        others = (stack.enter_context(SimulatedWorkspace(issuer=first.issuer)) for _ in range(count - 1))
        workspaces = [first, *others]
        os.environ.update(first.environ())
        active = []
        for number, workspace in enumerate(workspaces):
            rig = Rig(tables, {f"w{number}": workspace.url}, workspace, Clock())
            ids = workspace.add_pipelines(pipelines)
            track_running(rig, workspace, ids[:: max(1, pipelines // runs)][:runs])
            active.append([*ids[:: max(1, pipelines // runs)][:runs]])
        pipe.send(([workspace.url for workspace in workspaces], first.environ()))
        while (message := pipe.recv()) is not None:
            what, value = message
            for workspace, ids in zip(workspaces, active, strict=True):
                if what == "latency":
                    workspace.configure(latency_seconds=value)
                    continue
                for pipeline_id in ids[: int(value) // count]:
                    workspace.set_state(pipeline_id, None, "STOPPING" if what == "change" else "COMPLETED")
                if what == "end":
                    del ids[: int(value) // count]
            pipe.send(None)


def _sweep(pipe: Connection, tables: str, urls: list[str]) -> None:
    """The app: sweeps when it is told to."""
    urls_by_name = {f"w{number}": url for number, url in enumerate(urls)}
    rig = Rig(tables, urls_by_name, SimulatedWorkspace(), Clock())
    while pipe.recv() is not None:
        began, cpu = time.monotonic(), time.process_time()
        reports = rig.sweep_all()
        clear_cycles()
        seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu
        last_sweeps = [ws.runs.last_sweep() for ws in rig.services.workspaces.values()]
        pipe.send(
            Sweep(
                active=sum(report.active for report in reports),
                changed=sum(report.changed for report in reports),
                finished=sum(report.finished for report in reports),
                failed=sum(report.failed for report in reports),
                calls=sum(report.calls for report in reports),
                seconds=seconds,
                cpu_seconds=cpu_seconds,
                mebibytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                ages=tuple(age for last in last_sweeps if last is not None for age in _ages(last, rig.clock)),
            )
        )


def _ages(last: LastSweep, clock: Clock) -> Iterator[float]:
    """The age of the last look at each run of a workspace."""
    now = clock.now()
    for run_seen_at in last.not_seen.values():
        yield min(3_600.0, (now - run_seen_at).total_seconds())
    for _ in range(last.report.active - len(last.not_seen)):
        yield (now - (last.others_seen_at or last.swept_at)).total_seconds()


if __name__ == "__main__":
    main()
