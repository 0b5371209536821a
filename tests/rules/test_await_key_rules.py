"""What a rotation makes of the keys: which tokens are valid, and until when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.decisions.await_key_rules import MOST_OLD_KEYS, rotate
from polysync_core.values.await_keys import AwaitKeys
from polysync_core.values.errors import TooManyAwaitKeys
from tests.rules.examples import NOW

KEYS = AwaitKeys(newest=b"k0", first=b"k0")
WEEK = timedelta(days=7)


def rotated(keys: AwaitKeys, newest: bytes, *, after: timedelta = timedelta(), keep: timedelta = WEEK) -> AwaitKeys:
    """Rotate at NOW + `after`, and keep the old keys for `keep`."""
    return rotate(keys, newest, now=NOW + after, old_valid_until=NOW + after + keep)


def test_the_replaced_key_is_valid_until_its_time() -> None:
    keys = rotated(KEYS, b"k1")
    assert keys.newest == b"k1"
    assert keys.valid_at(NOW) == (b"k1", b"k0")
    assert keys.valid_at(NOW + WEEK - timedelta(microseconds=1)) == (b"k1", b"k0")
    assert keys.valid_at(NOW + WEEK) == (b"k1",)


def test_several_rotations_keep_several_keys_each_until_its_own_time() -> None:
    day = timedelta(days=1)
    keys = rotated(rotated(rotated(KEYS, b"k1"), b"k2", after=day), b"k3", after=2 * day)
    assert keys.valid_at(NOW + 2 * day) == (b"k3", b"k2", b"k1", b"k0")
    assert keys.valid_at(NOW + 7 * day) == (b"k3", b"k2", b"k1")
    assert keys.valid_at(NOW + 8 * day) == (b"k3", b"k2")
    assert keys.valid_at(NOW + 9 * day) == (b"k3",)


def test_no_older_key_outlives_the_time_of_a_rotation() -> None:
    keys = rotated(rotated(KEYS, b"k1", keep=timedelta(days=30)), b"k2", keep=timedelta(days=2))
    assert {old.valid_until for old in keys.older} == {NOW + timedelta(days=2)}


def test_keys_that_have_ended_are_dropped_at_the_next_rotation() -> None:
    keys = rotated(rotated(KEYS, b"k1"), b"k2", after=WEEK)
    assert [old.secret for old in keys.older] == [b"k1"]


def test_without_days_all_old_keys_end_at_once() -> None:
    keys = rotated(rotated(KEYS, b"k1"), b"k2", keep=timedelta())
    assert (keys.older, keys.valid_at(NOW)) == ((), (b"k2",))


@given(st.lists(st.integers(0, 30), max_size=MOST_OLD_KEYS))
def test_the_first_key_stays_known_so_that_hidden_parameters_keep_their_hashes(kept_for_days: list[int]) -> None:
    keys = KEYS
    for number, days in enumerate(kept_for_days):
        keys = rotated(keys, f"k{number + 1}".encode(), keep=timedelta(days=days))
    assert keys.first == b"k0"


def test_more_old_keys_than_a_row_should_hold_are_refused_with_the_remedy() -> None:
    keys = KEYS
    for number in range(MOST_OLD_KEYS):
        keys = rotated(keys, f"k{number + 1}".encode())
    with pytest.raises(TooManyAwaitKeys, match='"keepOldForDays": 0'):
        rotated(keys, b"one more")
    assert rotated(keys, b"one more", keep=timedelta()).older == ()
    assert len(rotated(keys, b"one more", after=WEEK).older) == 1


def test_no_key_is_in_the_text_of_the_keys() -> None:
    assert "k0" not in repr(rotated(KEYS, b"k1"))
