"""The stored form of each kind of row must stay, because other versions of the app read and write the same tables."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from polysync_core.rules.decisions.await_key_rules import rotate
from polysync_core.rules.rows.await_keys_entity import decode_await_keys, encode_await_keys
from polysync_core.rules.rows.callback_entity import CALLBACK, OWED, WAITER
from polysync_core.rules.rows.job_entity import encode_job, encode_last_discovery, encode_under_way
from polysync_core.rules.rows.row_of import Columns, cut
from polysync_core.rules.rows.run_entity import (
    RESERVATION,
    RUN,
    USED_KEY,
    decode_active,
    decode_last_sweep,
    encode_active,
    encode_last_sweep,
)
from polysync_core.values.await_keys import AwaitKeys, OldKey
from polysync_core.values.callback import Callback, CallbackAddress, CallbackKind, OwedCallback, Waiter
from polysync_core.values.caller import CallerId
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


def _added(text: object, /, **members: object) -> dict[str, object]:
    return {**json.loads(str(text)), **members}


class TestWhatALaterVersionHasWritten:
    """A row of a run, or its JSON, may hold more than this version knows. It is written back as it is."""

    def test_a_column_is_kept_and_those_of_the_store_are_not(self) -> None:
        columns = {**RUN.encode(FULL_RUN), "later": AT, "writeId": "w", "PartitionKey": "p", "RowKey": "r"}
        run = RUN.decode(columns)
        assert run == FULL_RUN
        assert RUN.encode(replace(run, retried_as="u3")) == {**RUN.encode(FULL_RUN), "later": AT, "retriedAs": "u3"}
        owed = OwedCallback(run_id=RunId("p1", "u1"), callback_id="c1", host="h", due_at=AT)
        again = OWED.decode({**OWED.encode(owed), "later": 1.5, "claimedBy": "x"})
        assert OWED.encode(again) == {**OWED.encode(owed), "later": 1.5}

    def test_a_member_of_the_json_is_kept_also_in_nested_values(self) -> None:
        run = replace(FULL_RUN, started_by=CallerId(object_id="o"), finished_at=None)
        members = json.loads(str(encode_active(run)["run0"]))
        members["later"] = [1, {"a": None}]
        for nested in (members["attempts"][0], members["callbacks"][0], members["error"], members["startedBy"]):
            nested["later"] = "x"
        again = decode_active({"run0": json.dumps(members)})
        assert again == run
        assert json.loads(str(encode_active(again)["run0"])) == members

    def test_a_member_of_the_json_becomes_a_column_when_the_run_is_written(self) -> None:
        members = {"text": "x", "flag": True, "list": [1], "object": {"a": 1}, "none": None, "time": TEXT}
        text = json.dumps(_added(encode_active(FULL_RUN)["run0"], **members))
        columns = RUN.encode(decode_active({"run0": text}))
        assert {name: columns[name] for name in columns.keys() - RUN.encode(FULL_RUN).keys()} == {
            "text": "x",
            "flag": True,
            "list": "[1]",
            "object": '{"a":1}',
            "time": TEXT,
        }

    @pytest.mark.parametrize(
        "member",
        [{"long": "x" * 32_001}, {"big": 1 << 31}, {"PartitionKey": "p"}, {"status": "s"}, {"a-b": 1}],
        ids=str,
    )
    def test_what_no_column_can_hold_is_left_out_of_the_row(self, member: dict[str, object]) -> None:
        text = json.dumps(_added(encode_active(FULL_RUN)["run0"], **member))
        assert RUN.encode(decode_active(cut("run", text))) == RUN.encode(FULL_RUN)

    def test_a_time_that_an_older_version_wrote_back_as_text_is_read(self) -> None:
        assert RUN.decode({**RUN.encode(FULL_RUN), "timeoutAt": TEXT}) == FULL_RUN

    def test_keys_of_the_await_addresses_keep_it_through_a_rotation(self) -> None:
        keys = AwaitKeys(newest=b"n" * 32, first=b"f" * 32, older=(OldKey(secret=b"o" * 32, valid_until=AT),))
        columns = {**encode_await_keys(keys), "later": 1}
        older = json.loads(str(columns["older"]))
        columns["older"] = json.dumps([{**older[0], "later": 2}])
        rotated = rotate(decode_await_keys(columns), b"m" * 32, now=AT - timedelta(days=1), old_valid_until=AT)
        after = encode_await_keys(rotated)
        assert after["later"] == 1
        assert json.loads(str(after["older"]))[1]["later"] == 2


def test_a_whole_number_in_place_of_a_fraction_is_read() -> None:
    columns = encode_last_sweep(SWEPT) | {"report": '{"workspace":"w","seconds":12}'}
    assert decode_last_sweep(columns).report.seconds == 12.0
