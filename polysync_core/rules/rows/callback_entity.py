"""The rows of callbacks.

A `waiter|…` row holds the address to call. While a start has no outcome, its `starting` row holds the address instead.
The `callback|…` rows are the queue. The `callbacks` column of a run's rows holds the state of each callback. The queue
and this column hold no address.
"""

from __future__ import annotations

from polysync_core.rules.rows.row_of import RowOf
from polysync_core.values.callback import Callback, CallbackAddress, OwedCallback, Waiter

_ADDRESS = RowOf(
    CallbackAddress, names={"kind": "callbackKind", "url": "callbackAddress", "base_url": "callbackBaseUrl"}
)
WAITER = RowOf(Waiter, inline={"address": _ADDRESS})
OWED = RowOf(OwedCallback, beside=("claimedBy",))
CALLBACK = RowOf(Callback, names={"callback_id": "id"}, in_json=True)
"""One entry of the column `callbacks` of a run."""
