"""The times of callback tries, the content of a callback, and the meaning of responses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polysync_core.rules.decisions import budgets, callback_rules
from polysync_core.rules.decisions.callback_rules import TryResult
from polysync_core.rules.wire.addresses import Addresses
from polysync_core.rules.wire.run_document import encode_body, encode_document
from polysync_core.values.callback import (
    Callback,
    CallbackAddress,
    CallbackKind,
    CallbackState,
    OwedCallback,
    Waiter,
)
from polysync_core.values.errors import TooManyCallbacks
from polysync_core.values.ids import RunId
from polysync_core.values.run import Attempt, Run, RunError
from polysync_core.values.workspace import Workspace

BEGAN = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
DATA_FACTORY, WEBHOOK = CallbackKind.DATA_FACTORY, CallbackKind.WEBHOOK
RUN_ID = RunId("p", "u")


def a_run(state: str | None = "RUNNING", **more: Any) -> Run:
    attempts = (Attempt(update_id="u", state=state),)
    times = {"accepted_at": BEGAN, "seen_at": BEGAN, "updated_at": BEGAN}
    return Run(run_id=RUN_ID, full_refresh=False, attempts=attempts, **(times | more))


def a_waiter(callback_id: str = "c", kind: CallbackKind = WEBHOOK, host: str = "hooks.example") -> Waiter:
    address = CallbackAddress(kind=kind, url=f"https://{host}/x?sig=a-credential", base_url="https://app")
    return Waiter(callback_id=callback_id, address=address)


def a_callback(kind: CallbackKind) -> Callback:
    return Callback(callback_id="c", kind=kind, host="hooks.example", state=CallbackState.DUE, next_attempt_at=BEGAN)


def owed(host: str = "h", minute: int = 0, tries: int = 0, name: str = "c") -> OwedCallback:
    due_at = BEGAN + timedelta(minutes=minute)
    return OwedCallback(run_id=RUN_ID, callback_id=name, host=host, due_at=due_at, tries=tries)


def tries_of(kind: CallbackKind, *, tick_seconds: float) -> list[timedelta]:
    """When a timer tries a receiver that never answers: each try as the time since the first."""
    now, tried, due_at = BEGAN, [timedelta()], callback_rules.next_try_at(kind, BEGAN, BEGAN)
    while due_at is not None:
        now += timedelta(seconds=tick_seconds)
        if now >= due_at:
            tried.append(now - BEGAN)
            due_at = callback_rules.next_try_at(kind, BEGAN, now)
    return tried


def test_a_webhook_is_tried_after_the_delays_of_standard_webhooks_and_a_last_time_after_a_day() -> None:
    seconds = [tried.total_seconds() for tried in tries_of(WEBHOOK, tick_seconds=5)]
    minutes, hours = 60, 3600
    expected = [0, 5, 5 * minutes, 35 * minutes, 2 * hours + 35 * minutes, 7 * hours + 35 * minutes]
    assert seconds[0] == 0
    assert seconds == [expected[0], 5, *(at + 5 for at in expected[2:]), 17 * hours + 35 * minutes + 5, 24 * hours]


def test_data_factory_is_tried_with_each_tick_for_ten_minutes_and_then_like_a_webhook() -> None:
    tried = tries_of(DATA_FACTORY, tick_seconds=15)
    close = [at for at in tried if at <= timedelta(minutes=10)]
    assert close == [timedelta(seconds=15 * number) for number in range(41)]
    assert tried[41:] == [at for at in tries_of(WEBHOOK, tick_seconds=15) if at > timedelta(minutes=10)]
    assert tried[-1] == timedelta(hours=24)


def test_a_deliverer_that_was_away_for_long_still_gives_a_receiver_its_day() -> None:
    late = BEGAN + timedelta(days=3)
    claimed = callback_rules.claim(owed(), late)
    after = callback_rules.decide_after_try(a_callback(WEBHOOK), claimed, TryResult(status=500), late)
    assert after.next_attempt_at == late + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("kind", "status", "state"),
    [
        (WEBHOOK, 200, CallbackState.DELIVERED),
        (WEBHOOK, 204, CallbackState.DELIVERED),
        (WEBHOOK, 299, CallbackState.DELIVERED),
        (WEBHOOK, 301, CallbackState.DUE),
        (WEBHOOK, 307, CallbackState.DUE),
        (WEBHOOK, 400, CallbackState.DUE),
        (WEBHOOK, 404, CallbackState.DUE),
        (WEBHOOK, 410, CallbackState.GIVEN_UP),
        (WEBHOOK, 429, CallbackState.DUE),
        (WEBHOOK, 503, CallbackState.DUE),
        (WEBHOOK, None, CallbackState.DUE),
        (DATA_FACTORY, 200, CallbackState.DELIVERED),
        (DATA_FACTORY, 302, CallbackState.DUE),
        (DATA_FACTORY, 400, CallbackState.GIVEN_UP),
        (DATA_FACTORY, 404, CallbackState.GIVEN_UP),
        (DATA_FACTORY, 408, CallbackState.DUE),
        (DATA_FACTORY, 425, CallbackState.DUE),
        (DATA_FACTORY, 429, CallbackState.DUE),
        (DATA_FACTORY, 410, CallbackState.GIVEN_UP),
        (DATA_FACTORY, 500, CallbackState.DUE),
        (DATA_FACTORY, None, CallbackState.DUE),
    ],
)
def test_what_an_answer_means(kind: CallbackKind, status: int | None, state: CallbackState) -> None:
    result = TryResult(status=status, trouble="" if status else "no connection could be made")
    after = callback_rules.decide_after_try(a_callback(kind), callback_rules.claim(owed(), BEGAN), result, BEGAN)
    assert (after.state, after.tries) == (state, 1)
    assert (after.last_error is None) is (state is CallbackState.DELIVERED)
    assert (after.next_attempt_at is not None) is (state is CallbackState.DUE)


def test_a_claim_outlasts_the_longest_try() -> None:
    """A claim must also outlast the reads of the run and the waiter, each repeated once.

    Otherwise two instances could send at the same time.
    """
    reads_seconds = 2 * 2 * (budgets.STORAGE_CONNECT + budgets.STORAGE_READ)
    claimed = callback_rules.claim(owed(), BEGAN)
    assert claimed.due_at > BEGAN + timedelta(seconds=budgets.CALLBACK_TRY + reads_seconds)


def test_a_finished_run_owes_what_was_waited_for() -> None:
    run = callback_rules.put_waiter(a_run(), a_waiter(), BEGAN)
    assert run.callbacks[0].state is CallbackState.WAITING
    assert callback_rules.owed_of(run) == ()
    finished_at = BEGAN + timedelta(hours=1)
    owing = callback_rules.owe_waiting(a_run("COMPLETED", finished_at=finished_at, callbacks=run.callbacks))
    assert owing.callbacks[0].state is CallbackState.DUE
    (entry,) = callback_rules.owed_of(owing)
    assert (entry.callback_id, entry.host, entry.due_at) == ("c", "hooks.example", finished_at)


def test_who_joins_a_finished_run_is_owed_at_once() -> None:
    run = callback_rules.put_waiter(a_run("COMPLETED", finished_at=BEGAN), a_waiter(), BEGAN)
    assert [entry.due_at for entry in callback_rules.owed_of(run)] == [BEGAN]


def test_the_21st_callback_of_a_run_is_refused_and_an_earlier_one_can_still_move() -> None:
    run = a_run()
    for number in range(callback_rules.MAX_CALLBACKS):
        run = callback_rules.put_waiter(run, a_waiter(str(number)), BEGAN)
    with pytest.raises(TooManyCallbacks, match="20 callbacks"):
        callback_rules.put_waiter(run, a_waiter("one more"), BEGAN)
    moved = callback_rules.put_waiter(run, a_waiter("7", host="other.example"), BEGAN)
    assert len(moved.callbacks) == callback_rules.MAX_CALLBACKS
    assert [entry.host for entry in moved.callbacks if entry.callback_id == "7"] == ["other.example"]


def test_first_tries_go_before_repeats_and_hosts_take_turns() -> None:
    entries = [
        owed("busy", 1, name="b1"),
        owed("busy", 2, name="b2"),
        owed("busy", 3, name="b3"),
        owed("busy", 0, tries=3, name="b-again"),
        owed("quiet", 9, name="q1"),
        owed("dead", 0, tries=1, name="d-again"),
    ]
    order = callback_rules.take_turns(entries, lambda entry: entry, lambda entry: entry.host)
    assert [entry.callback_id for entry in order] == ["b1", "q1", "b2", "b3", "b-again", "d-again"]


@pytest.mark.parametrize(
    ("run", "status_code", "error_code"),
    [
        (a_run("COMPLETED", finished_at=BEGAN), "200", None),
        (a_run("FAILED", finished_at=BEGAN, error=RunError(code="UpdateFailed", message="why")), "424", "UpdateFailed"),
        (a_run("CANCELED", finished_at=BEGAN), "409", "UpdateCancelled"),
        (a_run(None, finished_at=BEGAN, error=RunError(code="RunLost", message="why")), "410", "RunLost"),
    ],
)
def test_data_factory_gets_the_form_that_its_webhook_activity_reads(
    run: Run, status_code: str, error_code: str | None
) -> None:
    document = encode_document(
        run,
        workspace=Workspace(name="w", url="https://w"),
        addresses=Addresses("https://app"),
        now=BEGAN,
        stale_since=None,
    )
    body = json.loads(encode_body(DATA_FACTORY, run, document))
    assert body["Output"] == document
    assert body["StatusCode"] == status_code
    if error_code is None:
        assert "Error" not in body
    else:
        assert body["Error"] == {"ErrorCode": error_code, "Message": document["message"]}
    assert json.loads(encode_body(WEBHOOK, run, document)) == document


def test_the_run_document_shows_how_callbacks_stand_and_nothing_of_their_address() -> None:
    run = callback_rules.put_waiter(a_run(), a_waiter(), BEGAN)
    document = encode_document(
        run,
        workspace=Workspace(name="w", url="https://w"),
        addresses=Addresses("https://app"),
        now=BEGAN,
        stale_since=None,
    )
    assert document["callbacks"] == [
        {"kind": "callbackUrl", "state": "waiting", "tries": 0, "lastError": None, "nextAttemptAt": None}
    ]


def test_an_address_is_in_no_representation_of_the_values_that_hold_it() -> None:
    assert "a-credential" not in repr(a_waiter())
