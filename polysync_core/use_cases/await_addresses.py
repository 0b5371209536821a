"""Check the token of an await address, and rotate the key of these tokens."""

from __future__ import annotations

import logging
from datetime import timedelta

from polysync_core.adapters.await_keyring import AwaitKeyring
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.storage.races import retry_lost_races
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.rules.decisions import await_key_rules, budgets
from polysync_core.rules.wire.addresses import is_await_token
from polysync_core.values.await_keys import AwaitKeys, Rotation
from polysync_core.values.caller import CallerId
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import RunNotFound
from polysync_core.values.ids import RunId

_log = logging.getLogger("polysync.await_keys")
_MOST_RACES = 10


def check_token(token: str, run_id: RunId, keyring: AwaitKeyring, clock: Clock) -> AwaitKeys:
    """Return the keys as they are now. Raises RunNotFound if `token` does not grant access to the run.

    If no key explains the token, the keys are read again, since another process may have rotated them. Raises
    StorageUnavailable when they cannot be read.
    """
    now = clock.now()
    for keys_of_now in (keyring.current, keyring.reread):
        keys = keys_of_now()
        if is_await_token(token, keys.valid_at(now), run_id):
            return keys
    raise RunNotFound(f"There is no run {run_id}, or this is not its result address.")


def rotate_await_key(keyring: AwaitKeyring, clock: Clock, *, keep_old_for_days: float, caller: CallerId) -> Rotation:
    """Make a new key at the request of `caller`.

    Addresses of older keys work for so many days more, or less if an earlier rotation said so. Raises TooManyAwaitKeys,
    TooBusy and StorageUnavailable.
    """
    newest = keyring.new_secret()

    def attempt() -> Rotation:
        stored, now = keyring.stored(), clock.now()
        until = now + timedelta(days=keep_old_for_days)
        keyring.save(await_key_rules.rotate(stored.value, newest, now=now, old_valid_until=until), stored.etag)
        return Rotation(rotated_at=now, old_valid_until=until)

    with storage_deadline(Deadline.after(clock, budgets.AWAIT_KEYS_ROTATION)):
        rotation = retry_lost_races(attempt, _MOST_RACES)
    _log.warning(
        "the key of the await addresses was rotated by %s; older addresses end at %s",
        caller,
        rotation.old_valid_until.isoformat(timespec="seconds"),
        extra={"action": "rotate_await_key"},
    )
    return rotation
