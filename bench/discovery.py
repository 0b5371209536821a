"""Measures the scheduled discovery at Databricks' documented limit: calls, seconds, memory, rows written.

    python -m bench.discovery [--pipelines 12000] [--latency-ms 50]

The simulated workspace, Azurite and each discovery run in separate processes. The memory is that of the discovery
alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from azure.data.tables import TableClient

from local.azurite import Azurite
from polysync_core import services
from polysync_core.endpoints import job_endpoints as endpoints_jobs
from polysync_core.services import JOBS_TABLE

LIMIT = 12_000
"""The limit of saved pipelines in a workspace: https://learn.microsoft.com/azure/databricks/resources/limits"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.discovery", description="The scheduled discovery, measured.")
    parser.add_argument("--pipelines", type=int, default=LIMIT, metavar="N")
    parser.add_argument("--latency-ms", type=float, default=50.0, metavar="N", help="of every answer of Databricks")
    parser.add_argument("--tick", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tick:
        _tick()
        return
    with Azurite() as azurite, _workspace(options.pipelines, options.latency_ms) as environ:
        environ = {**os.environ, **environ, "POLYSYNC_TABLES": azurite.connection_string}
        print(f"{options.pipelines} pipelines, {options.latency_ms:g} ms an answer\n")
        print("discovery       calls  seconds  peak MB (at rest)  rows written  jobs stored  complete")
        before: Mapping[str, str] = {}
        for name in ("first", "unchanged"):
            measured = _measure(environ)
            after = _rows(azurite.connection_string)
            written = sum(1 for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            jobs = sum(1 for key in after if key.startswith("job|"))
            print(
                f"{name:<12} {measured['calls']:>8} {measured['seconds']:>8.1f} {measured['peak_mb']:>8.0f} "
                f"({measured['at_rest_mb']:>7.0f}) {written:>13} {jobs:>12}  {measured['complete']}",
                flush=True,
            )
            before = after


def _tick() -> None:
    """Run discover_on_schedule once, in a process of its own, and print the measured values as JSON."""
    at_rest_mb = _peak_mb()
    began_at = time.monotonic()
    endpoints_jobs.discover_on_schedule(services.current())
    seconds = time.monotonic() - began_at
    ws = services.current().at(None)
    complete = ws.jobs.discoveries().under_way is None
    print(json.dumps({"seconds": seconds, "peak_mb": _peak_mb(), "at_rest_mb": at_rest_mb, "complete": complete}))


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform != "darwin" else 1024 * 1024)


def _measure(environ: Mapping[str, str]) -> dict[str, Any]:
    _control(environ, "clear_calls")
    ran = subprocess.run(
        [sys.executable, "-m", "bench.discovery", "--tick"], env=environ, check=True, capture_output=True, text=True
    )
    measured: dict[str, Any] = json.loads(ran.stdout)
    return measured | {"calls": len(_control(environ, "calls"))}


def _control(environ: Mapping[str, str], method: str) -> Any:
    answer = requests.post(f"{environ['DATABRICKS_HOST']}/_sim/{method}", json={}, timeout=60)
    answer.raise_for_status()
    return answer.json()["result"]


def _rows(connection_string: str) -> dict[str, str]:
    with TableClient.from_connection_string(connection_string, JOBS_TABLE) as table:
        return {row["RowKey"]: str(row.metadata["etag"]) for row in table.list_entities(select=["RowKey"])}


@contextmanager
def _workspace(pipelines: int, latency_ms: float) -> Iterator[dict[str, str]]:
    """Run a simulated workspace in a process of its own. Yields the environment with which the app uses it."""
    command = [sys.executable, "-m", "local.workspace", "--port", "0"]
    command += ["--pipelines", str(pipelines), "--latency-ms", str(latency_ms)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().removeprefix("export ").strip() for _ in range(3)]
        yield dict(line.split("=", 1) for line in lines)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
