"""The keys of the await addresses. A token of one of them grants access to one run's result."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from polysync_core.values.stored import Kept


@dataclass(frozen=True, kw_only=True, slots=True)
class OldKey(Kept):
    """A key that a rotation has replaced. Its tokens are valid before `valid_until`."""

    secret: bytes = field(repr=False)
    valid_until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class AwaitKeys(Kept):
    """The newest key, which signs, and the older ones, the latest first.

    `first` is the first key that was ever made. The keys of hidden parameters and of event continuations are derived
    from it, so a rotation reports no hidden parameter as changed.
    """

    newest: bytes = field(repr=False)
    older: tuple[OldKey, ...] = ()
    first: bytes = field(repr=False)

    def valid_at(self, now: datetime) -> tuple[bytes, ...]:
        """Return the keys whose tokens are valid at `now`."""
        return (self.newest, *(old.secret for old in self.older if now < old.valid_until))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotation:
    """A rotation that happened. The tokens of older keys are valid before `old_valid_until`."""

    rotated_at: datetime
    old_valid_until: datetime
