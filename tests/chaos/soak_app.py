"""`python -m tests.chaos.soak_app`: the app of the soak in a process of its own, so that its memory can be measured.

It reads one JSON object a line: {"do": name, "given": arguments, "passed": the clock's seconds}. It answers one JSON
object a line: {"status", "body"} for a request, or {"bytes"} for memory. Both also hold "passed", because sleeps move
the clock, and the "bugs" so far.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.rig import ManualClock
from tests.chaos.app import App, BugLog, wire


def main() -> None:
    clock = ManualClock()
    bugs: list[str] = []
    app = App(wire(os.environ, clock), bugs)
    with BugLog(bugs):
        for line in sys.stdin:
            request = json.loads(line)
            clock.sleep(request["passed"] - clock.monotonic())
            answer = _do(app, request["do"], request["given"])
            print(json.dumps({**answer, "passed": clock.monotonic(), "bugs": bugs}), flush=True)


def _do(app: App, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if name == "memory":
        return {"bytes": _resident_bytes()}
    answer = getattr(app, name)(**given)
    return {} if answer is None else {"status": answer.status, "body": dict(answer.body)}


def _resident_bytes() -> int:
    """The resident memory of this process (Linux only)."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
