"""The keys of the await addresses, as one process knows them. Another process may rotate them at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from polysync_core.adapters.clock import Clock
from polysync_core.adapters.memory import CachedValue
from polysync_core.adapters.storage.await_key_store import AwaitKeyStore
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.rules.decisions import budgets
from polysync_core.values.await_keys import AwaitKeys
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import StorageUnavailable
from polysync_core.values.stored import Locked


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """The keys that were read last. `trouble` says why a later read failed, or is None."""

    keys: AwaitKeys
    trouble: str | None = None


class AwaitKeyring:
    """Reads the keys at least once a minute while they are used. Safe to use from all threads.

    While storage does not answer, the keys that were read last stay in use.
    """

    def __init__(self, store: AwaitKeyStore, clock: Clock, new_secret: Callable[[], bytes]) -> None:
        self.new_secret = new_secret
        self._store = store
        self._clock = clock
        self._known = CachedValue[_Known](clock, budgets.AWAIT_KEYS_KEPT)

    def current(self) -> AwaitKeys:
        """The keys, at most a minute old. Raises StorageUnavailable if this process has never read them."""
        known = self._known.get(self._read)
        if known.trouble is not None:
            known = self._known.get(self._read, max_age_seconds=budgets.AWAIT_KEYS_REREAD_EVERY)
        return known.keys

    def reread(self) -> AwaitKeys:
        """The keys for a token that `current` does not explain. They are at most 3 s old.

        So many wrong tokens cause few reads. A caller gets its address at least 15 s before it polls, so the keys hold
        a token's key when the token is right. Raises StorageUnavailable if the last read failed.
        """
        known = self._known.get(self._read, max_age_seconds=budgets.AWAIT_KEYS_REREAD_EVERY)
        if known.trouble is not None:
            raise StorageUnavailable(known.trouble)
        return known.keys

    def stored(self) -> Locked[AwaitKeys]:
        """The keys as they are stored now. Raises StorageUnavailable."""
        return self._store.find_or_make(self.new_secret)

    def save(self, keys: AwaitKeys, etag: str) -> None:
        """Replace the stored keys that have this ETag. Raises TooBusy and StorageUnavailable."""
        try:
            self._store.save(keys, etag)
        finally:
            self._known.expire()  # also after an error, because the write may have happened

    def _read(self) -> _Known:
        before = self._known.last()
        seconds = budgets.AWAIT_KEYS_FIRST if before is None else budgets.AWAIT_KEYS_REREAD
        try:
            with storage_deadline(Deadline.after(self._clock, seconds)):
                return _Known(keys=self.stored().value)
        except StorageUnavailable as error:
            if before is None:
                raise
            return _Known(keys=before.keys, trouble=error.detail)
