"""`python -m tests.chaos.soak_app`: the app of the soak in a process of its own, so that its memory is its own.

Reads one JSON object a line: {"do": name, "given": arguments, "passed": the clock's seconds}. Answers one: {"status",
"body"} of a request or {"bytes"} of memory, with "passed" (sleeps moved the clock) and "bugs" so far.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from tests.chaos.app import App, BugLog, wire
from tests.rig import ManualClock


def main() -> None:
    logging.getLogger("azure").setLevel(logging.CRITICAL)
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
        return {"bytes": _used_bytes()}
    answer = getattr(app, name)(**given)
    return {} if answer is None else {"status": answer.status, "body": dict(answer.body)}


class _MallInfo(ctypes.Structure):
    """struct mallinfo2 of glibc, man 3 mallinfo."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
                     "keepcost")
    ]  # fmt: skip


def _used_bytes() -> int:
    """What is allocated now. The resident size would tell of malloc's gaps too, which come and go."""
    gc.collect()
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _MallInfo
    info = mallinfo2()
    return int(info.uordblks + info.hblkhd)


if __name__ == "__main__":
    main()
