"""Row keys: the kinds of rows stay apart, the newest run sorts first, and no character needs escaping."""

from __future__ import annotations

import base64
import hashlib
import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.rows import row_keys
from polysync_core.values.errors import InvalidRequest
from polysync_core.values.ids import RunId
from tests.rules.examples import NOW, ids, instants, run_ids

FORBIDDEN = set("/\\#?%'") | {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}


def all_keys(run_id: RunId, key: str, at: datetime) -> dict[str, str]:
    return {
        "starting": row_keys.starting(run_id.pipeline_id),
        "start": row_keys.start(run_id.pipeline_id, key),
        "run": row_keys.run(run_id),
        "active": row_keys.active(run_id),
        "recent": row_keys.recent(run_id, at),
        "sweep": row_keys.SWEEP_LAST,
        "secret": row_keys.AWAIT_SECRET,
    }


def test_the_keys_are_the_designs() -> None:
    run_id = RunId("p1", "u1")
    keys = all_keys(run_id, "k", NOW)
    milliseconds_left = 99_999_999_999_999 - 1_795_348_800_000
    assert keys == {
        "starting": "starting|p1",
        "start": f"start|{hashlib.sha256(b'p1' + bytes([10]) + b'k').hexdigest()}",
        "run": "run|p1:u1",
        "active": "active|p1:u1",
        "recent": f"recent|{milliseconds_left}|p1:u1",
        "sweep": "sweep|last",
        "secret": "secret|await",
    }


@given(run_ids, st.text(max_size=300), instants)
def test_no_key_holds_a_character_that_table_storage_refuses_nor_is_too_long(
    run_id: RunId, key: str, at: datetime
) -> None:
    for row_key in all_keys(run_id, key, at).values():
        assert not FORBIDDEN & set(row_key)
        assert len(row_key.encode("utf-16-le")) <= 1024


@given(run_ids, st.text(max_size=20), instants)
def test_every_kind_begins_with_its_own_word(run_id: RunId, key: str, at: datetime) -> None:
    for kind, row_key in all_keys(run_id, key, at).items():
        assert row_key.startswith(f"{kind}|")


@given(run_ids, run_ids, instants, st.integers(min_value=2, max_value=10**12))
def test_a_later_run_sorts_before_an_earlier_one(one: RunId, other: RunId, at: datetime, gap: int) -> None:
    later = at + timedelta(milliseconds=gap)
    assert row_keys.recent(other, later) < row_keys.recent(one, at)


@given(st.lists(st.tuples(run_ids, st.integers(min_value=0, max_value=10**6)), unique_by=lambda pair: pair[1]))
def test_sorted_keys_list_the_newest_first(accepted: list[tuple[RunId, int]]) -> None:
    keys = {row_keys.recent(run_id, NOW + timedelta(seconds=second)): second for run_id, second in accepted}
    assert [keys[key] for key in sorted(keys)] == sorted((second for _, second in accepted), reverse=True)


def test_two_runs_of_one_instant_have_different_keys() -> None:
    assert row_keys.recent(RunId("p", "u1"), NOW) != row_keys.recent(RunId("p", "u2"), NOW)


@given(ids, st.text(max_size=40))
def test_a_used_key_is_kept_only_as_its_hash(pipeline_id: str, key: str) -> None:
    row_key = row_keys.start(pipeline_id, key)
    assert row_key == row_keys.start(pipeline_id, key)
    assert len(row_key) == len("start|") + 64


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (("p", "k"), ("p", "l"), "another key"),
        (("p", "k"), ("q", "k"), "the same key of another pipeline"),
        (("p1", "k"), ("p", "1k"), "the same characters, parted elsewhere"),
    ],
)
def test_used_keys_do_not_meet(one: tuple[str, str], other: tuple[str, str], reason: str) -> None:
    assert row_keys.start(*one) != row_keys.start(*other), reason


@given(st.sampled_from([row_keys.RUN, row_keys.ACTIVE, row_keys.RECENT, row_keys.STARTING]), st.text(max_size=20))
def test_the_end_of_a_prefix_lies_just_behind_all_its_keys(prefix: str, rest: str) -> None:
    end = row_keys.end_of(prefix)
    assert prefix <= prefix + rest < end
    assert end[:-1] == prefix[:-1]


def test_the_ranges_of_the_kinds_do_not_overlap() -> None:
    kinds = sorted([row_keys.RUN, row_keys.ACTIVE, row_keys.RECENT, row_keys.STARTING, "start|", "sweep|"])
    for kind, following in itertools.pairwise(kinds):
        assert row_keys.end_of(kind) <= following


# --- where a listing continues


@given(run_ids)
def test_a_continuation_is_read_back_as_it_was_given(run_id: RunId) -> None:
    key = row_keys.recent(run_id, NOW)
    assert row_keys.decode_continuation(row_keys.encode_continuation(key), row_keys.RECENT) == key


@pytest.mark.parametrize(
    "given",
    ["", "x", "%%%", "é", *(base64.urlsafe_b64encode(key).decode() for key in (b"run|p:u", b"\xff", b"sweep|last"))],
)
def test_a_continuation_that_is_none_of_ours_is_refused(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^continuation: must be the continuation of an earlier answer"):
        row_keys.decode_continuation(given, row_keys.RECENT)


@given(st.text(max_size=12))
def test_no_text_as_a_continuation_raises_anything_but_an_error_of_ours(given: str) -> None:
    with pytest.raises(InvalidRequest):
        row_keys.decode_continuation(given, row_keys.RECENT)


def test_without_a_continuation_a_listing_begins_at_its_beginning() -> None:
    assert row_keys.decode_continuation(None, row_keys.RECENT) == ""
