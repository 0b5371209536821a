"""The rows of callbacks.

`waiter|…` rows (and, while a start has no outcome, its `starting` row) keep the address that is to be called.
`callback|…` rows are the queue, and the `callbacks` column of a run's rows shows the state of each. Neither of these
two holds an address.
"""

from __future__ import annotations

from polysync_core.rules.rows.row_of import RowOf
from polysync_core.values.callback import Callback, CallbackAddress, OwedCallback, Waiter

_ADDRESS = RowOf(
    CallbackAddress, names={"kind": "callbackKind", "url": "callbackAddress", "base_url": "callbackBaseUrl"}
)
WAITER = RowOf(Waiter, inline={"address": _ADDRESS})
OWED = RowOf(OwedCallback)
CALLBACK = RowOf(Callback, names={"callback_id": "id"}, in_json=True)
"""One entry of a run's column `callbacks`."""
