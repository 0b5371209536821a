"""The addresses that callers and people get, and the token that grants access to one run's result."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.wire.addresses import Addresses, await_token, is_await_token, monitor_url, update_url
from polysync_core.values.ids import RunId
from tests.rules.examples import run_ids

ADDRESSES = Addresses("https://sync.example.com")
RUN = RunId("p1", "u1")
SECRET = bytes(range(32))


def test_our_addresses_are_absolute_and_under_api() -> None:
    assert ADDRESSES.status_url(RUN) == "https://sync.example.com/api/runs/p1:u1"
    assert ADDRESSES.cancel_url(RUN) == "https://sync.example.com/api/runs/p1:u1/cancel"
    assert ADDRESSES.result_url(RUN, "t") == "https://sync.example.com/api/runs/p1:u1/result?token=t"


def test_with_several_workspaces_every_address_names_its_own() -> None:
    addresses = ADDRESSES.naming("sales")
    assert addresses.status_url(RUN) == "https://sync.example.com/api/runs/p1:u1?workspace=sales"
    assert addresses.cancel_url(RUN) == "https://sync.example.com/api/runs/p1:u1/cancel?workspace=sales"
    assert addresses.result_url(RUN, "t") == "https://sync.example.com/api/runs/p1:u1/result?token=t&workspace=sales"


def test_a_waiting_caller_gets_the_address_and_the_interval() -> None:
    assert ADDRESSES.waiting_headers(RUN, "t") == {
        "Location": "https://sync.example.com/api/runs/p1:u1/result?token=t",
        "Operation-Location": "https://sync.example.com/api/runs/p1:u1",
        "Retry-After": "15",
    }


def test_the_monitor_url_has_the_missions_form() -> None:
    assert monitor_url("https://adb-1.7.azuredatabricks.net", "p1") == (
        "https://adb-1.7.azuredatabricks.net/#joblist/pipelines/p1"
    )


def test_the_update_url_is_the_page_of_one_update() -> None:
    assert update_url("https://adb-1.7.azuredatabricks.net", RUN) == (
        "https://adb-1.7.azuredatabricks.net/pipelines/p1/updates/u1"
    )


def test_a_token_is_the_hmac_of_the_run_id_and_stays_the_same() -> None:
    digest = hmac.new(SECRET, b"p1:u1", hashlib.sha256).digest()
    assert await_token(SECRET, RUN) == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert await_token(SECRET, RUN) == "Wgt4Odw5dGHxBDhtt3C6NiPT_cRsTsd2TRr5LT4wIJo"


@given(st.binary(min_size=1, max_size=40), run_ids)
def test_a_token_opens_its_own_run_and_needs_no_escaping(secret: bytes, run_id: RunId) -> None:
    token = await_token(secret, run_id)
    assert is_await_token(token, [secret], run_id)
    assert len(token) == 43
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40), run_ids, run_ids)
def test_tokens_differ_by_run_and_by_secret(secret: bytes, other_secret: bytes, run: RunId, other_run: RunId) -> None:
    token = await_token(secret, run)
    if run != other_run:
        assert not is_await_token(token, [secret], other_run)
    # HMAC pads a key with zero bytes, so keys that differ only in trailing zero bytes are equal.
    if secret.rstrip(b"\0") != other_secret.rstrip(b"\0"):
        assert not is_await_token(token, [other_secret], run)
        assert is_await_token(token, [other_secret, secret], run)
    assert not is_await_token(token, [], run)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "missing"),
        (await_token(SECRET, RUN)[:-1], "cut"),
        (await_token(SECRET, RUN) + "=", "padded"),
        (await_token(SECRET, RUN).swapcase(), "another case"),
        (" " + await_token(SECRET, RUN), "a blank before it"),
        ("é", "beyond ASCII"),
        (await_token(SECRET, RunId("p1", "u2")), "of another update"),
        (await_token(SECRET, RunId("p", "1u1")), "of another pipeline"),
    ],
)
def test_a_wrong_token_is_refused(given: str, reason: str) -> None:
    assert not is_await_token(given, [SECRET, bytes(32)], RUN), reason
