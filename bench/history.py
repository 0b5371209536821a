"""The list of runs over a long history: seconds of a page, by filter.

    python -m bench.history [--rows 200000]

The runs are spread over a year. One run in a thousand has failed.
"""

from __future__ import annotations

import argparse
import os
import time
import uuid
from datetime import timedelta

from local.azurite import Azurite
from local.rig import Rig
from local.seeding import put_history
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.use_cases import reading
from polysync_core.values.run import RunFilter, Status

MOST_PAGES = 200


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.history", description="The list of runs, measured.")
    parser.add_argument("--rows", type=int, default=200_000)
    options = parser.parse_args()
    with Azurite() as azurite, SimulatedWorkspace() as workspace:
        os.environ.update(workspace.environ())
        rig = Rig(azurite.connection_string, {f"b-{uuid.uuid4().hex[:8]}": workspace.url}, workspace, Clock())
        put_history(rig, options.rows, over=timedelta(days=365), failed_every=1_000)
        print(f"{options.rows} runs of a year\n")
        print("filter                  first page  items  pages  slowest page  items in all")
        now = rig.clock.now()
        for name, wanted in {
            "none": RunFilter(),
            "status Failed": RunFilter(status=Status.FAILED),
            "status Cancelled": RunFilter(status=Status.CANCELLED),
            "a day": RunFilter(since=now - timedelta(days=100), until=now - timedelta(days=99)),
            "Failed, of a month": RunFilter(
                status=Status.FAILED, since=now - timedelta(days=60), until=now - timedelta(days=30)
            ),
        }.items():
            print(f"{name:<22} {_row(rig, wanted, follow=wanted != RunFilter())}", flush=True)


def _row(rig: Rig, wanted: RunFilter, *, follow: bool) -> str:
    seconds, items, continuation = [], [], None
    for _ in range(MOST_PAGES if follow else 1):
        began = time.monotonic()
        page = reading.list_runs(rig.ws, wanted, limit=50, continuation=continuation, max_age_seconds=30)
        seconds.append(time.monotonic() - began)
        items.append(len(page.views))
        continuation = page.continuation
        if continuation is None:
            break
    return f"{seconds[0]:>11.2f} {items[0]:>6} {len(items):>6} {max(seconds):>13.2f} {sum(items):>13}"


if __name__ == "__main__":
    main()
