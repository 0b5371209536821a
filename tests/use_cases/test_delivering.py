"""Callbacks are owed when a run finishes. They are sent at least once, and only to checked addresses."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from azure.data.tables import TableClient
from standardwebhooks import Webhook

from local.receiver import Receiver
from local.rig import ManualClock, Rig
from polysync_core.adapters.clock import Clock
from polysync_core.rules.decisions import budgets
from polysync_core.services import RUNS_TABLE
from polysync_core.use_cases import delivering
from polysync_core.use_cases.delivering import DeliveryReport, Queue
from polysync_core.values.callback import CallbackState
from tests.conftest import RigOf
from tests.use_cases.callbacks import callback_of, deliver, finish, started

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()


CREDENTIAL = "a-credential"


def rows(rig: Rig) -> list[dict[str, Any]]:
    """Return all rows of the partition."""
    connection = rig.settings.tables.connection_string
    assert connection is not None
    with TableClient.from_connection_string(connection, RUNS_TABLE) as table:
        return [dict(row) for row in table.query_entities("PartitionKey eq @name", parameters={"name": rig.partition})]


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what other threads do, at most 10 seconds."""
    ends_at = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.05)


class ForwardClock(Clock):
    """The real time, moved forward by `ahead`."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


class TestWhatIsSent:
    def test_a_webhook_gets_the_run_document_once_with_our_own_headers_only(
        self, rig_of: RigOf, receiver: Receiver, clock: ManualClock
    ) -> None:
        rig = rig_of(receiver)
        run = started(rig, receiver.url("/Hook/a%2Fb?sig=a-credential&x=%20"))
        assert callback_of(rig, run).state is CallbackState.WAITING
        assert deliver(rig).due == 0
        finish(rig, run)
        assert callback_of(rig, run).state is CallbackState.DUE
        queues = {rig.ws.workspace.name: Queue(due=1, oldest_seconds=0)}
        assert deliver(rig) == DeliveryReport(due=1, delivered=1, failed=0, left=0, queues=queues)
        assert deliver(rig).due == 0
        (delivery,) = receiver.deliveries
        assert delivery.target == "/Hook/a%2Fb?sig=a-credential&x=%20"
        assert delivery.json["runId"] == str(run.run_id)
        assert (delivery.json["status"], delivery.json["isFinished"]) == ("Success", True)
        assert delivery.json["statusUrl"] == f"http://app.example/api/runs/{run.run_id}"
        assert dict(delivery.headers) == {
            "host": receiver.host,
            "accept-encoding": "identity",
            "content-length": str(len(delivery.body)),
            "content-type": "application/json",
            "user-agent": "Polysync",
            "webhook-id": callback_of(rig, run).callback_id,
            "webhook-timestamp": str(int(clock.now().timestamp())),
        }
        assert callback_of(rig, run).state is CallbackState.DELIVERED

    @pytest.mark.parametrize(
        ("state", "status_code", "error_code"),
        [
            ("COMPLETED", "200", None),
            ("FAILED", "424", "org.apache.spark.sql.AnalysisException"),
            ("CANCELED", "409", "UpdateCancelled"),
        ],
    )
    def test_data_factory_gets_its_own_form_unsigned(
        self, rig_of: RigOf, receiver: Receiver, state: str, status_code: str, error_code: str | None
    ) -> None:
        rig = rig_of(receiver, POLYSYNC_CALLBACK_SECRET=SECRET)
        run = started(rig, receiver.url(), field="callBackUri")
        finish(rig, run, state)
        deliver(rig)
        (delivery,) = receiver.deliveries
        assert delivery.json["StatusCode"] == status_code
        assert delivery.json["Output"]["runId"] == str(run.run_id)
        assert delivery.json.get("Error", {}).get("ErrorCode") == error_code
        assert not [name for name in delivery.headers if name.startswith("webhook-")]

    @pytest.mark.parametrize("settings", [{}, {"POLYSYNC_CALLBACK_SECRET": SECRET}], ids=["unsigned", "signed"])
    def test_the_webhook_id_stays_on_every_try_and_when_it_is_delivered_again(
        self, rig_of: RigOf, receiver: Receiver, clock: ManualClock, settings: dict[str, str]
    ) -> None:
        rig = rig_of(receiver, **settings)
        run = started(rig, receiver.url())
        finish(rig, run)
        receiver.status = 503
        deliver(rig)
        clock.pass_time(seconds=6)
        receiver.status = 204
        assert deliver(rig).delivered == 1
        delivering.redeliver(run.run_id, rig.ws)
        clock.pass_time(seconds=1)
        assert deliver(rig).delivered == 1
        sent = [delivery.headers for delivery in receiver.deliveries]
        assert len(sent) == 3
        assert {headers["webhook-id"] for headers in sent} == {callback_of(rig, run).callback_id}
        assert len({headers["webhook-timestamp"] for headers in sent}) == 3
        assert {"webhook-signature" in headers for headers in sent} == {bool(settings)}

    def test_the_signature_verifies_on_every_try(self, rig_of: RigOf, receiver: Receiver) -> None:
        watch = ForwardClock()
        rig = rig_of(receiver, watch=watch, POLYSYNC_CALLBACK_SECRET=SECRET)
        run = started(rig, receiver.url())
        finish(rig, run)
        receiver.status = 503
        deliver(rig)
        receiver.status = 204
        watch.ahead = timedelta(seconds=6)
        assert deliver(rig).delivered == 1
        first, second = receiver.deliveries
        for delivery in (first, second):
            assert Webhook(SECRET).verify(delivery.body, dict(delivery.headers))["runId"] == str(run.run_id)

    def test_addresses_in_it_are_built_from_the_public_address_where_there_is_one(
        self, rig_of: RigOf, receiver: Receiver
    ) -> None:
        rig = rig_of(receiver, POLYSYNC_PUBLIC_URL="https://runs.example")
        run = started(rig, receiver.url())
        finish(rig, run)
        deliver(rig)
        assert receiver.deliveries[0].json["cancelUrl"].startswith("https://runs.example/api/")

    def test_the_credentials_of_an_address_are_in_no_log_and_in_no_row_but_the_waiters(
        self, rig_of: RigOf, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        rig = rig_of(receiver)
        run = started(rig, receiver.url(), key="k")
        holding = {str(row["RowKey"]).partition("|")[0] for row in rows(rig) if CREDENTIAL in str(row)}
        assert holding == {"waiter"}
        finish(rig, run)
        receiver.status = 500
        deliver(rig)
        receiver.status = 302
        rig.services.clock.sleep(10)
        deliver(rig)
        holding = {str(row["RowKey"]).partition("|")[0] for row in rows(rig) if CREDENTIAL in str(row)}
        assert holding == {"waiter"}
        assert CREDENTIAL in receiver.deliveries[0].target
        assert "callback of run" in caplog.text
        assert CREDENTIAL not in caplog.text


class TestWhoSends:
    def test_two_deliverers_at_the_same_moment_send_each_callback_once(self, rig_of: RigOf, receiver: Receiver) -> None:
        receiver.before = lambda _: threading.Event().wait(0.05)
        rig = rig_of(receiver)
        other = rig_of(receiver, name=rig.name)
        runs = [started(rig, receiver.url(f"/{number}")) for number in range(12)]
        for run in runs:
            rig.workspace.set_state(run.run_id.pipeline_id, None, "COMPLETED")
        rig.sweep()
        barrier = threading.Barrier(2)

        def tick(deliverer: Rig) -> DeliveryReport:
            barrier.wait()
            return deliver(deliverer)

        with ThreadPoolExecutor(2) as pool:
            reports = list(pool.map(tick, (rig, other)))
        assert sorted(delivery.target for delivery in receiver.deliveries) == sorted(f"/{n}" for n in range(12))
        assert sum(report.delivered for report in reports) == 12
        assert {callback_of(rig, run).state for run in runs} == {CallbackState.DELIVERED}

    def test_what_a_deliverer_had_claimed_when_it_died_is_sent_by_the_next(
        self, rig_of: RigOf, receiver: Receiver, clock: ManualClock
    ) -> None:
        rig = rig_of(receiver)
        run = started(rig, receiver.url())
        finish(rig, run)
        callbacks = rig.ws.callbacks
        (held,) = callbacks.due(clock.now())
        assert callbacks.claim(held, clock.now()) is not None
        assert callbacks.claim(held, clock.now()) is None, "nobody claims it twice"
        clock.pass_time(seconds=budgets.CALLBACK_TRY + 1)
        assert deliver(rig).due == 0, "for as long as a try may take nobody else sends it"
        clock.pass_time(seconds=60)
        assert deliver(rig).delivered == 1

    def test_a_slow_receiver_delays_no_other_delivery(self, rig_of: RigOf) -> None:
        released, arrived = threading.Event(), threading.Event()
        with Receiver(before=lambda _: released.wait(20)) as slow, Receiver(before=lambda _: None) as quick:
            rig = rig_of(slow, quick, watch=Clock())
            runs = [started(rig, slow.url()) for _ in range(8)] + [started(rig, quick.url()) for _ in range(3)]
            for run in runs:
                rig.workspace.set_state(run.run_id.pipeline_id, None, "COMPLETED")
            rig.sweep()
            quick.before = lambda _: arrived.set() if len(quick.deliveries) == 3 else None
            with ThreadPoolExecutor(1) as pool:
                passing = pool.submit(deliver, rig)
                assert arrived.wait(5), "the quick ones did not wait for the slow ones"
                time.sleep(0.5)
                assert len(slow.deliveries) == 1, "a host has one thread until it answers"
                released.set()
                assert passing.result(20).delivered == 11

    def test_a_pass_ends_in_time_and_leaves_the_rest_to_the_next(self, rig_of: RigOf, receiver: Receiver) -> None:
        released = threading.Event()
        receiver.before = lambda _: released.wait(20)
        rig = rig_of(receiver, watch=Clock())
        runs = [started(rig, receiver.url()) for _ in range(6)]
        for run in runs:
            rig.workspace.set_state(run.run_id.pipeline_id, None, "COMPLETED")
        rig.sweep()
        began_at = time.monotonic()
        workspaces = [*rig.services.workspaces.values()]
        report = delivering.deliver_callbacks(workspaces, rig.services.sender, None, pass_seconds=1)
        assert time.monotonic() - began_at < 3
        assert (report.due, report.delivered, report.left) == (6, 0, 6)
        released.set()
        deliver(rig)
        wait_until(lambda: all(callback_of(rig, run).state is CallbackState.DELIVERED for run in runs))
        assert len(receiver.deliveries) == 6
