"""The app in this process, wired as in Azure and called through its endpoints. Also the control's store."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from polysync_core import services
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.storage.run_store import RunStore
from polysync_core.adapters.storage.tables import Table
from polysync_core.endpoints import run_endpoints as endpoints
from polysync_core.rules.wire.http_answers import Reply, problem
from polysync_core.rules.wire.http_contract import Call
from polysync_core.services import RUNS_TABLE, Services
from polysync_core.settings import Settings
from polysync_core.values.errors import PolysyncError
from polysync_core.values.run import Reservation, UsedKey
from polysync_core.values.stored import Locked

BASE_URL = "http://app.example"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A response as its caller got it."""

    status: int
    body: Mapping[str, Any]


class Door(Protocol):
    """How callers reach the app. A method returns None when no response came."""

    def start(self, pipeline_id: str, body: Mapping[str, Any], key: str | None) -> Answer | None: ...

    def cancel(self, run_id: str) -> Answer | None: ...

    def cancel_by_key(self, pipeline_id: str, key: str | None) -> Answer | None: ...

    def read(self, run_id: str) -> Answer | None: ...

    def await_result(self, run_id: str, token: str) -> Answer | None: ...

    def list_runs(self, pipeline_id: str) -> Answer | None: ...


class ForgetfulStore(RunStore):
    """The control's store. It makes no reservation, so nothing records a start until its run is tracked."""

    def reserve(
        self, reservation: Reservation, idempotency_key: str | None = None, used: UsedKey | None = None
    ) -> Locked[Reservation] | None:
        """Always succeed, without writing a row."""
        del idempotency_key, used
        no_row = "W/\"datetime'2000-01-01T00%3A00%3A00.0000000Z'\""
        return Locked(value=reservation, etag=no_row)


def wire(environ: Mapping[str, str], clock: Clock, *, reserving: bool = True) -> Services:
    """Build the app's services. With `reserving` False they use the control's store."""
    settings = Settings.from_environ({name: environ[name] for name in environ if name.startswith("POLYSYNC_")})
    built = services.build(settings, environ, clock)
    if reserving:
        return built
    table = Table(settings.tables, RUNS_TABLE, lambda: built.tokens.credential)
    workspaces = {
        name: replace(ws, runs=ForgetfulStore(table.partition(ws.workspace.partition), ws.callbacks, services.new_id))
        for name, ws in built.workspaces.items()
    }
    return replace(built, workspaces=workspaces)


class App:
    """One process of the app. Requests go through its endpoints, as in function_app."""

    def __init__(self, wired: Services, bugs: list[str]) -> None:
        self._services = wired
        self._bugs = bugs

    def start(self, pipeline_id: str, body: Mapping[str, Any], key: str | None) -> Answer:
        return self._answer(endpoints.start_update, "POST", {"pipeline_id": pipeline_id}, body, key)

    def cancel(self, run_id: str) -> Answer:
        return self._answer(endpoints.cancel_run, "POST", {"run_id": run_id})

    def cancel_by_key(self, pipeline_id: str, key: str | None) -> Answer:
        return self._answer(endpoints.cancel_pipeline, "POST", {"pipeline_id": pipeline_id}, key=key)

    def read(self, run_id: str) -> Answer:
        return self._answer(endpoints.get_run, "GET", {"run_id": run_id})

    def await_result(self, run_id: str, token: str) -> Answer:
        return self._answer(endpoints.await_run, "GET", {"run_id": run_id}, query={"token": token})

    def list_runs(self, pipeline_id: str) -> Answer:
        return self._answer(endpoints.list_runs, "GET", {}, query={"pipelineId": pipeline_id})

    def sweep(self) -> None:
        """Sweep. A failure of the whole is a failed invocation, and the next one goes on."""
        with contextlib.suppress(PolysyncError):
            endpoints.sweep(self._services)

    def deliver(self) -> None:
        """Deliver. A failure of the whole is a failed invocation, and the next one goes on."""
        with contextlib.suppress(PolysyncError):
            endpoints.deliver(self._services)

    def redeliver(self, run_id: str) -> Answer:
        return self._answer(endpoints.redeliver, "POST", {"run_id": run_id})

    def _answer(
        self,
        endpoint: Callable[[Call, Services], Reply],
        method: str,
        route: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        headers = {} if key is None else {"idempotency-key": key}
        sent = b"" if body is None else json.dumps(body).encode()
        call = Call(method=method, url=f"{BASE_URL}/api/x", headers=headers, query=query or {}, route=route, body=sent)
        try:
            reply = endpoint(call, self._services)
        except PolysyncError as error:
            reply = problem(error, call.path)
        except Exception as bug:
            self._bugs.append(f"{endpoint.__name__}: {bug!r}")
            return Answer(status=500, body={})
        return Answer(status=reply.status, body=dict(reply.body))


class BugLog(logging.Handler):
    """Collects what the core logs with a traceback. Each such entry is a bug."""

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
