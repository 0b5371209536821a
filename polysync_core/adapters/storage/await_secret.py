"""The random key of the await tokens. It is in a partition of the table PolysyncRuns that no workspace can have."""

from __future__ import annotations

import base64
from collections.abc import Callable

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.tables import Table
from polysync_core.rules.rows import row_keys
from polysync_core.values.errors import StorageUnavailable

AWAIT_SECRET_BYTES = 32


class AwaitSecret:
    """The row of the key, which every instance of the app reads."""

    def __init__(self, table: Table) -> None:
        self._rows = table.partition(row_keys.SECRETS_PARTITION)

    def find_or_make(self, new_secret: Callable[[], bytes]) -> bytes:
        """The stored key. If there is none, what `new_secret` returns is stored. Raises StorageUnavailable."""
        row = self._rows.get(row_keys.AWAIT_SECRET)
        if row is None:
            made = base64.b64encode(new_secret()).decode()
            self._rows.commit([tables.create(row_keys.AWAIT_SECRET, {"value": made})], was_written=lambda: False)
            row = self._rows.get(row_keys.AWAIT_SECRET)
        value = None if row is None else row.get("value")
        try:
            secret = base64.b64decode(str(value), validate=True)
        except ValueError:
            secret = b""
        if len(secret) != AWAIT_SECRET_BYTES:
            raise StorageUnavailable("The key of the await addresses cannot be read.")
        return secret
