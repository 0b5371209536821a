"""A row of a run, or its JSON, may hold more than this version knows. It is written back as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from polysync_core.rules.decisions.await_key_rules import rotate
from polysync_core.rules.rows.await_keys_entity import decode_await_keys, encode_await_keys
from polysync_core.rules.rows.callback_entity import OWED
from polysync_core.rules.rows.pieces import cut
from polysync_core.rules.rows.run_entity import RESERVATION, RUN, decode_active, encode_active
from polysync_core.values.await_keys import AwaitKeys, OldKey
from polysync_core.values.callback import OwedCallback
from polysync_core.values.caller import CallerId
from polysync_core.values.ids import RunId
from polysync_core.values.run import Reservation
from polysync_core.values.start_options import StartOptions
from tests.rules.test_row_of import AT, FULL_RUN, TEXT


def _added(text: object, /, **members: object) -> dict[str, object]:
    return {**json.loads(str(text)), **members}


def test_a_column_is_kept_and_those_of_the_store_are_not() -> None:
    columns = {**RUN.encode(FULL_RUN), "later": AT, "writeId": "w", "PartitionKey": "p", "RowKey": "r"}
    run = RUN.decode(columns)
    assert run == FULL_RUN
    assert RUN.encode(replace(run, retried_as="u3")) == {**RUN.encode(FULL_RUN), "later": AT, "retriedAs": "u3"}
    owed = OwedCallback(run_id=RunId("p1", "u1"), callback_id="c1", host="h", due_at=AT)
    again = OWED.decode({**OWED.encode(owed), "later": 1.5, "claimedBy": "x"})
    assert OWED.encode(again) == {**OWED.encode(owed), "later": 1.5}


def test_a_member_of_the_json_is_kept_also_in_nested_values() -> None:
    options = StartOptions(refresh_selection=("orders",), validate_only=True)
    run = replace(FULL_RUN, started_by=CallerId(object_id="o"), finished_at=None, options=options)
    members = json.loads(str(encode_active(run)["run0"]))
    members["later"] = [1, {"a": None}]
    for name in ("error", "startedBy", "options"):
        members[name]["later"] = ["x"]
    for name in ("attempts", "callbacks"):
        members[name][0]["later"] = "x"
    again = decode_active({"run0": json.dumps(members)})
    assert again == run
    assert json.loads(str(encode_active(again)["run0"])) == members
    in_columns = RUN.encode(again)
    for name in ("attempts", "callbacks", "error", "startedBy", "options"):
        assert json.loads(str(in_columns[name])) == members[name]


def test_start_options_that_only_a_later_version_knows_are_kept_and_not_shown() -> None:
    text = json.dumps(_added(encode_active(FULL_RUN)["run0"], options={"later": ["x"]}))
    run = decode_active({"run0": text})
    assert json.loads(str(encode_active(run)["run0"]))["options"]["later"] == ["x"]
    again = RUN.decode(RUN.encode(run))
    assert json.loads(str(RUN.encode(again)["options"]))["later"] == ["x"]
    assert not again.options
    assert not again.options.given()
    starting = {**RESERVATION.encode(Reservation(pipeline_id="p", owner="o", reserved_at=AT, full_refresh=False))}
    starting["options"] = '{"later":["x"]}'
    assert json.loads(str(RESERVATION.encode(RESERVATION.decode(starting))["options"]))["later"] == ["x"]


def test_a_member_of_the_json_becomes_a_column_when_the_run_is_written() -> None:
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
    [
        {"long": "x" * 32_001},
        {"emoji": "😀" * 16_001},
        {"big": 1 << 31},
        {"PartitionKey": "p"},
        {"status": "s"},
        {"a-b": 1},
    ],
    ids=str,
)
def test_what_no_column_can_hold_is_left_out_of_the_row(member: dict[str, object]) -> None:
    text = json.dumps(_added(encode_active(FULL_RUN)["run0"], **member))
    assert RUN.encode(decode_active(cut("run", text))) == RUN.encode(FULL_RUN)


def test_a_time_that_an_older_version_wrote_back_as_text_is_read() -> None:
    assert RUN.decode({**RUN.encode(FULL_RUN), "timeoutAt": TEXT}) == FULL_RUN


def test_keys_of_the_await_addresses_keep_it_through_a_rotation() -> None:
    keys = AwaitKeys(newest=b"n" * 32, first=b"f" * 32, older=(OldKey(secret=b"o" * 32, valid_until=AT),))
    columns = {**encode_await_keys(keys), "later": 1}
    older = json.loads(str(columns["older"]))
    columns["older"] = json.dumps([{**older[0], "later": 2}])
    rotated = rotate(decode_await_keys(columns), b"m" * 32, now=AT - timedelta(days=1), old_valid_until=AT)
    after = encode_await_keys(rotated)
    assert after["later"] == 1
    assert json.loads(str(after["older"]))[1]["later"] == 2
