"""Talks with Databricks that are made hard, and what a process remembers while things are hard."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import Self

import pytest

from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.databricks.client import Databricks
from polysync_core.adapters.databricks.entra import DATABRICKS_SCOPE, EntraTokens, build_credential
from polysync_core.adapters.databricks.http_pool import new_session
from polysync_core.adapters.memory import CachedValue
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import DatabricksUnreachable, StorageUnavailable
from polysync_core.values.workspace import Workspace
from tests.rig import ManualClock

CALLERS = 8


class _SlowTokens(EntraTokens):
    """Real tokens, ten seconds each."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(lambda: build_credential(os.environ), clock)
        self._manual_clock = clock

    def token(self, scope: str = DATABRICKS_SCOPE) -> str:
        self._manual_clock.pass_time(seconds=10)
        return super().token(scope)


def test_no_post_begins_when_the_second_token_of_a_resource_took_too_long(
    workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    named = Workspace(name="w", url=workspace.url, resource_id="/subscriptions/s/resourceGroups/g")
    client = Databricks(named, new_session(), _SlowTokens(clock), clock).client(Deadline.after(clock, 60))
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
        client = Databricks(named, new_session(), tokens, clock).client(Deadline.after(clock, 1.0))
        began_at = time.monotonic()
        with pytest.raises(DatabricksUnreachable) as unreachable:
            client.fetch_updates_page("p")
        assert time.monotonic() - began_at < 3
    assert unreachable.value.was_sent


class _Trickling:
    """Answers every call with `content`, a byte every 50 ms."""

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


@pytest.mark.parametrize("works", [True, False])
def test_who_asks_while_a_value_is_made_shares_what_comes_of_it(works: bool) -> None:
    remembered = CachedValue[str](Clock(), inf)
    made = 0
    all_ask, go_on = threading.Barrier(CALLERS), threading.Event()

    def make() -> str:
        nonlocal made
        made += 1
        go_on.wait(10)
        if not works:
            raise StorageUnavailable("Silent.")
        return "the value"

    def ask() -> str:
        all_ask.wait()
        try:
            return remembered.get(make)
        except StorageUnavailable as error:
            return error.detail

    with ThreadPoolExecutor(CALLERS) as pool:
        asking = [pool.submit(ask) for _ in range(CALLERS)]
        threading.Timer(0.3, go_on.set).start()
        answers = {future.result() for future in asking}
    assert answers == {"the value" if works else "Silent."}
    assert made == 1
    assert works or remembered.get(lambda: "the next time") == "the next time"
