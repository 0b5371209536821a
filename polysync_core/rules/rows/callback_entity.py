"""Callbacks <-> table columns.

`waiter|…` rows (and, while a start has no outcome, its `starting` row) keep the address that is to be called;
`callback|…` rows are the queue, and the `callbacks` column of a run's rows shows how each stands. Neither of these two
holds an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from polysync_core.rules.rows.columns import Columns, Row, without_nones
from polysync_core.values.callback import Callback, CallbackAddress, CallbackKind, CallbackState, OwedCallback, Waiter
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.ids import RunId


def encode_waiter(waiter: Waiter) -> Columns:
    address = waiter.address
    return {
        "callbackId": waiter.callback_id,
        "callbackKind": address.kind.value,
        "callbackAddress": address.url,
        "callbackBaseUrl": address.base_url,
    }


def decode_waiter(columns: Mapping[str, object]) -> Waiter | None:
    """The waiter that a row holds, or None. RowUnreadable when its columns are spoilt."""
    row = Row(columns)
    callback_id = row.get("callbackId", str)
    if callback_id is None:
        return None
    try:
        kind = CallbackKind(row.need("callbackKind", str))
    except ValueError as wrong:
        raise RowUnreadable("A row of a waiter names a kind of callback that is not known.") from wrong
    address = CallbackAddress(
        kind=kind, url=row.need("callbackAddress", str), base_url=row.need("callbackBaseUrl", str)
    )
    return Waiter(callback_id=callback_id, address=address)


def encode_owed(owed: OwedCallback) -> Columns:
    return without_nones(
        {
            "runId": str(owed.run_id),
            "callbackId": owed.callback_id,
            "host": owed.host,
            "dueAt": owed.due_at,
            "tries": owed.tries,
            "since": owed.since,
        }
    )


def decode_owed(columns: Mapping[str, object]) -> OwedCallback:
    row = Row(columns)
    try:
        run_id = RunId.parse(row.need("runId", str))
    except ValueError as wrong:
        raise RowUnreadable("A row of an owed callback names no run.") from wrong
    return OwedCallback(
        run_id=run_id,
        callback_id=row.need("callbackId", str),
        host=row.need("host", str),
        due_at=row.instant("dueAt"),
        tries=row.need("tries", int),
        since=row.instant_or_none("since"),
    )


def encode_callback(callback: Callback) -> Columns:
    """One entry of the `callbacks` column, which is JSON."""
    return {
        "id": callback.callback_id,
        "kind": callback.kind.value,
        "host": callback.host,
        "state": callback.state.value,
        "tries": callback.tries,
        "lastError": callback.last_error,
        "nextAttemptAt": None if callback.next_attempt_at is None else callback.next_attempt_at.isoformat(),
    }


def decode_callback(entry: object) -> Callback:
    """ValueError, TypeError or RowUnreadable when the entry is spoilt."""
    if not isinstance(entry, Mapping):
        raise TypeError("callbacks")
    row = Row(entry)
    next_attempt_at = row.get("nextAttemptAt", str)
    return Callback(
        callback_id=row.need("id", str),
        kind=CallbackKind(row.need("kind", str)),
        host=row.need("host", str),
        state=CallbackState(row.need("state", str)),
        tries=row.need("tries", int),
        last_error=row.get("lastError", str),
        next_attempt_at=None if next_attempt_at is None else datetime.fromisoformat(next_attempt_at),
    )
