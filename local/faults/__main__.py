"""python -m local.faults: see the docstring of the package."""

from __future__ import annotations

import argparse
import json
import signal
import threading

from local.faults import Fault, FaultPlan, FaultProxy, plain_label, storage_label, workspace_label

_LABELS = {"plain": plain_label, "storage": storage_label, "workspace": workspace_label}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.faults", description="A proxy that breaks calls on demand.")
    parser.add_argument("--upstream", required=True, metavar="URL", help="http://127.0.0.1:PORT")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0: a free one (default)")
    parser.add_argument("--kind", choices=_LABELS, default="plain", help="how calls are named (default: by their path)")
    parser.add_argument(
        "--fault", action="append", default=[], type=json.loads, metavar="JSON", help="fields of local.faults.Fault"
    )
    options = parser.parse_args()

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    plan = FaultPlan()
    for fields in options.fault:
        plan.add(Fault(**fields))
    with FaultProxy(options.upstream, plan, label=_LABELS[options.kind], port=options.port) as proxy:
        print(f"{proxy.url} -> {options.upstream}", flush=True)
        stopped.wait()
    for call in plan.calls():
        met = "" if call.fault is None else f"  <- {call.fault.kind} {call.fault.when}"
        print(f"{call.label}{met}")


if __name__ == "__main__":
    main()
