"""Connections to Databricks are kept for each workspace, and are not used when they may be dead."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from urllib3.connection import HTTPSConnection

from local.loopback import LoopbackServer
from local.messages import Reply, Request, json_reply
from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.databricks.http_pool import new_session
from polysync_core.values.deadline import Deadline
from tests.adapters.test_callback_sender import Authority


class Host:
    """A host with TLS. It records the client address of each request's connection."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.peers: list[object] = []
        self.server = LoopbackServer(self._respond, tls=tls)
        self.url = f"https://localhost:{self.server.port}/"

    def _respond(self, request: Request) -> Reply:
        assert request.connection is not None
        self.peers.append(request.connection.getpeername())
        return json_reply({})


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.file))
    return made


@pytest.fixture
def hosts(authority: Authority) -> Iterator[list[Host]]:
    with ExitStack() as stack:
        found = [Host(authority.server("localhost")) for _ in range(20)]
        for host in found:
            stack.enter_context(host.server)
        yield found


def test_each_of_many_workspaces_keeps_its_connection(hosts: list[Host], clock: ManualClock) -> None:
    session = new_session(clock, len(hosts))
    for _ in range(3):
        for host in hosts:
            assert session.get(host.url, timeout=5).status_code == 200
    assert [len(set(host.peers)) for host in hosts] == [1] * len(hosts)


def test_the_app_keeps_a_connection_for_each_of_its_workspaces(
    hosts: list[Host], azurite: str, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    urls = {f"w{number}": host.url.rstrip("/") for number, host in enumerate(hosts)}
    rig = Rig(azurite, urls, workspace, clock)
    for _ in range(3):
        for ws in rig.services.workspaces.values():
            ws.databricks.client(Deadline.after(clock, 10)).fetch_pipelines_page()
    assert [len(set(host.peers)) for host in hosts] == [1] * len(hosts)


def test_all_workspaces_share_one_tls_context(hosts: list[Host], clock: ManualClock) -> None:
    session = new_session(clock, len(hosts))
    contexts = set()
    for host in hosts[:3]:
        with session.get(host.url, timeout=5, stream=True) as response:
            contexts.add(id(_connection_of(response).ssl_context))
    assert len(contexts) == 1


@pytest.mark.parametrize(("seconds", "connections"), [(59, 1), (61, 2)])
def test_a_connection_that_was_idle_for_more_than_a_minute_is_not_used(
    hosts: list[Host], clock: ManualClock, seconds: float, connections: int
) -> None:
    session = new_session(clock)
    session.get(hosts[0].url, timeout=5)
    clock.pass_time(seconds=seconds)
    session.post(hosts[0].url, timeout=5)
    assert len(set(hosts[0].peers)) == connections


def test_a_connection_is_kept_alive_by_probes(hosts: list[Host], clock: ManualClock) -> None:
    with new_session(clock).get(hosts[0].url, timeout=5, stream=True) as response:
        sock = _connection_of(response).sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60


def test_a_certificate_of_an_unknown_authority_or_for_another_name_is_refused(
    authority: Authority, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = new_session(clock)
    with Host(authority.server("other.example")).server as other, pytest.raises(requests.exceptions.SSLError):
        session.get(f"https://localhost:{other.port}/", timeout=5)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with Host(authority.server("localhost")).server as unknown, pytest.raises(requests.exceptions.SSLError):
        session.get(f"https://localhost:{unknown.port}/", timeout=5)


def _connection_of(response: requests.Response) -> HTTPSConnection:
    connection = response.raw.connection
    assert isinstance(connection, HTTPSConnection)
    return connection
