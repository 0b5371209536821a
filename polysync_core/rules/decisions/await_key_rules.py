"""What a rotation makes of the keys of the await addresses. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from polysync_core.values.await_keys import AwaitKeys, OldKey
from polysync_core.values.errors import TooManyAwaitKeys

MOST_OLD_KEYS = 40
"""More than one rotation a day, each with the longest time. A token is compared with every key."""


def rotate(keys: AwaitKeys, newest: bytes, *, now: datetime, old_valid_until: datetime) -> AwaitKeys:
    """Return `keys` with the new key `newest`. All others end at `old_valid_until`, or earlier if they already do.

    Keys that have ended at `now` are dropped. Raises TooManyAwaitKeys if more than MOST_OLD_KEYS would be left.
    """
    replaced = (OldKey(secret=keys.newest, valid_until=old_valid_until), *keys.older)
    ending = (replace(old, valid_until=min(old.valid_until, old_valid_until)) for old in replaced)
    older = tuple(old for old in ending if now < old.valid_until)
    if len(older) > MOST_OLD_KEYS:
        raise TooManyAwaitKeys(
            f"{MOST_OLD_KEYS} old keys are still valid, and no more can be kept. "
            'Rotate with "keepOldForDays": 0, which ends them at once, or wait until one of them ends.'
        )
    return replace(keys, newest=newest, older=older)
