"""The stored keys of the await addresses, and what a process knows of them: rotations, outages, wrong tokens."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from local.faults import Fault, FaultPlan, FaultProxy, storage_label
from local.rig import ManualClock
from polysync_core.adapters.await_keyring import AwaitKeyring
from polysync_core.adapters.storage.await_key_store import AwaitKeyStore
from polysync_core.adapters.storage.tables import Table
from polysync_core.use_cases.await_addresses import rotate_await_key
from polysync_core.values.caller import KEY_ID
from polysync_core.values.errors import StorageUnavailable, TooBusy
from polysync_core.values.workspace import TablesAddress

PROCESSES = 4
READ = "GET *(secret)"


class Processes:
    """Several processes of one app: each has a keyring of its own on one table, which is behind a fault proxy."""

    def __init__(self, tables: str, clock: ManualClock, plan: FaultPlan) -> None:
        self._tables, self._name = tables, f"T{uuid.uuid4().hex}"
        self.clock, self.plan = clock, plan

    def new(self) -> AwaitKeyring:
        table = Table(TablesAddress(connection_string=self._tables), self._name, lambda: pytest.fail("no identity"))
        return AwaitKeyring(AwaitKeyStore(table), self.clock, lambda: os.urandom(32))

    @property
    def reads(self) -> int:
        """How often the row of the keys was read."""
        return sum(call.label.startswith("GET") for call in self.plan.calls())


@pytest.fixture
def processes(azurite: str, clock: ManualClock) -> Iterator[Processes]:
    """The keys of these processes are in a table of their own, which does not exist yet."""
    direct, plan = azurite.partition("TableEndpoint=")[2].rpartition("/")[0], FaultPlan()
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(direct, plan, label=storage_label))
        yield Processes(azurite.replace(direct, proxy.url), clock, plan)


def rotate(keyring: AwaitKeyring, clock: ManualClock, days: int = 7) -> bytes:
    """Rotate, and return the new key."""
    rotate_await_key(keyring, clock, keep_old_for_days=days, caller=KEY_ID)
    return keyring.current().newest


def test_processes_that_make_the_first_key_at_once_get_the_same(processes: Processes) -> None:
    all_ask = Barrier(PROCESSES)

    def ask(keyring: AwaitKeyring) -> bytes:
        all_ask.wait()
        return keyring.current().newest

    with ThreadPoolExecutor(PROCESSES) as pool:
        assert len({*pool.map(ask, [processes.new() for _ in range(PROCESSES)])}) == 1


def test_rotations_at_once_happen_one_after_the_other_and_none_is_lost(
    processes: Processes, clock: ManualClock
) -> None:
    keyrings = [processes.new() for _ in range(PROCESSES)]
    first = keyrings[0].current().newest
    all_rotate = Barrier(PROCESSES)

    def at_once(keyring: AwaitKeyring) -> None:
        all_rotate.wait()
        rotate(keyring, clock)

    with ThreadPoolExecutor(PROCESSES) as pool:
        [*pool.map(at_once, keyrings)]
    keys = processes.new().current()
    assert len(keys.older) == PROCESSES
    assert keys.older[-1].secret == keys.first == first
    assert len({*keys.valid_at(clock.now())}) == PROCESSES + 1


def test_a_rotation_under_an_etag_of_before_is_refused(processes: Processes) -> None:
    keyring = processes.new()
    stored = keyring.stored()
    rotate(processes.new(), processes.clock)
    with pytest.raises(TooBusy):
        keyring.save(replace(stored.value, newest=os.urandom(32)), stored.etag)
    assert len(keyring.current().older) == 1


@pytest.mark.parametrize("kind", ["reset", "half"])
def test_a_rotation_whose_answer_is_lost_happens_once(processes: Processes, clock: ManualClock, kind: Any) -> None:
    keyring = processes.new()
    before = keyring.current().newest
    processes.plan.add(Fault(kind, when="after", label="P*(secret)"))
    newest = rotate(keyring, clock)
    assert any(call.fault is not None for call in processes.plan.calls())
    keys = processes.new().current()
    assert (keys.newest, [old.secret for old in keys.older]) == (newest, [before])


def test_a_process_that_rotates_uses_the_new_key_at_once_and_the_others_within_a_minute(
    processes: Processes, clock: ManualClock
) -> None:
    keyring, other = processes.new(), processes.new()
    old = other.current().newest
    new = rotate(keyring, clock)
    assert new != old
    clock.pass_time(seconds=59)
    assert other.current().newest == old
    clock.pass_time(seconds=1)
    assert other.current().newest == new


def test_unknown_tokens_cause_one_read_in_three_seconds(processes: Processes, clock: ManualClock) -> None:
    keyring = processes.new()
    keyring.current()
    clock.pass_time(seconds=10)
    before = processes.reads
    for _ in range(20):
        keyring.reread()
    assert processes.reads == before + 1
    clock.pass_time(seconds=2.9)
    keyring.reread()
    assert processes.reads == before + 1
    clock.pass_time(seconds=0.1)
    keyring.reread()
    assert processes.reads == before + 2


def test_while_storage_is_down_the_known_keys_stay_in_use(processes: Processes, clock: ManualClock) -> None:
    keyring = processes.new()
    known = keyring.current()
    processes.plan.add(Fault("status", label=READ, status=503, times=None))
    with pytest.raises(StorageUnavailable):
        processes.new().current()
    clock.pass_time(minutes=5)
    assert keyring.current() == known
    with pytest.raises(StorageUnavailable):
        keyring.reread()
    before = processes.reads
    for _ in range(20):
        assert keyring.current() == known
        with pytest.raises(StorageUnavailable):
            keyring.reread()
    assert processes.reads == before, "a read that has failed is not repeated at once"
    with pytest.raises(StorageUnavailable):
        rotate_await_key(keyring, clock, keep_old_for_days=7, caller=KEY_ID)
    assert keyring.current() == known

    processes.plan.clear()
    clock.pass_time(seconds=3)
    new = rotate(processes.new(), clock)
    assert keyring.current().newest == new
