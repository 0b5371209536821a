"""The stored form of each kind of row must stay, because other versions of the app read and write the same tables."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from polysync_core.rules.rows.callback_entity import CALLBACK, OWED, WAITER
from polysync_core.rules.rows.job_entity import encode_job, encode_last_discovery, encode_under_way
from polysync_core.rules.rows.row_of import Columns
from polysync_core.rules.rows.run_entity import (
    RESERVATION,
    RUN,
    USED_KEY,
    decode_last_sweep,
    encode_last_sweep,
)
from polysync_core.values.callback import Callback, CallbackAddress, CallbackKind, OwedCallback, Waiter
from polysync_core.values.ids import RunId
from polysync_core.values.job import Counts, DiscoveryPass, Job, LastDiscovery, Tally
from polysync_core.values.run import (
    Attempt,
    LastSweep,
    ListingMemory,
    Reservation,
    Run,
    RunError,
    SweepReport,
    UpkeepCursor,
    UsedKey,
)

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TEXT = "2026-11-22T12:00:00+00:00"
WAITS = Waiter(
    callback_id="c1",
    address=CallbackAddress(kind=CallbackKind.WEBHOOK, url="https://a.example/x", base_url="https://b.example"),
)
CALLED = Callback(callback_id="c1", kind=CallbackKind.WEBHOOK, host="a.example", next_attempt_at=AT)
TRIED = Tally(jobs=Counts(added=1), failed=2)
WAITER_COLUMNS: Columns = {
    "callbackId": "c1",
    "callbackKind": "callbackUrl",
    "callbackAddress": "https://a.example/x",
    "callbackBaseUrl": "https://b.example",
}
CALLBACK_JSON = (
    '{"id":"c1","kind":"callbackUrl","host":"a.example","state":"waiting","tries":0,"lastError":null,'
    f'"nextAttemptAt":"{TEXT}"}}'
)
SWEPT = LastSweep(
    swept_at=AT,
    report=SweepReport(workspace="w", active=3, seconds=0.5),
    not_seen={"p:u": AT},
    unreadable_pipelines=("p",),
    blind_since=AT,
    listing=ListingMemory(
        pages=4,
        pages_counted_at=AT,
        round_began_at=AT,
        round_cursor="p:u",
        page_token="t",
        listing_began_at=AT,
        pages_listed=3,
    ),
    upkeep=UpkeepCursor(settled_after="p", cleaned_at=AT, cleaned_keys_after="k"),
)
FULL_RUN = Run(
    run_id=RunId("p1", "u1"),
    full_refresh=True,
    accepted_at=AT,
    seen_at=AT,
    updated_at=AT,
    attempts=(Attempt(update_id="u1", state="FAILED", cause=None, created_at=AT),),
    pipeline_name="ü",
    ignored_parameters=("a", "b"),
    started_at=AT,
    finished_at=AT,
    missing_since=AT,
    cancel_requested_at=AT,
    error=RunError(code="UpdateFailed", message="It failed."),
    callbacks=(CALLED,),
    state_since=AT,
    timeout_at=AT,
    follow_retries=True,
    retry_awaited_since=AT,
    retried_as="u2",
)


@pytest.mark.parametrize(
    ("encoded", "columns"),
    [
        (
            RUN.encode(FULL_RUN),
            {
                "runId": "p1:u1",
                "pipelineId": "p1",
                "status": "Failed",
                "isFinished": True,
                "fullRefresh": True,
                "acceptedAt": AT,
                "seenAt": AT,
                "updatedAt": AT,
                "startedAt": AT,
                "finishedAt": AT,
                "missingSince": AT,
                "cancelRequestedAt": AT,
                "stateSince": AT,
                "timeoutAt": AT,
                "retryAwaitedSince": AT,
                "retriedAs": "u2",
                "followRetries": True,
                "attached": False,
                "pipelineName": "ü",
                "ignoredParameters": '["a","b"]',
                "attempts": f'[{{"updateId":"u1","state":"FAILED","cause":null,"createdAt":"{TEXT}"}}]',
                "error": '{"code":"UpdateFailed","message":"It failed."}',
                "callbacks": f"[{CALLBACK_JSON}]",
            },
        ),
        (
            RESERVATION.encode(
                Reservation(
                    pipeline_id="p1",
                    owner="o",
                    reserved_at=AT,
                    full_refresh=False,
                    timeout_at=AT,
                    start_row="start|x",
                    waiter=WAITS,
                    pipeline_name="sales",
                )
            ),
            {
                "pipelineId": "p1",
                "owner": "o",
                "reservedAt": AT,
                "fullRefresh": False,
                "timeoutAt": AT,
                "ignoredParameters": "[]",
                "followRetries": False,
                "startRow": "start|x",
                "pipelineName": "sales",
                **WAITER_COLUMNS,
            },
        ),
        (
            USED_KEY.encode(
                UsedKey(fingerprint="f", owner="o", used_at=AT, run_id=RunId("p1", "u1"), callback_id="c1")
            ),
            {
                "fingerprint": "f",
                "owner": "o",
                "usedAt": AT,
                "runId": "p1:u1",
                "attached": False,
                "callbackId": "c1",
            },
        ),
        (
            encode_last_sweep(SWEPT),
            {
                "sweptAt": AT,
                "report": '{"workspace":"w","active":3,"changed":0,"finished":0,"failed":0,"unreadable":0,"calls":0,'
                '"seconds":0.5,"behindSeconds":0.0,"trouble":""}',
                "unreadablePipelines": '["p"]',
                "blindSince": AT,
                "stoodIn": False,
                "pages": 4,
                "pagesCountedAt": AT,
                "roundBeganAt": AT,
                "roundCursor": "p:u",
                "pageToken": "t",
                "listingBeganAt": AT,
                "pagesListed": 3,
                "settledAfter": "p",
                "cleanedAt": AT,
                "cleanedKeysAfter": "k",
                "notSeen0": f'{{"{TEXT}":["p:u"]}}',
            },
        ),
        (WAITER.encode(WAITS), WAITER_COLUMNS),
        (
            OWED.encode(OwedCallback(run_id=RunId("p1", "u1"), callback_id="c1", host="h", due_at=AT, since=AT)),
            {"runId": "p1:u1", "callbackId": "c1", "host": "h", "dueAt": AT, "tries": 0, "since": AT},
        ),
        (
            encode_job(
                Job(pipeline_id="p1", name="sales", imported_at=AT, synced_at=None, parameters={"photon": True})
            ),
            {
                "pipelineId": "p1",
                "name": "sales",
                "importedAt": AT,
                "accessible": True,
                "pieces": 1,
                "parameters0": '{"photon":true}',
            },
        ),
        (
            encode_last_discovery(LastDiscovery(discovered_at=AT, not_synced={"p1": None, "p2": AT}), TRIED),
            {
                "report": '{"jobs":{"added":1,"changed":0,"removed":0,"unchanged":0},'
                '"parameters":{"added":0,"changed":0,"removed":0,"unchanged":0},"failed":2}',
                "discoveredAt": AT,
                "notSynced": f'{{"p1":null,"p2":"{TEXT}"}}',
            },
        ),
    ],
    ids=["run", "reservation", "used key", "last sweep", "waiter", "owed callback", "job", "last discovery"],
)
def test_the_stored_form_of_a_row_stays(encoded: Columns, columns: Columns) -> None:
    assert encoded == columns


def test_the_stored_form_of_a_discovery_under_way_stays() -> None:
    under_way = DiscoveryPass(began_at=AT, after="p1", tally=TRIED, not_synced={"p1": None})
    assert encode_under_way(under_way) == {
        "underWay": f'{{"beganAt":"{TEXT}","pageToken":null,"after":"p1","pageAfter":"","inOrder":true,'
        '"notSynced":{"p1":null},"jobs":[1,0,0,0],"parameters":[0,0,0,0],"failed":2}'
    }


def test_an_unknown_column_is_ignored_and_a_missing_optional_one_is_its_default() -> None:
    columns = {"runId": "p1:u1", "callbackId": "c1", "host": "h", "dueAt": AT, "ofALaterVersion": 1}
    assert OWED.decode(columns) == OwedCallback(run_id=RunId("p1", "u1"), callback_id="c1", host="h", due_at=AT)
    assert CALLBACK.decode(CALLBACK.encode(CALLED)) == CALLED


def test_a_whole_number_in_place_of_a_fraction_is_read() -> None:
    columns = encode_last_sweep(SWEPT) | {"report": '{"workspace":"w","seconds":12}'}
    assert decode_last_sweep(columns).report.seconds == 12.0
