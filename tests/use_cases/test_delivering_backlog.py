"""A receiver with hundreds of due callbacks, beside other receivers."""

from __future__ import annotations

import threading
from datetime import timedelta

from azure.data.tables import TableClient

from local.receiver import Receiver
from local.rig import Rig
from polysync_core.adapters.clock import Clock
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.callback_entity import OWED
from polysync_core.services import RUNS_TABLE
from polysync_core.use_cases import delivering
from polysync_core.values.callback import CallbackState, OwedCallback
from polysync_core.values.run import Run
from tests.conftest import RigOf
from tests.use_cases.callbacks import callback_of, finish, started


def owe_often(rig: Rig, run: Run, count: int) -> None:
    """Queue the run's callback `count` more times, all due at least an hour ago."""
    callback, connection = callback_of(rig, run), rig.settings.tables.connection_string
    assert connection is not None
    owed = [
        OwedCallback(
            run_id=run.run_id,
            callback_id=callback.callback_id,
            host=callback.host,
            due_at=rig.clock.now() - timedelta(hours=1, seconds=number),
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


def test_of_one_host_a_pass_considers_200_and_sends_those_of_others(rig_of: RigOf) -> None:
    released = threading.Event()
    with Receiver(before=lambda _: released.wait(20)) as dead, Receiver() as live:
        rig = rig_of(dead, live, watch=Clock())
        runs = [started(rig, receiver.url()) for receiver in (dead, live)]
        for run in runs:
            finish(rig, run)
        owe_often(rig, runs[0], 300)
        workspaces = [*rig.services.workspaces.values()]
        report = delivering.deliver_callbacks(workspaces, rig.services.sender, None, pass_seconds=3)
        released.set()
        assert (report.due, report.delivered) == (201, 1)
        assert callback_of(rig, runs[1]).state is CallbackState.DELIVERED
