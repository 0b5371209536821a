"""The same updates, followed by this app and by databricks-sdk's own waiter: calls, and how late each knows the end.

    python -m bench.peers [--updates 100] [--short-seconds 67] [--long-seconds 600]

Each side has a simulated workspace of its own, in a process of its own, and its journal counts the calls. At the same
moment, each side starts an update of the same length. The starts are spread over two periods of the sweep, and so are
the ends. Time is real: the short updates run first, then the long ones.

One listing shows the app up to 100 pipelines. So the fewer updates run at once, the more calls it needs for each. The
workspace has no other pipelines, which would make the listing longer.

The app runs as `python -m local.host` with its timers, without the hourly discovery. It is measured twice: when its
sweep stored the end (`finishedAt`), and when the callback reached its receiver. Only the second one tells a caller, so
the ratios use it.

The SDK follows an update with `pipelines.wait_get_pipeline_idle`, one thread for each update. It polls GET
/pipelines/{id} and sleeps 1 s, 2 s and so on up to 10 s, and up to 1 s more at random. It is measured when the waiter
returns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import requests
from databricks.sdk import WorkspaceClient

from bench.processes import KEY, RemoteWorkspace, app_process, workspace_process
from local.azurite import Azurite
from local.messages import Request
from local.receiver import Receiver
from local.rig import Rig
from local.workspace import DEFAULT_SCRIPT, SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.values.ids import RunId

SPREAD_SECONDS = 30.0
GRACE_SECONDS = 120.0
"""How long each side may take after the last end. What is missing then is reported."""
_NEVER = "0 0 0 1 1 *"


@dataclass(frozen=True)
class Side:
    """What one side needed. `lags` are the seconds from the true end of each update until the side knew it."""

    name: str
    calls: int
    lags: Sequence[float]

    def row(self, seconds: float, updates: int) -> str:
        lags = [f"{value:>8.1f}" for value in (_at(self.lags, 50), _at(self.lags, 95), max(self.lags))]
        head = f"{seconds:>8g}  {self.name:<26} {self.calls:>6} {self.calls / updates:>8.2f}"
        return f"{head} {' '.join(lags)} {updates - len(self.lags):>8}"


def _at(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="Two ways to follow an update.")
    parser.add_argument("--updates", type=int, default=100, help="of each length, for each side")
    parser.add_argument("--short-seconds", type=float, default=67.0, help="the length of the short updates")
    parser.add_argument("--long-seconds", type=float, default=600.0, help="the length of the long updates")
    options = parser.parse_args()
    print(f"{options.updates} updates of each length; calls to Databricks, with the start; lags in seconds\n")
    print(f"{'length':>8}  {'side':<26} {'calls':>6} {'an update':>8} {'p50':>7} {'p95':>8} {'max':>8} {'missing':>8}")
    for seconds in (options.short_seconds, options.long_seconds):
        stored, called_back, sdk = _measure(options.updates, seconds)
        for side in (stored, called_back, sdk):
            print(side.row(seconds, options.updates), flush=True)
        ratios = [
            called_back.calls / sdk.calls,
            *(_at(called_back.lags, percent) / _at(sdk.lags, percent) for percent in (50, 95)),
            max(called_back.lags) / max(sdk.lags),
        ]
        calls, *lags = [f"{ratio:>8.2f}" for ratio in ratios]
        print(f"{seconds:>8g}  {'ratio callback / sdk':<26} {'':>6} {calls} {' '.join(lags)}\n", flush=True)


def _measure(updates: int, seconds: float) -> tuple[Side, Side, Side]:
    """The app by its stored runs, the app by its callbacks, and the SDK."""
    with ExitStack() as stack:
        azurite = stack.enter_context(Azurite())
        ours, theirs = (stack.enter_context(workspace_process()) for _ in range(2))
        arrivals: dict[str, float] = {}
        receiver = stack.enter_context(Receiver(before=lambda request: _note(request, arrivals)))
        environ = {
            **ours.environ,
            "POLYSYNC_TABLES": azurite.connection_string,
            "POLYSYNC_CALLBACK_HOSTS": receiver.host,
            "POLYSYNC_DISCOVERY_SCHEDULE": _NEVER,
        }
        app = _App(stack.enter_context(app_process(environ)), receiver.url())
        # The rig only reads the table. It wants a workspace to control, and gets one that is not served.
        rig = Rig(azurite.connection_string, {"default": ours.url}, SimulatedWorkspace(), Clock())
        sdk = WorkspaceClient(host=theirs.url, token=theirs.control("issue_token", seconds=86_400), auth_type="pat")
        our_ids, their_ids = (_add_pipelines(workspace, updates, seconds) for workspace in (ours, theirs))
        pauses = [SPREAD_SECONDS * number / updates for number in range(updates)]
        with ThreadPoolExecutor(2 * updates) as pool:
            starts = [pool.submit(app.start, *each) for each in zip(our_ids, pauses, strict=True)]
            waits = [pool.submit(_follow, sdk, *each, seconds) for each in zip(their_ids, pauses, strict=True)]
            run_ids = [start.result() for start in starts]
            returns = dict(zip(their_ids, [wait.result() for wait in waits], strict=True))
        _await_callbacks(arrivals, updates)
        ends = _true_ends(ours, our_ids)
        stored = {run_id.pipeline_id: _finished_at(rig, run_id) for run_id in run_ids}
        calls = len(ours.control("calls"))
        called_back = {RunId.parse(run_id).pipeline_id: at for run_id, at in arrivals.items()}
        return (
            Side("app: end stored", calls, _lags(ends, stored)),
            Side("app: callback arrived", calls, _lags(ends, called_back)),
            Side(
                "databricks-sdk's waiter", len(theirs.control("calls")), _lags(_true_ends(theirs, their_ids), returns)
            ),
        )


@dataclass(frozen=True)
class _App:
    base: str
    callback_url: str

    def start(self, pipeline_id: str, pause_seconds: float) -> RunId:
        time.sleep(pause_seconds)
        answer = requests.post(
            f"{self.base}/api/pipelines/{pipeline_id}/updates",
            headers={"x-functions-key": KEY},
            json={"callbackUrl": self.callback_url},
            timeout=60,
        )
        assert answer.status_code == 202, answer.text
        return RunId.parse(answer.json()["runId"])


def _follow(sdk: WorkspaceClient, pipeline_id: str, pause_seconds: float, seconds: float) -> float | None:
    """Start an update with the SDK and wait for it. Returns when the waiter returned, or None if it timed out."""
    time.sleep(pause_seconds)
    sdk.pipelines.start_update(pipeline_id)
    try:
        sdk.pipelines.wait_get_pipeline_idle(pipeline_id, timeout=timedelta(seconds=seconds + GRACE_SECONDS))
    except TimeoutError:
        return None
    return time.time()


def _note(request: Request, arrivals: dict[str, float]) -> None:
    """Note when the first callback of a run arrived. A callback may come twice."""
    arrivals.setdefault(json.loads(request.body)["runId"], time.time())


def _await_callbacks(arrivals: Mapping[str, float], updates: int) -> None:
    gives_up_at = time.monotonic() + GRACE_SECONDS
    while len(arrivals) < updates and time.monotonic() < gives_up_at:
        time.sleep(0.5)


def _add_pipelines(workspace: RemoteWorkspace, count: int, seconds: float) -> list[str]:
    """Add pipelines whose updates pass through all states in `seconds`."""
    pace = seconds / (len(DEFAULT_SCRIPT) - 1)
    return [workspace.control("add_pipeline", pace_seconds=pace) for _ in range(count)]


def _true_ends(workspace: RemoteWorkspace, pipeline_ids: Sequence[str]) -> dict[str, float]:
    """When the update of each pipeline really ended, in epoch seconds."""
    ends = {}
    for pipeline_id in pipeline_ids:
        [update] = workspace.control("updates_of", pipeline_id=pipeline_id)
        state, at = update["history"][-1]
        assert state == "COMPLETED", state
        ends[pipeline_id] = at
    return ends


def _finished_at(rig: Rig, run_id: RunId) -> float | None:
    finished_at = rig.stored(run_id).finished_at
    return None if finished_at is None else finished_at.timestamp()


def _lags(ends: Mapping[str, float], known_at: Mapping[str, float | None]) -> list[float]:
    """The seconds between the end of each update and the time when a side knew it. Unknown ones are left out."""
    return [at - ends[pipeline_id] for pipeline_id, at in known_at.items() if at is not None]


if __name__ == "__main__":
    main()
