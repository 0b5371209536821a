"""The client of Databricks: every call ends by its deadline, whatever the other side does."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from typing import Self

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core import __version__
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.databricks.client import Databricks
from polysync_core.adapters.databricks.entra import DATABRICKS_SCOPE, EntraTokens, build_credential
from polysync_core.adapters.databricks.http_pool import new_session
from polysync_core.use_cases import jobs
from polysync_core.values.databricks_errors import DatabricksUnreachable
from polysync_core.values.deadline import Deadline
from polysync_core.values.ids import RunId
from polysync_core.values.workspace import Workspace


def test_no_post_begins_when_the_token_took_too_long(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    client = rig.client(60)
    with pytest.raises(DatabricksUnreachable, match="nothing was sent"):
        client.start_update(pipeline_id, False, begins_by=Deadline.after(rig.clock, -0.1))
    assert workspace.updates_of(pipeline_id) == []


def test_every_call_names_the_app_and_its_version(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = rig.start(pipeline_id).run.run_id
    rig.start(workspace.add_pipeline())
    rig.cancel(run_id)
    rig.sweep()
    jobs.discover_on_schedule([rig.ws], rig.services.import_rules())
    assert {call.method for call in workspace.calls()} == {"GET", "POST"}
    assert len({call.route for call in workspace.calls()}) >= 4
    assert {call.user_agent for call in workspace.calls()} == {f"polysync_polysync/{__version__}"}


UPDATES, UPDATE = "/pipelines/{id}/updates", "/pipelines/{id}/updates/{uid}"


@pytest.fixture
def real_time(azurite: str, workspace: SimulatedWorkspace) -> Rig:
    return Rig(azurite, {f"test-{uuid.uuid4().hex[:12]}": workspace.url}, workspace, Clock())


def _running(workspace: SimulatedWorkspace) -> RunId:
    pipeline_id = workspace.add_pipeline()
    return RunId(pipeline_id, workspace.start_elsewhere(pipeline_id))


def test_an_answer_that_trickles_ends_by_the_deadline(real_time: Rig, workspace: SimulatedWorkspace) -> None:
    run_id = _running(workspace)
    workspace.add_fault("trickle", method="GET", route=UPDATE, seconds=30)
    began_at = time.monotonic()
    with pytest.raises(DatabricksUnreachable):
        real_time.client(1.5).fetch_update(run_id)
    assert time.monotonic() - began_at < 10


@pytest.mark.parametrize(("megabytes", "is_read"), [(30, True), (33, False)])
def test_an_answer_is_read_up_to_32_mb(
    real_time: Rig, workspace: SimulatedWorkspace, megabytes: int, *, is_read: bool
) -> None:
    run_id = _running(workspace)
    told = json.dumps({"update": {"update_id": run_id.update_id}}) + " " * (megabytes << 20)
    workspace.add_fault("garbage", method="GET", route=UPDATE, status=200, body=told)
    client = real_time.client(20)
    if is_read:
        assert client.fetch_update(run_id).update_id == run_id.update_id
    else:
        with pytest.raises(DatabricksUnreachable):
            client.fetch_update(run_id)


class _SlowTokens(EntraTokens):
    """Real tokens. Each takes ten seconds."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(lambda: build_credential(os.environ), clock)
        self._manual_clock = clock

    def token(self, scope: str = DATABRICKS_SCOPE, until: Deadline | None = None) -> str:
        self._manual_clock.pass_time(seconds=10)
        return super().token(scope, until)


def test_no_post_begins_when_the_second_token_of_a_resource_took_too_long(
    workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    named = Workspace(name="w", url=workspace.url, resource_id="/subscriptions/s/resourceGroups/g")
    client = Databricks(named, new_session(clock), _SlowTokens(clock), clock).client(Deadline.after(clock, 60))
    pipeline_id = workspace.add_pipeline()
    with pytest.raises(DatabricksUnreachable, match="nothing was sent"):
        client.start_update(pipeline_id, False, begins_by=Deadline.after(clock, 15))
    assert workspace.updates_of(pipeline_id) == []


@pytest.mark.parametrize(
    "trickled",
    [b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000, b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b"{" * 900],
    ids=["its head", "its body"],
)
def test_an_answer_that_comes_byte_by_byte_ends_with_the_time_for_it(
    workspace: SimulatedWorkspace, trickled: bytes
) -> None:
    clock = Clock()
    with _Trickling(trickled) as trickling:
        named = Workspace(name="w", url=f"http://127.0.0.1:{trickling.port}")
        tokens = EntraTokens(lambda: build_credential(os.environ), clock)
        client = Databricks(named, new_session(clock), tokens, clock).client(Deadline.after(clock, 1.0))
        began_at = time.monotonic()
        with pytest.raises(DatabricksUnreachable) as unreachable:
            client.fetch_updates_page("p")
        assert time.monotonic() - began_at < 3
    assert unreachable.value.was_sent


class _Trickling:
    """Answers every call with `content`, one byte every 50 ms."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            for byte in self._content:
                if self._closing.wait(0.05):
                    return
                connection.sendall(bytes([byte]))
