"""Storage and a workspace behind fault proxies, in simulated time, and the app on it as its callers meet it."""

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
"""About 20 s from an update's creation to its end."""
SWEEP_SECONDS = 20
_NO_WORD = Fault("status", status=403)
"""What a dead process hears of storage: tells as little as a reset, and the library does not wait to repeat it."""
BASE_URL = "http://app.example"


class Stage:
    """Azurite, a workspace and a receiver of callbacks, a proxy before each with a common plan of faults, and a clock.

    Every case plays in a partition of its own; `bugs` are the exceptions that the core did not raise on purpose.
    `pace_seconds` is how long a state of an update lasts.
    """

    def __init__(self, clock: ManualClock | None = None, pace_seconds: float = PACE_SECONDS) -> None:
        self.clock = clock or ManualClock()
        self._pace_seconds = pace_seconds
        self.plan = FaultPlan(down={STORAGE: _NO_WORD})
        self.bugs: list[str] = []
        self._stack = ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        azurite = self._stack.enter_context(Azurite())
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
        """The partition of a new case: the address that its workspace has in the settings, and nobody else's."""
        return self._workspace_proxy.another_address()

    def proxied_tables(self) -> str:
        """The connection string through the proxy."""
        direct = self.tables.partition("TableEndpoint=")[2].rpartition("/")[0]
        return self.tables.replace(direct, self._storage_proxy.url)

    @property
    def workspace_url(self) -> str:
        """Of the workspace through its proxy."""
        return self._workspace_proxy.url

    def new_pipeline_id(self) -> str:
        """In ascending order, so that a path makes the same calls each time it is played."""
        return f"pipeline-{next(self._numbers):06d}"

    def new_callback_id(self) -> str:
        return f"callback-{next(self._numbers)}"

    def callback_url(self, callback_id: str) -> str:
        """Where a caller waits to be called back: the receiver, through its proxy."""
        return f"{self._receiver_proxy.url}/{callback_id}"

    def identity(self) -> dict[str, str]:
        """What azure-identity reads from the environment: the workspace's identity endpoint, through the proxy too."""
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

    def new_app(self, partition: str, settings: Mapping[str, str] | None = None, *, reserving: bool = True) -> App:
        """A new process of the app."""
        return App(wire(self.environ(partition, settings), self.clock, reserving=reserving), self.bugs)

    def calm(self) -> None:
        """No more faults; whatever is still under way comes to its end. What is held stays so until release()."""
        self.plan.clear()
        self._wait_until_idle()

    def release(self) -> None:
        """What was held is executed now."""
        self.plan.release()
        self._wait_until_idle()

    def _wait_until_idle(self) -> None:
        for proxy in (self._storage_proxy, self._workspace_proxy, self._receiver_proxy):
            proxy.wait_until_idle()


def _callback_label(method: str, _target: str, _body: bytes) -> str:
    return f"{method} callback"


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """azure-identity reads the process's environment by itself."""
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
