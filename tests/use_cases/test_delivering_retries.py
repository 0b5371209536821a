"""Receivers that do not accept a callback: what is retried, and what is given up."""

from __future__ import annotations

import socket
import time
from datetime import timedelta
from typing import Any

import pytest
from azure.data.tables import TableClient

from local.receiver import Receiver
from local.rig import ManualClock, Rig
from local.seeding import put_row
from polysync_core.adapters.callback_sender import CallbackSender
from polysync_core.services import RUNS_TABLE
from polysync_core.values.callback import CallbackState
from tests.conftest import RigOf
from tests.use_cases.callbacks import callback_of, deliver, finish, started


def rows(rig: Rig) -> list[dict[str, Any]]:
    """Return all rows of the partition."""
    connection = rig.settings.tables.connection_string
    assert connection is not None
    with TableClient.from_connection_string(connection, RUNS_TABLE) as table:
        return [dict(row) for row in table.query_entities("PartitionKey eq @name", parameters={"name": rig.partition})]


class TestReceiversThatDoNotTakeIt:
    def test_a_receiver_down_for_twenty_hours_gets_it_once_when_it_is_up(
        self, rig_of: RigOf, clock: ManualClock
    ) -> None:
        with Receiver() as receiver:
            rig = rig_of(receiver)
            run = started(rig, receiver.url())
        finish(rig, run)
        finished_at = clock.now()
        while clock.now() - finished_at < timedelta(hours=20):
            deliver(rig)
            clock.pass_time(minutes=5)
        callback = callback_of(rig, run)
        assert (callback.state, callback.tries) == (CallbackState.DUE, 7)
        assert callback.last_error == "no connection could be made"
        with Receiver(port=receiver.port) as receiver:
            while clock.now() - finished_at < timedelta(hours=30):
                deliver(rig)
                clock.pass_time(minutes=5)
        assert len(receiver.deliveries) == 1
        assert callback_of(rig, run).state is CallbackState.DELIVERED

    def test_a_callback_between_two_tries_is_as_old_as_its_first_try_and_not_due(
        self, rig_of: RigOf, clock: ManualClock
    ) -> None:
        """Seen before: the age was 0 between the tries, so its alert came late, and ended while the receiver failed."""
        with Receiver(status=500) as receiver:
            rig = rig_of(receiver)
            run = started(rig, receiver.url())
            finish(rig, run)
            seen = []
            for _ in range(4):
                (queue,) = deliver(rig).queues.values()
                seen.append((queue.due, queue.oldest_seconds))
                clock.pass_time(minutes=8)
        assert seen == [(1, 0), (1, 8 * 60), (0, 16 * 60), (0, 24 * 60)]

    def test_one_that_is_never_up_is_given_up_after_a_day(self, rig_of: RigOf, clock: ManualClock) -> None:
        with Receiver() as receiver:
            rig = rig_of(receiver)
            run = started(rig, receiver.url(), field="callBackUri")
        finish(rig, run)
        for _ in range(25):
            deliver(rig)
            clock.pass_time(hours=1)
        callback = callback_of(rig, run)
        assert (callback.state, callback.next_attempt_at) == (CallbackState.GIVEN_UP, None)
        assert deliver(rig).due == 0

    @pytest.mark.parametrize(("field", "status"), [("callbackUrl", 410), ("callBackUri", 404)])
    def test_one_that_wants_no_more_is_left_alone(
        self, rig_of: RigOf, receiver: Receiver, clock: ManualClock, field: str, status: int
    ) -> None:
        rig = rig_of(receiver)
        receiver.status = status
        run = started(rig, receiver.url(), field=field)
        finish(rig, run)
        deliver(rig)
        clock.pass_time(hours=25)
        assert deliver(rig).due == 0
        assert callback_of(rig, run).state is CallbackState.GIVEN_UP
        assert callback_of(rig, run).last_error == f"HTTP {status}"

    @pytest.mark.parametrize(("kind", "column"), [("run", "runId"), ("waiter", "callbackKind")])
    def test_one_whose_rows_are_unreadable_fails_once_a_minute_and_is_sent_when_they_are_corrected(
        self, rig_of: RigOf, receiver: Receiver, clock: ManualClock, kind: str, column: str
    ) -> None:
        rig = rig_of(receiver)
        run = started(rig, receiver.url())
        finish(rig, run)
        (good,) = (row for row in rows(rig) if str(row["RowKey"]).startswith(f"{kind}|"))
        put_row(rig, good["RowKey"], {column: "x"})
        failed = 0
        for _ in range(5 * 4):
            failed += deliver(rig).failed
            clock.pass_time(seconds=15)
        assert (failed, receiver.deliveries) == (5, [])
        put_row(rig, good["RowKey"], good)
        clock.pass_time(minutes=1)
        assert deliver(rig).delivered == 1

    @pytest.mark.parametrize("columns", [{"tries": "many"}, {"runId": 7}, {"dueAt": "soon"}, {}])
    def test_one_whose_place_in_the_queue_is_unreadable_is_logged_and_skipped(
        self, rig_of: RigOf, receiver: Receiver, caplog: pytest.LogCaptureFixture, columns: dict[str, object]
    ) -> None:
        rig = rig_of(receiver)
        run = started(rig, receiver.url("/unreadable"))
        finish(rig, run)
        (good,) = (row for row in rows(rig) if str(row["RowKey"]).startswith("callback|"))
        put_row(rig, good["RowKey"], {**good, **columns} if columns else {"nothing": "left"}, replace=True)
        finish(rig, started(rig, receiver.url("/other")))
        assert deliver(rig).delivered == 1
        assert [delivery.target for delivery in receiver.deliveries] == ["/other"]
        assert f"PartitionKey {rig.partition}, RowKey {good['RowKey']}; correct or delete this row" in caplog.text
        put_row(rig, good["RowKey"], good)
        assert deliver(rig).delivered == 1

    def test_a_redirect_is_a_failure_and_not_followed(self, rig_of: RigOf, receiver: Receiver) -> None:
        with Receiver() as inside:
            rig = rig_of(receiver, inside)
            receiver.status, receiver.headers = 307, {"Location": inside.url()}
            run = started(rig, receiver.url())
            finish(rig, run)
            assert deliver(rig).failed == 1
            assert len(receiver.deliveries) == 1
            assert inside.deliveries == []
        assert callback_of(rig, run).last_error == "HTTP 307; redirects are not followed"

    def test_an_answer_that_drips_is_cut_off(self, rig_of: RigOf, receiver: Receiver) -> None:
        def drip(connection: socket.socket) -> None:
            for _ in range(100):
                connection.sendall(b"H")
                time.sleep(0.1)

        receiver.answer = drip
        rig = rig_of(receiver)
        run = started(rig, receiver.url())
        finish(rig, run)
        began_at = time.monotonic()
        deliver(rig, CallbackSender(rig.settings.callback_hosts, None, try_seconds=0.5))
        assert time.monotonic() - began_at < 3
        assert callback_of(rig, run).last_error == "no answer in time"

    def test_a_body_without_end_is_not_read_and_its_status_counts(self, rig_of: RigOf, receiver: Receiver) -> None:
        def pour(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(1000):
                connection.sendall(b"x" * 65536)

        receiver.answer = pour
        rig = rig_of(receiver)
        run = started(rig, receiver.url())
        finish(rig, run)
        assert deliver(rig).delivered == 1
        assert callback_of(rig, run).state is CallbackState.DELIVERED
