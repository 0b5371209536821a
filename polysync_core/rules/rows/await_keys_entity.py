"""Encode and decode the row `secret|await`: the keys of the await addresses.

The newest key is in the column `value`. Before the first rotation, the row has only this column.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from polysync_core.rules.rows.row_of import Codec, Columns, RowOf, list_of
from polysync_core.values.await_keys import AwaitKeys, OldKey

AWAIT_KEY_BYTES = 32


def _encode_secret(secret: bytes) -> str:
    return base64.b64encode(secret).decode()


def _decode_secret(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError("not text")
    secret = base64.b64decode(text, validate=True)
    if len(secret) != AWAIT_KEY_BYTES:
        raise ValueError("a key of another length")
    return secret


_SECRET = Codec(_encode_secret, _decode_secret)
_OLD_KEY = RowOf(OldKey, codecs={"secret": _SECRET}, in_json=True)
_KEYS = RowOf(
    AwaitKeys,
    names={"newest": "value"},
    codecs={"newest": _SECRET, "first": _SECRET, "older": list_of(_OLD_KEY)},
    leave_out_empty=("older",),
)


def encode_await_keys(keys: AwaitKeys) -> Columns:
    return _KEYS.encode(keys)


def decode_await_keys(columns: Mapping[str, object]) -> AwaitKeys:
    """Return the keys. A row without the column `first` was never rotated. Raises RowUnreadable."""
    return _KEYS.decode({"first": columns.get("value"), **columns})
