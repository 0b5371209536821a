"""Storage and a workspace behind fault proxies, in simulated time, and the app on them."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from local.azurite import Azurite
from local.faults import Fault, FaultPlan, FaultProxy, storage_label, workspace_label
from local.receiver import Receiver
from local.rig import ManualClock
from local.workspace import SimulatedWorkspace
from tests.chaos.app import App, BugLog, wire
from tests.chaos.ledger import Ledger

STORAGE, WORKSPACE, RECEIVER = "storage", "workspace", "receiver"
START = "POST /pipelines/{id}/updates"
LIST_UPDATES = "GET /pipelines/{id}/updates"
PACE_SECONDS = 4.0
"""An update takes about 20 s from its creation to its end."""
SWEEP_SECONDS = 20
_NO_WORD = Fault("status", status=403)
"""What storage answers to a dead process. It says as little as a reset, but Azure's library does not retry it."""
BASE_URL = "http://app.example"


class Stage:
    """Azurite, a workspace and a receiver of callbacks, each behind a proxy, with one plan of faults and one clock.

    Every case has a partition of its own. `bugs` are the exceptions that the core did not raise on purpose.
    `pace_seconds` is how long a state of an update lasts. With `queue`, Azurite has queues too.
    """

    def __init__(
        self, clock: ManualClock | None = None, pace_seconds: float = PACE_SECONDS, *, queue: bool = False
    ) -> None:
        self.clock = clock or ManualClock()
        self._pace_seconds = pace_seconds
        self._queue = queue
        self.plan = FaultPlan(down={STORAGE: _NO_WORD})
        self.bugs: list[str] = []
        self._stack = ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        azurite = self._stack.enter_context(Azurite(queue=self._queue))
        self.workspace = self._stack.enter_context(
            SimulatedWorkspace(self._pace_seconds, now=self._epoch_seconds, token_now=self._epoch_seconds)
        )
        self._storage_proxy = self._stack.enter_context(
            FaultProxy(f"http://127.0.0.1:{azurite.port}", self.plan, name=STORAGE, label=storage_label)
        )
        self._workspace_proxy = self._stack.enter_context(
            FaultProxy(self.workspace.url, self.plan, name=WORKSPACE, label=workspace_label)
        )
        receiver = self._stack.enter_context(Receiver())
        self._receiver_proxy = self._stack.enter_context(
            FaultProxy(f"http://{receiver.host}", self.plan, name=RECEIVER, label=_callback_label)
        )
        self.tables = azurite.connection_string
        self.ledger = Ledger(self.tables, self.workspace, receiver)
        self.ledger.create_table()
        self._stack.enter_context(BugLog(self.bugs))
        self._stack.enter_context(_environment(self.identity()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _epoch_seconds(self) -> float:
        return self.clock.now().timestamp()

    def new_partition(self) -> str:
        """Return a partition for a new case: a new address, which its workspace has in the settings."""
        return self._workspace_proxy.another_address()

    def proxied_tables(self) -> str:
        """The connection string for Azurite through its proxy."""
        direct = self.tables.partition("TableEndpoint=")[2].partition(";")[0].rpartition("/")[0]
        return self.tables.replace(direct, self._storage_proxy.url)

    @property
    def workspace_url(self) -> str:
        """The workspace's address through its proxy."""
        return self._workspace_proxy.url

    def new_pipeline_id(self) -> str:
        """Ids ascend, so that a path makes the same calls each time it is played."""
        return f"pipeline-{next(self._numbers):06d}"

    def new_callback_id(self) -> str:
        return f"callback-{next(self._numbers)}"

    def callback_url(self, callback_id: str) -> str:
        """The callback address of a caller: the receiver, through its proxy."""
        return f"{self._receiver_proxy.url}/{callback_id}"

    def identity(self) -> dict[str, str]:
        """The environment for azure-identity. It names the workspace's identity endpoint, through the proxy."""
        return {
            "IDENTITY_ENDPOINT": self.workspace.identity_endpoint.replace(self.workspace.url, self.workspace_url),
            "IDENTITY_HEADER": self.workspace.identity_header,
        }

    def environ(self, partition: str, settings: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of an app whose only workspace has the address `partition`."""
        workspaces = json.dumps({"default": {"url": f"http://{partition}"}})
        return {
            "POLYSYNC_WORKSPACES": workspaces,
            "POLYSYNC_TABLES": self.proxied_tables(),
            "POLYSYNC_CALLBACK_HOSTS": f"127.0.0.1:{self._receiver_proxy.port}",
            **self.identity(),
            **(settings or {}),
        }

    def environ_with_queue(self, partition: str) -> dict[str, str]:
        """The same with a second workspace, so that the app sweeps groups of one workspace through the queue."""
        workspaces = {"default": {"url": f"http://{partition}"}, "second": {"url": self.workspace_url}}
        return {
            **self.environ(partition),
            "POLYSYNC_WORKSPACES": json.dumps(workspaces),
            "POLYSYNC_SWEEP_GROUP_WORKSPACES": "1",
            "AzureWebJobsStorage": self.tables,
        }

    def new_app(self, partition: str, settings: Mapping[str, str] | None = None, *, reserving: bool = True) -> App:
        """Return a new process of the app."""
        return App(wire(self.environ(partition, settings), self.clock, reserving=reserving), self.bugs)

    def calm(self) -> None:
        """Remove all faults, and wait until no call is in flight. Held calls stay until release()."""
        self.plan.clear()
        self._wait_until_idle()

    def release(self) -> None:
        """Execute the held calls and wait for their end."""
        self.plan.release()
        self._wait_until_idle()

    def _wait_until_idle(self) -> None:
        for proxy in (self._storage_proxy, self._workspace_proxy, self._receiver_proxy):
            proxy.wait_until_idle()


def _callback_label(method: str, _target: str, _body: bytes) -> str:
    return f"{method} callback"


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Change this process's environment, because azure-identity reads it."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
