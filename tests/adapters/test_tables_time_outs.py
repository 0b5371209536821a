"""Storage that accepts a connection and sends nothing: every call ends, and a start answers before its deadline."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from local.faults import Fault, FaultPlan
from local.rig import Rig
from local.seeding import put_rows
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.storage.tables import Partition, Table, create, storage_deadline
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import StorageUnavailable
from polysync_core.values.workspace import TablesAddress

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture
def silent() -> Iterator[Partition]:
    """A partition whose server accepts every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}/devstoreaccount1"
        connection = f"AccountName=devstoreaccount1;AccountKey={KEY};TableEndpoint={endpoint}"
        table = Table(TablesAddress(connection_string=connection), "Silent", lambda: pytest.fail("no identity here"))
        yield table.partition("p")
        for one in taken:
            one.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda rows: rows.get("k"),
        lambda rows: list(rows.scan("k|")),
        lambda rows: rows.put("k", {}),
        lambda rows: rows.commit([create("k", {})], was_written=lambda: rows.get("k") is not None),
    ],
    ids=["get", "scan", "put", "commit"],
)
def test_a_call_ends_within_the_time_it_was_given(silent: Partition, call: Callable[[Partition], object]) -> None:
    began = time.monotonic()
    with pytest.raises(StorageUnavailable), storage_deadline(Deadline.after(Clock(), 1.0)):
        call(silent)
    assert time.monotonic() - began < 2.5


def test_without_a_limit_a_call_still_ends_by_its_own_time_outs(silent: Partition) -> None:
    began = time.monotonic()
    with pytest.raises(StorageUnavailable):
        silent.get("k")
    assert time.monotonic() - began < 13


def test_no_page_of_a_scan_begins_after_the_deadline(behind_proxy: Rig, plan: FaultPlan) -> None:
    """Seen before: only the first page was bounded."""
    put_rows(behind_proxy, [(f"active|z{number:04d}:u", {}) for number in range(2_100)])
    plan.add(Fault("delay", seconds=1.2, times=None))
    began = time.monotonic()
    with pytest.raises(StorageUnavailable), storage_deadline(Deadline.after(Clock(), 1.5)):
        behind_proxy.ws.runs.list_active()
    assert time.monotonic() - began < 2.4
