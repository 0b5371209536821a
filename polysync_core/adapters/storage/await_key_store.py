"""The keys of the await addresses. They are in a partition of the table PolysyncRuns that no workspace can have."""

from __future__ import annotations

from collections.abc import Callable

from polysync_core.adapters.storage import tables
from polysync_core.adapters.storage.tables import Table, etag_of
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.await_keys_entity import decode_await_keys, encode_await_keys
from polysync_core.values.await_keys import AwaitKeys
from polysync_core.values.errors import RowUnreadable, StorageUnavailable, TooBusy
from polysync_core.values.stored import Locked


class AwaitKeyStore:
    """The row of the keys, which every instance of the app reads. Every method may raise StorageUnavailable."""

    def __init__(self, table: Table) -> None:
        self._rows = table.partition(row_keys.SECRETS_PARTITION)

    def find_or_make(self, new_secret: Callable[[], bytes]) -> Locked[AwaitKeys]:
        """Return the stored keys. If there are none, store what `new_secret` returns as the first one.

        Raises RowUnreadable.
        """
        return self._find() or self._make(new_secret())

    def save(self, keys: AwaitKeys, etag: str) -> None:
        """Replace the keys that have this ETag. Raises TooBusy when others have changed them."""
        replaced = tables.replace(row_keys.AWAIT_SECRET, encode_await_keys(keys), etag)
        if self._rows.commit([replaced], was_written=lambda: self._knows(keys.newest)) is None:
            raise TooBusy("The key of the await addresses changes all the time, so it was not rotated.")

    def _make(self, secret: bytes) -> Locked[AwaitKeys]:
        made = encode_await_keys(AwaitKeys(newest=secret, first=secret))
        created = tables.create(row_keys.AWAIT_SECRET, made)
        self._rows.commit([created], was_written=lambda: self._find() is not None)
        found = self._find()  # another instance may have been first
        if found is None:
            raise StorageUnavailable("The key of the await addresses was not stored.")
        return found

    def _find(self) -> Locked[AwaitKeys] | None:
        row = self._rows.get(row_keys.AWAIT_SECRET)
        if row is None:
            return None
        try:
            return Locked(value=decode_await_keys(row), etag=etag_of(row))
        except RowUnreadable as wrong:
            raise RowUnreadable(
                "The key of the await addresses cannot be read. An operator has to correct or delete the row "
                f"{row_keys.AWAIT_SECRET}."
            ) from wrong

    def _knows(self, secret: bytes) -> bool:
        """Whether the stored keys hold `secret`. Another rotation may have replaced it since."""
        found = self._find()
        return found is not None and secret in {found.value.newest, *(old.secret for old in found.value.older)}
