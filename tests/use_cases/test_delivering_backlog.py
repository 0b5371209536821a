"""A receiver with hundreds of due callbacks, beside other receivers."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial

import pytest
from azure.data.tables import TableClient

from local.fault import Fault
from local.faults import FaultPlan, FaultProxy, storage_label
from local.messages import Request
from local.receiver import Receiver
from local.rig import Rig
from local.seeding import owe_callbacks
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.callback_entity import OWED
from polysync_core.services import RUNS_TABLE
from polysync_core.use_cases import delivering
from polysync_core.values.callback import CallbackState, OwedCallback
from polysync_core.values.run import Run
from tests.conftest import RigOf
from tests.use_cases.callbacks import callback_of, finish, started


def owe_often(rig: Rig, run: Run, count: int, *, tries: int = 0, since: timedelta = timedelta(hours=-1)) -> None:
    """Queue the run's callback `count` more times. The last one is due `since` after now, and the others before."""
    callback, connection = callback_of(rig, run), rig.settings.tables.connection_string
    assert connection is not None
    owed = [
        OwedCallback(
            run_id=run.run_id,
            callback_id=callback.callback_id,
            host=callback.host,
            due_at=rig.clock.now() + since - timedelta(seconds=number),
            tries=tries,
        )
        for number in range(count)
    ]
    rows = [
        {
            "PartitionKey": rig.partition,
            "RowKey": row_keys.callback(entry.run_id, entry.callback_id, entry.due_at),
            **OWED.encode(entry),
        }
        for entry in owed
    ]
    with TableClient.from_connection_string(connection, RUNS_TABLE) as table:
        for begin in range(0, count, 100):
            table.submit_transaction([("create", row) for row in rows[begin : begin + 100]])


def test_of_one_host_a_pass_takes_a_bounded_number_and_sends_those_of_others(rig_of: RigOf) -> None:
    released = threading.Event()
    with Receiver(before=lambda _: released.wait(20)) as dead, Receiver() as live:
        rig = rig_of(dead, live, watch=Clock())
        runs = [started(rig, receiver.url()) for receiver in (dead, live)]
        for run in runs:
            finish(rig, run)
        owe_often(rig, runs[0], 1_700)
        workspaces = [*rig.services.workspaces.values()]
        report = delivering.deliver_callbacks(workspaces, rig.services.sender, None, pass_seconds=3)
        released.set()
        assert (report.due, report.delivered) == (1_501, 1)
        assert callback_of(rig, runs[1]).state is CallbackState.DELIVERED


@pytest.mark.parametrize("silent", [9, 40])
def test_hosts_that_hang_do_not_hold_up_one_that_answers(rig_of: RigOf, silent: int) -> None:
    """Seen before: eight hosts with four threads each held all 32 threads of every pass."""
    with ExitStack() as stack:
        released = threading.Event()
        stack.callback(released.set)
        dead = [stack.enter_context(Receiver(before=lambda _: released.wait(20))) for _ in range(silent)]
        live = stack.enter_context(Receiver())
        rig = rig_of(*dead, live, watch=Clock())
        runs = [started(rig, receiver.url()) for receiver in (*dead, live)]
        for run in runs:
            finish(rig, run)
            owe_often(rig, run, 60)
        workspaces = [*rig.services.workspaces.values()]
        delivering.deliver_callbacks(workspaces, rig.services.sender, None, pass_seconds=4)
        assert callback_of(rig, runs[-1]).state is CallbackState.DELIVERED
        first = [len(receiver.deliveries) for receiver in dead]
        assert max(first) == 1, "a host has one thread until it answers"
        delivering.deliver_callbacks(workspaces, rig.services.sender, None, pass_seconds=1)
        assert sum(len(receiver.deliveries) for receiver in dead) - sum(first) <= 16


def test_a_backlog_in_one_workspace_does_not_hide_what_is_due_in_another(
    azurite: str, workspace: SimulatedWorkspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"POLYSYNC_CALLBACK_HOSTS": receiver.host}
    busy = Rig(azurite, {"busy": workspace.url}, workspace, Clock(), **settings)
    run = started(busy, receiver.url("/busy"))
    finish(busy, run)
    owe_often(busy, run, 3_000)
    with SimulatedWorkspace() as other:
        for name, value in other.environ().items():
            monkeypatch.setenv(name, value)
        quiet = Rig(azurite, {"quiet": other.url}, other, Clock(), **settings)
        for number in range(60):
            finish(quiet, started(quiet, receiver.url(f"/quiet/{number}")))
        delivering.deliver_callbacks([busy.ws, quiet.ws], quiet.services.sender, None)
    assert sum(delivery.path.startswith("/quiet") for delivery in receiver.deliveries) == 60


def test_many_repeats_of_a_host_do_not_hide_its_first_tries(rig_of: RigOf, receiver: Receiver) -> None:
    rig = rig_of(receiver, watch=Clock())
    repeated, new = started(rig, receiver.url("/repeated")), started(rig, receiver.url("/new"))
    finish(rig, repeated)
    owe_often(rig, repeated, 250, tries=3)
    finish(rig, new)
    delivering.deliver_callbacks([rig.ws], rig.services.sender, None)
    assert "/new" in [delivery.path for delivery in receiver.deliveries[:6]]


def test_a_host_that_answers_fast_gets_more_threads(rig_of: RigOf) -> None:
    """Seen before: four threads a host, so 27 callbacks a second, and 200 a pass."""
    with Receiver(before=lambda _: time.sleep(0.1)) as receiver:
        rig = rig_of(receiver, watch=Clock())
        for run in [started(rig, receiver.url()) for _ in range(60)]:
            rig.workspace.set_state(run.run_id.pipeline_id, None, "COMPLETED")
        rig.sweep()
        began = time.monotonic()
        report = delivering.deliver_callbacks([rig.ws], rig.services.sender, None)
        assert (report.due, report.delivered) == (60, 60)
        assert time.monotonic() - began < 60 * 0.1 / 2, "more than two at a time"


def test_many_results_and_claims_share_a_batch_of_storage(azurite: str, workspace: SimulatedWorkspace) -> None:
    """Seen before: two batches for each callback, which took most of the time of a pass."""
    direct, plan = azurite.partition("TableEndpoint=")[2].rpartition("/")[0], FaultPlan(keep=1_000)
    with (
        Receiver(before=lambda _: time.sleep(0.1)) as receiver,
        FaultProxy(direct, plan, label=storage_label) as proxy,
    ):
        urls = {f"test-{uuid.uuid4().hex[:12]}": workspace.url}
        rig = Rig(azurite.replace(direct, proxy.url), urls, workspace, Clock(), POLYSYNC_CALLBACK_HOSTS=receiver.host)
        owe_callbacks(rig, receiver.url(), 80)
        before = len(plan.calls())
        assert delivering.deliver_callbacks([rig.ws], rig.services.sender, None).delivered == 80
        batches = [call for call in plan.calls()[before:] if call.label.startswith("POST $batch")]
        assert len(batches) <= 80


@pytest.mark.parametrize("waiting", [0, 1_500])
def test_a_pass_with_nothing_due_reads_one_page(azurite: str, workspace: SimulatedWorkspace, waiting: int) -> None:
    with _proxied(azurite, workspace) as (rig, plan):
        run = started(rig, "http://127.0.0.1:9/")
        owe_often(rig, run, waiting, since=timedelta(hours=1))
        before = len(plan.calls())
        report = delivering.deliver_callbacks([rig.ws], rig.services.sender, None)
        assert (report.due, report.queues[rig.ws.workspace.name].due) == (0, 0)
        assert [call.label for call in plan.calls()[before:]] == ["GET PolysyncRuns(callback…)"]


def test_of_a_queue_that_could_not_be_read_to_its_end_nothing_is_said(
    azurite: str, workspace: SimulatedWorkspace
) -> None:
    with _proxied(azurite, workspace) as (rig, plan):
        run = started(rig, "http://127.0.0.1:9/")
        owe_often(rig, run, 1_200)
        plan.add(Fault("status", label="GET PolysyncRuns(callback…)", after=1, times=None, status=403))
        report = delivering.deliver_callbacks([rig.ws], rig.services.sender, None)
        assert report.due == 1_000, "what was read is sent"
        assert report.queues == {}


@contextmanager
def _proxied(azurite: str, workspace: SimulatedWorkspace) -> Iterator[tuple[Rig, FaultPlan]]:
    """An app whose calls to storage go through a plan of faults, and the plan."""
    direct, plan = azurite.partition("TableEndpoint=")[2].rpartition("/")[0], FaultPlan(keep=1_000)
    with FaultProxy(direct, plan, label=storage_label) as proxy:
        urls = {f"test-{uuid.uuid4().hex[:12]}": workspace.url}
        settings = {"POLYSYNC_CALLBACK_HOSTS": "127.0.0.1:9"}
        yield Rig(azurite.replace(direct, proxy.url), urls, workspace, Clock(), **settings), plan


def test_a_host_whose_call_hangs_gets_four_calls_at_a_time(rig_of: RigOf) -> None:
    """Seen before: a host that had answered fast kept its 32 threads, whatever became of its calls."""
    released, lock = threading.Event(), threading.Lock()
    begun, under_way, seen_later = 0, 0, []
    hangs_since: float | None = None

    def answer(_: Request) -> None:
        nonlocal begun, under_way, hangs_since
        with lock:
            begun, under_way = begun + 1, under_way + 1
            hangs = begun == 40
            if hangs:
                hangs_since = time.monotonic()
            if hangs_since is not None and time.monotonic() - hangs_since > 2:
                seen_later.append(under_way)
        released.wait(20 if hangs else 0.1)
        with lock:
            under_way -= 1

    with Receiver(before=answer) as receiver:
        rig = rig_of(receiver, watch=Clock())
        owe_callbacks(rig, receiver.url(), 400)
        delivering.deliver_callbacks([rig.ws], rig.services.sender, None, pass_seconds=5)
        released.set()
    assert seen_later, "it was called while one call hung"
    assert max(seen_later) <= 4


def hang_after_15(receiver: Receiver, released: threading.Event, _: Request) -> None:
    if len(receiver.deliveries) > 15:
        released.wait(20)


def test_hosts_that_stop_answering_leave_threads_for_one_that_answers(rig_of: RigOf) -> None:
    """Seen before: two hosts that had answered fast held all 64 threads."""
    with ExitStack() as stack:
        released = threading.Event()
        stack.callback(released.set)
        dead = [stack.enter_context(Receiver()) for _ in range(4)]
        for receiver in dead:
            receiver.before = partial(hang_after_15, receiver, released)
        live = stack.enter_context(Receiver(before=lambda _: time.sleep(0.1)))
        rig = rig_of(*dead, live, watch=Clock())
        for receiver in (*dead, live):
            owe_callbacks(rig, receiver.url(), 60)
        report = delivering.deliver_callbacks([rig.ws], rig.services.sender, None, pass_seconds=8)
        assert len(live.deliveries) == 60
        assert report.delivered >= 60 + 4 * 15
        held = sum(len(receiver.deliveries) - 15 for receiver in dead)
        assert held <= 40 + 4 * 4
