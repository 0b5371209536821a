"""Two hosts and one queue: the groups of workspaces are swept once a tick, also after one of the hosts was killed."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.azurite import Azurite
from local.rig import Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from tests.chaos.host_process import HostProcess

TICK_SECONDS = 3
CLAIM_SECONDS = 12
NAMES = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def workspaces() -> Iterator[dict[str, SimulatedWorkspace]]:
    with ExitStack() as stack:
        first = stack.enter_context(SimulatedWorkspace())
        made = [first, *(stack.enter_context(SimulatedWorkspace(issuer=first.issuer)) for _ in NAMES[1:])]
        yield dict(zip(NAMES, made, strict=True))


def _sweeps(workspace: SimulatedWorkspace, since: float) -> list[float]:
    """When the workspace was swept: the call for its one run is made once a sweep."""
    return [call.at for call in workspace.calls() if call.at >= since]


def test_three_groups_over_two_hosts_sweep_each_workspace_once_a_tick(
    workspaces: dict[str, SimulatedWorkspace], tmp_path: Path
) -> None:
    with ExitStack() as stack:
        azurite = stack.enter_context(Azurite(queue=True))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        identity = workspaces["a"].environ()
        del identity["DATABRICKS_HOST"]
        for name, value in identity.items():
            patch.setenv(name, value)
        for name, workspace in workspaces.items():
            rig = Rig(azurite.connection_string, {name: workspace.url}, workspace, Clock())
            track_running(rig, workspace, workspace.add_pipelines(1))
        environ = {
            **identity,
            "POLYSYNC_TABLES": azurite.connection_string,
            "AzureWebJobsStorage": azurite.connection_string,
            "POLYSYNC_WORKSPACES": json.dumps({name: {"url": each.url} for name, each in workspaces.items()}),
            "POLYSYNC_SWEEP_GROUP_WORKSPACES": "2",
            "POLYSYNC_SWEEP_SCHEDULE": f"*/{TICK_SECONDS} * * * * *",
            "POLYSYNC_CALLBACK_SCHEDULE": "0 0 0 1 1 *",
        }
        # The timer of an app fires in one instance only. Here it is the first host's.
        first = HostProcess(environ, tmp_path / "first.log")
        second = HostProcess({**environ, "AzureWebJobs.sweep_runs.Disabled": "true"}, tmp_path / "second.log")
        for host in (first, second):
            stack.callback(host.kill)
            host.start()
        _wait_for(lambda: all(len(_sweeps(each, 0.0)) >= 2 for each in workspaces.values()))

        began = time.time()
        time.sleep(4 * TICK_SECONDS)
        for name, workspace in workspaces.items():
            times = _sweeps(workspace, began)
            assert 3 <= len(times) <= 5, (name, "once a tick")
            gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
            assert min(gaps) > TICK_SECONDS / 2, (name, "never twice at once")

        for workspace in workspaces.values():
            workspace.configure(latency_seconds=0.8)  # so that the second host is killed in the middle of its sweep
        time.sleep(TICK_SECONDS)
        second.kill()
        killed_at = time.time()
        _wait_for(
            lambda: all(bool(_sweeps(each, killed_at + 1)) for each in workspaces.values()),
            seconds=CLAIM_SECONDS + 2 * TICK_SECONDS,
        )


def _wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "not in time"
        time.sleep(0.1)
