"""A callback connects only to an address that was checked."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from local.receiver import Receiver
from local.rig import ManualClock, Rig
from polysync_core.adapters.callback_sender import CallbackSender
from polysync_core.values.callback import CallbackState
from tests.conftest import RigOf
from tests.use_cases.callbacks import callback_of, deliver, finish, started


class TestWhereAConnectionIsMade:
    """`localhost` is an allowed host. Each test chooses the addresses that it resolves to."""

    @pytest.fixture
    def rig(self, rig_of: RigOf, receiver: Receiver) -> Rig:
        return rig_of(receiver, POLYSYNC_CALLBACK_HOSTS=f"localhost:{receiver.port},*.example.org:{receiver.port}")

    def sender(self, rig: Rig, *answers: list[str], **more: Any) -> tuple[CallbackSender, list[str]]:
        """Return a sender and the list of host names that it resolves.

        Its resolver returns each of `answers` once, and the last one for ever.
        """
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
    """A certificate authority that only the test uses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._issue("authority.example", self._key, is_authority=True)
        pem = self._certificate.public_bytes(Encoding.PEM).decode()
        self.file = folder / "authority.pem"
        self.file.write_text(pem)
        self.client = ssl.create_default_context(cadata=pem)

    def server(self, name: str) -> ssl.SSLContext:
        """Return the context of a server with a certificate for `name`."""
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
    """The key usage of a certificate. Python 3.13 and newer refuse a certificate without one."""
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
