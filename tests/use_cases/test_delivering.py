"""Callbacks: owed when a run finishes, sent at least once, to checked addresses only."""

from __future__ import annotations

import base64
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from local.receiver import Receiver
from polysync_core.adapters.callback_sender import CallbackSender
from polysync_core.adapters.clock import Clock
from polysync_core.rules.decisions import budgets
from polysync_core.services import RUNS_TABLE
from polysync_core.use_cases import delivering
from polysync_core.use_cases.delivering import DeliveryReport
from polysync_core.values.callback import CallbackState
from tests.rig import ManualClock, Rig
from tests.use_cases.callbacks import callback_of, deliver, finish, started
from tests.use_cases.conftest import RigOf
from tests.use_cases.seeding import put_row

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
CREDENTIAL = "a-credential"


def rows(rig: Rig) -> list[dict[str, Any]]:
    """All that the partition holds."""
    connection = rig.settings.tables.connection_string
    assert connection is not None
    with TableClient.from_connection_string(connection, RUNS_TABLE) as table:
        return [dict(row) for row in table.query_entities("PartitionKey eq @name", parameters={"name": rig.name})]


def wait_until(is_so: Callable[[], bool]) -> None:
    """For what other threads do by themselves."""
    ends_at = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.05)


class ForwardClock(Clock):
    """Real time, put forward by `ahead`."""

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
        assert deliver(rig) == DeliveryReport(due=1, delivered=1, failed=0, left=0)
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
                assert len(slow.deliveries) == 4, "a host holds few of the threads"
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
        assert f"PartitionKey {rig.name}, RowKey {good['RowKey']}; correct or delete this row" in caplog.text
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


class TestWhereAConnectionIsMade:
    """`localhost` is listed; what it is resolved to is the test's choice."""

    @pytest.fixture
    def rig(self, rig_of: RigOf, receiver: Receiver) -> Rig:
        return rig_of(receiver, POLYSYNC_CALLBACK_HOSTS=f"localhost:{receiver.port},*.example.org:{receiver.port}")

    def sender(self, rig: Rig, *answers: list[str], **more: Any) -> tuple[CallbackSender, list[str]]:
        """A sender whose resolver gives each of `answers` once, the last for ever; and the names it was asked for."""
        left, asked = [*answers], list[str]()

        def resolver(host: str, port: int) -> list[str]:
            asked.append(host)
            return left.pop(0) if len(left) > 1 else left[0]

        return CallbackSender(rig.settings.callback_hosts, None, resolver=resolver, **more), asked

    def test_a_name_that_resolves_differently_the_second_time_is_not_asked_a_second_time(
        self, rig: Rig, receiver: Receiver
    ) -> None:
        sender, asked = self.sender(rig, ["127.0.0.1"], ["169.254.169.254"])
        run = started(rig, f"http://localhost:{receiver.port}/x")
        finish(rig, run)
        assert deliver(rig, sender).delivered == 1
        assert asked == ["localhost"]
        assert receiver.deliveries[0].headers["host"] == f"localhost:{receiver.port}"

    def test_a_name_that_leads_elsewhere_by_the_next_try_is_refused(
        self, rig: Rig, receiver: Receiver, clock: ManualClock
    ) -> None:
        receiver.status = 503
        sender, _ = self.sender(rig, ["127.0.0.1"], ["169.254.169.254"])
        run = started(rig, f"http://localhost:{receiver.port}/x")
        finish(rig, run)
        deliver(rig, sender)
        clock.pass_time(seconds=10)
        deliver(rig, sender)
        assert len(receiver.deliveries) == 1
        assert callback_of(rig, run).last_error == "the host's name leads to an address that may not be called"

    @pytest.mark.parametrize(
        "addresses",
        [
            ["127.0.0.1"],
            ["::1"],
            ["10.0.0.4"],
            ["20.42.4.209", "127.0.0.1"],
            ["::ffff:127.0.0.1"],
            ["2002:7f00:1::"],
            [],
        ],
        ids=str,
    )
    def test_a_public_name_that_leads_inside_is_refused_with_all_its_addresses(
        self, rig: Rig, receiver: Receiver, addresses: list[str]
    ) -> None:
        sender, _ = self.sender(rig, addresses)
        run = started(rig, f"https://hooks.example.org:{receiver.port}/x")
        finish(rig, run)
        assert deliver(rig, sender).failed == 1
        assert receiver.deliveries == []
        assert callback_of(rig, run).last_error == "the host's name leads to an address that may not be called"

    def test_the_next_address_of_a_name_is_tried_when_the_first_takes_no_connection(
        self, rig: Rig, receiver: Receiver
    ) -> None:
        sender, _ = self.sender(rig, ["127.0.0.99", "127.0.0.1"])
        run = started(rig, f"http://localhost:{receiver.port}/x")
        finish(rig, run)
        assert deliver(rig, sender).delivered == 1

    def test_a_host_that_is_no_longer_listed_is_refused(self, rig: Rig, rig_of: RigOf, receiver: Receiver) -> None:
        run = started(rig, f"http://localhost:{receiver.port}/x")
        finish(rig, run)
        deliver(rig_of(name=rig.name, POLYSYNC_CALLBACK_HOSTS="hooks.example.com"))
        assert receiver.deliveries == []
        assert "localhost" in str(callback_of(rig, run).last_error)
        assert "POLYSYNC_CALLBACK_HOSTS" in str(callback_of(rig, run).last_error)

    def test_the_certificate_is_checked_for_the_name_and_the_name_is_sent_for_it(
        self, rig_of: RigOf, authority: Authority
    ) -> None:
        asked: list[str] = []
        tls = authority.server("localhost")
        tls.sni_callback = lambda _, name, __: asked.append(str(name))
        with Receiver(tls=tls) as good, Receiver(tls=authority.server("other.example")) as bad:
            rig = rig_of(POLYSYNC_CALLBACK_HOSTS=f"localhost:{good.port},localhost:{bad.port}")
            taken, refused = (started(rig, f"https://localhost:{port}/x") for port in (good.port, bad.port))
            finish(rig, taken)
            finish(rig, refused)
            sender, _ = self.sender(rig, ["127.0.0.1"], tls=lambda: authority.client)
            deliver(rig, sender)
            assert (len(good.deliveries), bad.deliveries) == (1, [])
        assert callback_of(rig, taken).state is CallbackState.DELIVERED
        assert callback_of(rig, refused).last_error == "the host's certificate is not valid"
        assert asked == ["localhost"]


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._issue("authority.example", self._key, is_authority=True)
        pem = self._certificate.public_bytes(Encoding.PEM).decode()
        self.client = ssl.create_default_context(cadata=pem)

    def server(self, name: str) -> ssl.SSLContext:
        """For a server with a certificate for `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        file = self._folder / f"{name}.pem"
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + self._issue(name, key).public_bytes(Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _issue(self, name: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool = False) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if is_authority else self._certificate.subject
        now = datetime.now(UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(is_authority=is_authority), critical=True)
        )
        return built.sign(self._key, hashes.SHA256())


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    """What a key is for: Python 3.13 and newer refuse a certificate that does not say."""
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
