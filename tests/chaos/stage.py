"""Storage and a workspace behind fault proxies, in simulated time, and the app on it as its callers meet it."""

from __future__ import annotations

import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from local.azurite import Azurite
from local.faults import Fault, FaultPlan, FaultProxy, storage_label, workspace_label
from local.workspace import SimulatedWorkspace
from polysync_core import endpoints, services
from polysync_core.adapters.run_store import RunStore
from polysync_core.errors import PolysyncError
from polysync_core.model import HeldReservation, Reservation, UsedKey
from polysync_core.rules.http_contract import Call, Reply, problem
from polysync_core.services import Services
from polysync_core.settings import Settings
from tests.chaos.books import Books
from tests.rig import ManualClock

STORAGE, WORKSPACE = "storage", "workspace"
PACE_SECONDS = 10.0
"""How long a state of an update lasts: about 50 s from creation to end."""
SWEEP_SECONDS = 15
_NO_WORD = Fault("status", status=403)
"""What a dead process hears of storage: tells as little as a reset, and the library does not wait to repeat it."""
BASE_URL = "http://app.example"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a caller got."""

    status: int
    body: Mapping[str, Any]


class Stage:
    """One Azurite, one workspace, a proxy before each with a common plan of faults, and a clock.

    Every case plays in a partition of its own; `bugs` are the exceptions that the core did not raise on purpose.
    """

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.plan = FaultPlan(down={STORAGE: _NO_WORD})
        self.bugs: list[str] = []
        self._stack = ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        azurite = self._stack.enter_context(Azurite())
        self.workspace = self._stack.enter_context(
            SimulatedWorkspace(pace_seconds=PACE_SECONDS, now=lambda: self.clock.now().timestamp())
        )
        self._storage_proxy = self._stack.enter_context(
            FaultProxy(f"http://127.0.0.1:{azurite.port}", self.plan, name=STORAGE, label=storage_label)
        )
        self._workspace_proxy = self._stack.enter_context(
            FaultProxy(self.workspace.url, self.plan, name=WORKSPACE, label=workspace_label)
        )
        self.tables = azurite.connection_string
        self.books = Books(self.tables, self.workspace)
        self.books.create_table()
        self._stack.enter_context(_BugLog(self.bugs))
        self._stack.enter_context(_environment(self.identity()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def new_partition(self) -> str:
        return f"case-{next(self._numbers)}"

    def proxied_tables(self) -> str:
        """The connection string through the proxy."""
        direct = self.tables.partition("TableEndpoint=")[2].rpartition("/")[0]
        return self.tables.replace(direct, self._storage_proxy.url)

    @property
    def workspace_url(self) -> str:
        """Of the workspace through its proxy."""
        return self._workspace_proxy.url

    def identity(self) -> dict[str, str]:
        """What azure-identity reads from the environment: the workspace's identity endpoint, through the proxy too."""
        return {
            "IDENTITY_ENDPOINT": self.workspace.identity_endpoint.replace(self.workspace.url, self.workspace_url),
            "IDENTITY_HEADER": self.workspace.identity_header,
        }

    def calm(self) -> None:
        """No more faults; whatever is still under way comes to its end."""
        self.plan.clear()
        self._storage_proxy.wait_until_idle()
        self._workspace_proxy.wait_until_idle()


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


class _BugLog(logging.Handler):
    """Collects what the core logs with a traceback: each is a bug."""

    def __init__(self, bugs: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._bugs = bugs

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._bugs.append(f"{record.getMessage()}: {record.exc_info[1]!r}")

    def __enter__(self) -> None:
        logging.getLogger("polysync").addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("polysync").removeHandler(self)


class ForgetfulStore(RunStore):
    """The control: a start that reserves nothing, so that nothing remembers it before its run is tracked."""

    def reserve(self, reservation: Reservation, used: UsedKey | None) -> HeldReservation | None:
        """Always succeeds, without a row."""
        del used
        no_row = "W/\"datetime'2000-01-01T00%3A00%3A00.0000000Z'\""
        return HeldReservation(reservation=replace(reservation, start_row=None), etag=no_row)


class App:
    """A process of the app: its services are its own. Requests go through its endpoints as in function_app."""

    def __init__(self, stage: Stage, partition: str, *, reserving: bool = True) -> None:
        workspaces = json.dumps({partition: {"url": stage.workspace_url}})
        environ = {"POLYSYNC_WORKSPACES": workspaces, "POLYSYNC_TABLES": stage.proxied_tables()}
        built = services.build(Settings.from_environ(environ), stage.identity(), stage.clock)
        self._services = built if reserving else forgetting(built)
        self._stage = stage

    def start(self, pipeline_id: str, body: Mapping[str, Any], key: str | None) -> Answer:
        return self._answer(endpoints.start_update, "POST", {"pipeline_id": pipeline_id}, body, key)

    def cancel(self, run_id: str) -> Answer:
        return self._answer(endpoints.cancel_run, "POST", {"run_id": run_id})

    def cancel_by_key(self, pipeline_id: str, key: str | None) -> Answer:
        return self._answer(endpoints.cancel_pipeline, "POST", {"pipeline_id": pipeline_id}, key=key)

    def read(self, run_id: str) -> Answer:
        return self._answer(endpoints.get_run, "GET", {"run_id": run_id})

    def sweep(self) -> None:
        endpoints.sweep(self._services)

    def _answer(
        self,
        endpoint: Callable[[Call, Services], Reply],
        method: str,
        route: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Answer:
        headers = {} if key is None else {"idempotency-key": key}
        sent = b"" if body is None else json.dumps(body).encode()
        call = Call(method=method, url=f"{BASE_URL}/api/x", headers=headers, route=route, body=sent)
        try:
            reply = endpoint(call, self._services)
        except PolysyncError as error:
            reply = problem(error, call.path)
        except Exception as bug:
            self._stage.bugs.append(f"{endpoint.__name__}: {bug!r}")
            return Answer(status=500, body={})
        return Answer(status=reply.status, body=dict(reply.body))


def forgetting(built: Services) -> Services:
    """The same services, but for a store that reserves nothing."""
    store = ForgetfulStore(built.store._table, services.new_id)
    accesses = {name: replace(access, store=store) for name, access in built.accesses.items()}
    return replace(built, store=store, accesses=accesses)
