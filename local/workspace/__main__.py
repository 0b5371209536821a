"""python -m local.workspace: see the docstring of the package."""

from __future__ import annotations

import argparse
import signal
import threading

from local.workspace import SimulatedWorkspace


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.workspace", description="A simulated Databricks workspace.")
    parser.add_argument("--port", type=int, default=8461, help="on 127.0.0.1; 0: a free one (default: %(default)s)")
    parser.add_argument(
        "--pace", type=float, default=5.0, metavar="SECONDS", help="how long each state of an update lasts"
    )
    parser.add_argument("--pipelines", type=int, default=3, metavar="N", help="how many there are at first")
    parser.add_argument("--latency-ms", type=float, default=0.0, metavar="N", help="added to every call of the API")
    options = parser.parse_args()

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with SimulatedWorkspace(options.pace, host="127.0.0.1", port=options.port) as workspace:
        workspace.configure(latency_seconds=options.latency_ms / 1000)
        pipeline_ids = workspace.add_pipelines(options.pipelines)
        for name, value in workspace.environ().items():
            print(f"export {name}={value}", flush=True)
        for pipeline_id in pipeline_ids[:10]:
            print(f"# pipeline {pipeline_id}", flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
