"""Rows of runs: a decoded row equals the encoded run. An unreadable column is named, and its value is never guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polysync_core.rules.rows import run_entity
from polysync_core.rules.rows.pieces import cut, uncut
from polysync_core.rules.rows.row_of import Columns
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.ids import RunId
from polysync_core.values.run import (
    NEVER,
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
from polysync_core.values.start_options import NO_OPTIONS, StartOptions
from tests.rules.examples import BEFORE, NOW, ids, instants, make_run, options, run_ids, runs, words

FULL_RUN = make_run(
    full_refresh=True,
    attempts=(Attempt(update_id="u1", state="FAILED", cause="API_CALL", created_at=NOW),),
    pipeline_name="sales",
    ignored_parameters=("a",),
    started_at=NOW,
    finished_at=NOW,
    missing_since=NOW,
    cancel_requested_at=NOW,
    attached=True,
    error=RunError(code="UpdateFailed", message="It failed."),
)
RESERVATION = Reservation(
    pipeline_id="p",
    owner="o",
    reserved_at=NOW,
    full_refresh=True,
    ignored_parameters=("a",),
    start_row="start|x",
)
USED_KEY = UsedKey(fingerprint="f", owner="o", used_at=NOW, run_id=RunId("p", "u"), attached=True)
LAST_SWEEP = LastSweep(
    swept_at=NOW,
    report=SweepReport(workspace="w", active=3, seconds=0.5),
    not_seen={"p:u": BEFORE, "p:v": NEVER},
    unreadable_pipelines=("p",),
    listing=ListingMemory(pages=4, pages_counted_at=NOW, round_began_at=NOW, round_cursor="p:u"),
    upkeep=UpkeepCursor(settled_after="p"),
)


@settings(max_examples=60)
@given(runs)
def test_a_run_is_read_back_as_it_was_written(run: Run) -> None:
    assert run_entity.RUN.decode(run_entity.RUN.encode(run)) == run
    assert run_entity.decode_active(run_entity.encode_active(run)) == run


@settings(max_examples=40)
@given(
    st.builds(
        Reservation,
        pipeline_id=ids,
        owner=words,
        reserved_at=instants,
        full_refresh=st.booleans(),
        options=options,
        ignored_parameters=st.lists(words, max_size=3).map(tuple),
        start_row=st.none() | words,
    )
)
def test_a_reservation_is_read_back_as_it_was_written(reservation: Reservation) -> None:
    assert run_entity.RESERVATION.decode(run_entity.RESERVATION.encode(reservation)) == reservation


@settings(max_examples=40)
@given(
    st.builds(
        UsedKey,
        fingerprint=words,
        owner=words,
        used_at=instants,
        run_id=st.none() | run_ids,
        attached=st.booleans(),
    )
)
def test_a_used_key_is_read_back_as_it_was_written(used: UsedKey) -> None:
    assert run_entity.USED_KEY.decode(run_entity.USED_KEY.encode(used)) == used


@settings(max_examples=40)
@given(
    st.builds(
        LastSweep,
        swept_at=instants,
        report=st.builds(SweepReport, workspace=words, active=st.integers(0, 999), seconds=st.floats(0, 12)),
        not_seen=st.dictionaries(run_ids.map(str), instants, max_size=5),
        unreadable_pipelines=st.lists(words, max_size=5).map(tuple),
        listing=st.builds(
            ListingMemory,
            pages=st.none() | st.integers(0, 120),
            pages_counted_at=st.none() | instants,
            round_began_at=st.none() | instants,
            round_cursor=words,
        ),
        upkeep=st.builds(UpkeepCursor, settled_after=words, cleaned_at=st.none() | instants, cleaned_keys_after=words),
    )
)
def test_a_last_sweep_is_read_back_as_it_was_written(last: LastSweep) -> None:
    assert run_entity.decode_last_sweep(run_entity.encode_last_sweep(last)) == last


def test_the_stored_form_of_a_run_stays() -> None:
    """An earlier version of the app, or one that runs beside this one, writes exactly these columns."""
    columns = run_entity.RUN.encode(FULL_RUN)
    assert set(columns) == {
        *("runId", "pipelineId", "status", "isFinished", "acceptedAt", "seenAt", "updatedAt", "attached"),
        *("attempts", "ignoredParameters", "fullRefresh", "pipelineName", "startedAt", "finishedAt", "missingSince"),
        *("cancelRequestedAt", "error", "followRetries"),
    }
    assert columns["attempts"] == json.dumps(
        [
            {
                "updateId": attempt.update_id,
                "state": attempt.state,
                "cause": attempt.cause,
                "createdAt": attempt.created_at and attempt.created_at.isoformat(),
            }
            for attempt in FULL_RUN.attempts
        ],
        separators=(",", ":"),
    )
    assert set(run_entity.encode_last_sweep(LAST_SWEEP)) == {
        *("sweptAt", "report", "unreadablePipelines", "settledAfter", "pages", "pagesCountedAt", "roundBeganAt"),
        *("roundCursor", "pagesListed", "stoodIn", "cleanedKeysAfter", "notSeen0"),
    }


def test_rows_without_start_options_are_those_of_earlier_versions() -> None:
    """Rows of earlier versions lack the column, and earlier versions read these rows."""
    assert "options" not in run_entity.RUN.encode(FULL_RUN)
    assert "options" not in run_entity.RESERVATION.encode(RESERVATION)
    assert "options" not in json.loads(str(run_entity.encode_active(FULL_RUN)["run0"]))
    assert run_entity.RUN.decode(run_entity.RUN.encode(FULL_RUN)).options == NO_OPTIONS


def test_the_stored_form_of_start_options_stays() -> None:
    options = StartOptions(refresh_selection=("a",), validate_only=True)
    members = {
        "refreshSelection": ["a"],
        "fullRefreshSelection": [],
        "resetCheckpointSelection": [],
        "validateOnly": True,
    }
    run = make_run(options=options)
    assert json.loads(str(run_entity.RUN.encode(run)["options"])) == members
    assert json.loads(str(run_entity.encode_active(run)["run0"]))["options"] == members


@pytest.mark.parametrize("text", ["[]", '{"refreshSelection": "a"}', '{"validateOnly": "yes"}', "{"])
def test_start_options_of_a_wrong_kind_are_unreadable_and_never_guessed(text: str) -> None:
    for columns, decode in (
        (run_entity.RUN.encode(FULL_RUN), run_entity.RUN.decode),
        (run_entity.RESERVATION.encode(RESERVATION), run_entity.RESERVATION.decode),
    ):
        with pytest.raises(RowUnreadable, match="options"):
            decode(columns | {"options": text})


def test_the_rows_hold_what_filters_ask_for() -> None:
    columns = run_entity.RUN.encode(FULL_RUN)
    assert columns["status"] == "Failed"
    assert columns["isFinished"] is True
    assert columns["pipelineId"] == "p1"


def test_status_and_is_finished_are_never_read_back() -> None:
    columns = run_entity.RUN.encode(FULL_RUN) | {"status": "Success", "isFinished": False}
    assert run_entity.RUN.decode(columns) == FULL_RUN


def test_no_column_is_none_since_table_storage_keeps_none() -> None:
    for columns in (
        run_entity.RUN.encode(make_run(full_refresh=None, started_at=None)),
        run_entity.RESERVATION.encode(Reservation(pipeline_id="p", owner="o", reserved_at=NOW, full_refresh=False)),
        run_entity.USED_KEY.encode(UsedKey(fingerprint="f", owner="o", used_at=NOW)),
        run_entity.encode_last_sweep(LastSweep(swept_at=NOW, report=SweepReport(workspace="w"))),
    ):
        assert None not in columns.values()


class StorageTime(datetime):
    """A time as azure-data-tables returns it: an instance of its own subclass of datetime."""


def test_times_are_plain_aware_utc_whatever_storage_gives() -> None:
    given = StorageTime(2026, 11, 22, 13, 0, tzinfo=UTC)
    elsewhere = NOW.astimezone(datetime.strptime("+0200", "%z").tzinfo)
    columns = run_entity.RUN.encode(make_run())
    columns |= {"acceptedAt": given, "seenAt": elsewhere, "updatedAt": NOW.replace(tzinfo=None)}
    run = run_entity.RUN.decode(columns)
    assert (run.accepted_at, run.seen_at, run.updated_at) == (NOW + timedelta(hours=1), NOW, NOW)
    for instant in (run.accepted_at, run.seen_at, run.updated_at):
        assert type(instant) is datetime
        assert instant.tzinfo is UTC


# --- unreadable rows

RUN_NEEDS = ("runId", "acceptedAt", "seenAt", "updatedAt", "attempts")
ROWS: dict[str, tuple[Columns, Callable[[Columns], object], tuple[str, ...]]] = {
    "run": (run_entity.RUN.encode(FULL_RUN), run_entity.RUN.decode, RUN_NEEDS),
    "reservation": (
        run_entity.RESERVATION.encode(RESERVATION),
        run_entity.RESERVATION.decode,
        ("pipelineId", "owner", "reservedAt", "fullRefresh"),
    ),
    "used key": (run_entity.USED_KEY.encode(USED_KEY), run_entity.USED_KEY.decode, ("fingerprint", "owner")),
    "last sweep": (
        run_entity.encode_last_sweep(LAST_SWEEP),
        run_entity.decode_last_sweep,
        ("sweptAt", "report"),
    ),
}
DERIVED = {"pipelineId", "status", "isFinished"}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, row in ROWS.items() for name in row[2]])
def test_a_needed_column_that_is_missing_is_named(kind: str, name: str) -> None:
    columns, decode, _ = ROWS[kind]
    with pytest.raises(RowUnreadable, match=rf"column {name} .* missing"):
        decode({key: value for key, value in columns.items() if key != name})


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, row in ROWS.items() for name in row[0] if kind != "run" or name not in DERIVED],
)
def test_a_column_of_a_wrong_kind_is_named(kind: str, name: str) -> None:
    columns, decode, _ = ROWS[kind]
    with pytest.raises(RowUnreadable, match=rf"columns? {name.rstrip('0')} .*cannot be read"):
        decode(columns | {name: 1.5})


@pytest.mark.parametrize("name", ["attempts", "ignoredParameters", "error"])
@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "5", '"x"', "null"])
def test_a_json_column_that_holds_something_else_is_named(name: str, text: str) -> None:
    with pytest.raises(RowUnreadable, match=name):
        run_entity.RUN.decode(run_entity.RUN.encode(FULL_RUN) | {name: text})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("runId", "no colon", "no run id"),
        ("attempts", "[]", "a run without an update"),
        ("attempts", "[null]", "no attempt"),
        ("attempts", '["u"]', "no attempt"),
        ("attempts", '[{"state": null, "cause": null, "createdAt": null}]', "an attempt without an id"),
        ("attempts", '[{"updateId": 5, "state": null, "cause": null, "createdAt": null}]', "an id of a wrong kind"),
        ("attempts", '[{"updateId": "u", "state": null, "cause": null, "createdAt": "soon"}]', "no time"),
        ("error", '{"code": "x"}', "an error without its message"),
    ],
)
def test_a_column_with_unreadable_content_is_unreadable(name: str, value: str, reason: str) -> None:
    with pytest.raises(RowUnreadable):
        run_entity.RUN.decode(run_entity.RUN.encode(FULL_RUN) | {name: value})


@pytest.mark.parametrize(("name", "value"), [("notSeen0", "["), ("notSeen0", "5"), ("report", "{}"), ("pages", True)])
def test_an_unreadable_last_sweep_is_unreadable(name: str, value: object) -> None:
    with pytest.raises(RowUnreadable):
        run_entity.decode_last_sweep(run_entity.encode_last_sweep(LAST_SWEEP) | {name: value})


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, "no column"),
        ({"run0": 7}, "no text"),
        ({"run0": "{"}, "no JSON"),
        ({"run0": "[]"}, "no object"),
        ({"run0": "[" * 30_000}, "JSON that is nested too deep"),
        ({"run0": "{}"}, "no run"),
        ({"run0": json.dumps({"runId": "p1:u1"})}, "a part of a run"),
    ],
)
def test_an_active_row_that_holds_no_run_is_unreadable(columns: Columns, reason: str) -> None:
    with pytest.raises(RowUnreadable):
        pytest.fail(f"{reason}: {run_entity.decode_active(columns)}")


@pytest.mark.parametrize(
    ("member", "value"),
    [("attempts", []), ("attempts", [{"updateId": "a/b"}]), ("acceptedAt", "soon"), ("runId", 5), ("error", "x")],
)
def test_an_active_row_with_a_member_of_a_wrong_kind_is_unreadable(member: str, value: object) -> None:
    members = json.loads(str(run_entity.encode_active(FULL_RUN)["run0"]))
    with pytest.raises(RowUnreadable):
        run_entity.decode_active({"run0": json.dumps(members | {member: value})})


# --- sizes


def test_a_long_active_run_is_cut_into_columns_of_32_000_characters() -> None:
    run = make_run(ignored_parameters=tuple(f"{number:0200d}" for number in range(400)))
    columns = run_entity.encode_active(run)
    assert [*columns] == ["run0", "run1", "run2"]
    assert all(len(str(value)) <= 32_000 for value in columns.values())
    assert run_entity.decode_active(columns) == run


@pytest.mark.parametrize("before", ["", "x"], ids=["whole characters end a column", "a character would be halved"])
def test_a_column_is_limited_in_utf_16_units_and_halves_no_character(before: str) -> None:
    name = before + "😀" * 40_000
    columns = cut("name", name)
    assert all(0 < len(str(value).encode("utf-16-le")) <= 2 * 32_000 for value in columns.values())
    assert len(columns) == 3
    assert uncut("name", columns) == name


def test_a_thousand_unseen_runs_fit_in_columns_of_32_000_characters() -> None:
    longest = {f"{number:064d}:{number:064d}": BEFORE + timedelta(seconds=number % 3) for number in range(1000)}
    last = LastSweep(swept_at=NOW, report=SweepReport(workspace="w"), not_seen=longest)
    columns = run_entity.encode_last_sweep(last)
    assert all(len(value) <= 32_000 for value in columns.values() if isinstance(value, str))
    assert len(columns) < 100
    assert run_entity.decode_last_sweep(columns).not_seen == longest


GOOD_ATTEMPT: dict[str, object] = {"updateId": "u", "state": None, "cause": None, "createdAt": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ignoredParameters", "[1]"),
        ("ignoredParameters", "[[]]"),
        ("attempts", "[]"),
        ("attempts", json.dumps([GOOD_ATTEMPT | {"state": 1}])),
        ("attempts", json.dumps([GOOD_ATTEMPT | {"cause": {}}])),
        ("attempts", json.dumps([GOOD_ATTEMPT | {"updateId": "a/b"}])),
        ("attempts", json.dumps([GOOD_ATTEMPT | {"createdAt": "2026-01-01T00:00:00"}])),
        ("attempts", "[" * 100_000),
        ("error", '{"code": 1, "message": null}'),
    ],
)
def test_a_run_with_unreadable_json_is_unreadable(name: str, value: str) -> None:
    with pytest.raises(RowUnreadable):
        run_entity.RUN.decode(run_entity.RUN.encode(make_run()) | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("notSeen0", "[" * 100_000),
        ("notSeen0", '"abc"'),
        ("notSeen0", '{"a":1}'),
        ("notSeen0", "[1]"),
        ("notSeen0", '{"2026-01-01T00:00:00":["p:u"]}'),
        ("notSeen0", '{"2026-01-01T00:00:00+00:00":"p:u"}'),
        ("notSeen0", '{"2026-01-01T00:00:00+00:00":[1]}'),
        ("unreadablePipelines", "[1]"),
        ("report", '{"workspace":"w","active":"x"}'),
        ("report", '{"workspace":"w","seconds":1' + "0" * 400 + "}"),
    ],
)
def test_a_last_sweep_with_unreadable_json_is_unreadable(name: str, value: str) -> None:
    with pytest.raises(RowUnreadable):
        run_entity.decode_last_sweep(run_entity.encode_last_sweep(LAST_SWEEP) | {name: value})


@pytest.mark.parametrize(("name", "value"), [("ignoredParameters", "[1]"), ("pipelineId", "a/b")])
def test_an_unreadable_reservation_is_unreadable(name: str, value: str) -> None:
    with pytest.raises(RowUnreadable):
        run_entity.RESERVATION.decode(run_entity.RESERVATION.encode(RESERVATION) | {name: value})


def test_a_used_key_that_names_no_run_is_unreadable() -> None:
    with pytest.raises(RowUnreadable):
        run_entity.USED_KEY.decode(run_entity.USED_KEY.encode(USED_KEY) | {"runId": "garbage"})
