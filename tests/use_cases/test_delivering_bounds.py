"""A delivery pass ends by its deadline, even when storage accepts connections and never answers."""

from __future__ import annotations

import socket
import time

import pytest

from local.rig import Rig
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.use_cases import delivering
from polysync_core.values.errors import AllWorkspacesFailed

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def test_a_pass_over_silent_storage_ends_in_time(workspace: SimulatedWorkspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/devstoreaccount1"
        tables = f"AccountName=devstoreaccount1;AccountKey={KEY};TableEndpoint={endpoint}"
        urls = {f"w{number}": workspace.url.rpartition(":")[0] + f":{number + 1}" for number in range(3)}
        rig = Rig(tables, urls, workspace, Clock())
        began = time.monotonic()
        with pytest.raises(AllWorkspacesFailed):
            delivering.deliver_callbacks([*rig.services.workspaces.values()], rig.services.sender, None)
        assert time.monotonic() - began < 12
