"""The row of the keys of the await addresses."""

from __future__ import annotations

import base64

import pytest

from polysync_core.rules.decisions.await_key_rules import MOST_OLD_KEYS
from polysync_core.rules.rows.await_keys_entity import decode_await_keys, encode_await_keys
from polysync_core.rules.rows.pieces import PIECE
from polysync_core.values.await_keys import AwaitKeys, OldKey
from polysync_core.values.errors import RowUnreadable
from tests.rules.examples import NOW

KEY, OTHER = bytes(range(32)), bytes(32)
TEXT = base64.b64encode(KEY).decode()
OLD = f'[{{"secret":"{TEXT}","validUntil":"2026-11-22T09:00:00+00:00"}}]'


def test_a_row_from_before_the_first_rotation_holds_the_first_key() -> None:
    assert decode_await_keys({"value": TEXT}) == AwaitKeys(newest=KEY, first=KEY)


@pytest.mark.parametrize("count", [0, 1, MOST_OLD_KEYS])
def test_keys_come_back_from_their_row_as_they_were(count: int) -> None:
    older = tuple(OldKey(secret=bytes([number]) * 32, valid_until=NOW) for number in range(count))
    keys = AwaitKeys(newest=KEY, older=older, first=OTHER)
    columns = encode_await_keys(keys)
    assert decode_await_keys(columns) == keys
    assert columns["value"] == TEXT, "the column that the version before reads"
    assert all(len(str(value)) < PIECE for value in columns.values())


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"value": 5},
        {"value": ""},
        {"value": "!!!"},
        {"value": "c2hvcnQ="},
        {"value": TEXT, "first": "c2hvcnQ="},
        {"value": TEXT, "older": "{"},
        {"value": TEXT, "older": OLD.replace(TEXT, "c2hvcnQ=")},
        {"value": TEXT, "older": OLD.replace("+00:00", "")},
        {"value": TEXT, "older": OLD.replace("secret", "key")},
    ],
    ids=str,
)
def test_an_unreadable_row_gives_no_key(columns: dict[str, object]) -> None:
    assert decode_await_keys({"value": TEXT, "older": OLD}).older[0].secret == KEY
    with pytest.raises(RowUnreadable) as wrong:
        decode_await_keys(columns)
    assert TEXT not in str(wrong.value)
