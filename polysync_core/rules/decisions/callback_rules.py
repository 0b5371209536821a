"""When a callback is tried, and what an answer means. Pure: times are arguments.

run finishes     -> every waiting callback is due
one try + answer -> delivered, due again later, or given up
due callbacks    -> the order in which they are sent
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate, zip_longest
from typing import TypeVar

from polysync_core.values.callback import Callback, CallbackKind, CallbackState, OwedCallback, Waiter
from polysync_core.values.errors import TooManyCallbacks
from polysync_core.values.run import Run

_T = TypeVar("_T")
MAX_CALLBACKS = 20
"""A run has at most this many callbacks: the batch that finishes it must stay under Table Storage's 100 operations."""
TRIED_FOR = timedelta(hours=24)
"""A callback is tried for this long, counted from its first try."""
CLAIMED_FOR = timedelta(seconds=60)
"""A claim on a callback lasts this long. After that another instance may send the callback."""
_CLOSE_TRIES_FOR = timedelta(minutes=10)
"""The default time-out of Data Factory's WebHook activity."""
_CLOSE_TRIES_EVERY = timedelta(seconds=14)
"""A little less than the timer's 15 s, so that the callback is due at each tick."""
_DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
)
"""The pauses after the first try and each further one. The last try is at 24 h. See https://www.standardwebhooks.com"""
_OFFSETS = (*accumulate(_DELAYS), TRIED_FOR)
_MAX_ERROR = 200
_ASK_FOR_A_REPEAT = frozenset({408, 425, 429})
"""Request Timeout, Too Early, Too Many Requests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TryResult:
    """The result of one try: the receiver's HTTP status, or None and the `trouble` because of which no answer came."""

    status: int | None
    trouble: str = ""

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def ends(self, kind: CallbackKind) -> bool:
        """Whether the answer ends the deliveries: 410, or any 4xx of Data Factory's one-time address.

        A status that asks for a repeat does not.
        """
        if self.status is None or self.status in _ASK_FOR_A_REPEAT:
            return False
        return self.status == 410 or (kind is CallbackKind.DATA_FACTORY and 400 <= self.status < 500)

    @property
    def error(self) -> str:
        if self.status is not None and 300 <= self.status < 400:
            return f"HTTP {self.status}; redirects are not followed"
        return (self.trouble or f"HTTP {self.status}")[:_MAX_ERROR]


def put_waiter(run: Run, waiter: Waiter, now: datetime) -> Run:
    """The run with that waiter's callback. A callback with the same id is sent to the new address from now on.

    The callback waits, or is due now if the run is finished. Raises TooManyCallbacks at the 21st.
    """
    address = waiter.address
    old = next((entry for entry in run.callbacks if entry.callback_id == waiter.callback_id), None)
    if old is None and len(run.callbacks) >= MAX_CALLBACKS:
        raise TooManyCallbacks(
            f"Run {run.run_id} has {MAX_CALLBACKS} callbacks, which is the limit; ask for its status instead."
        )
    callback = Callback(callback_id=waiter.callback_id, kind=address.kind, host=address.host)
    if old is not None:
        callback = replace(callback, tries=old.tries, last_error=old.last_error)
    callback = _due(callback, now) if run.is_finished else callback
    return replace(run, callbacks=(*remove_waiter(run, waiter.callback_id).callbacks, callback))


def remove_waiter(run: Run, callback_id: str) -> Run:
    return replace(run, callbacks=tuple(entry for entry in run.callbacks if entry.callback_id != callback_id))


def put_callback(run: Run, callback: Callback) -> Run:
    """Return the run with `callback` in place of the callback with the same id."""
    return replace(
        run,
        callbacks=tuple(callback if entry.callback_id == callback.callback_id else entry for entry in run.callbacks),
    )


def owe_waiting(run: Run) -> Run:
    """A run that has just finished, with the callback of every waiting caller due now."""
    due_at = run.finished_at or run.updated_at
    waiting = CallbackState.WAITING
    return replace(
        run, callbacks=tuple(_due(entry, due_at) if entry.state is waiting else entry for entry in run.callbacks)
    )


def owe_all(run: Run, now: datetime) -> Run:
    """A finished run with all its callbacks due again, now."""
    return replace(run, callbacks=tuple(_due(entry, now) for entry in run.callbacks))


def _due(callback: Callback, due_at: datetime) -> Callback:
    return replace(callback, state=CallbackState.DUE, next_attempt_at=due_at)


def owed_of(run: Run, *, callback_id: str | None = None) -> tuple[OwedCallback, ...]:
    """The queue's entries for the run's due callbacks, or for the one with that id. None was tried yet."""
    return tuple(
        OwedCallback(
            run_id=run.run_id,
            callback_id=entry.callback_id,
            host=entry.host,
            due_at=entry.next_attempt_at,
        )
        for entry in run.callbacks
        if entry.state is CallbackState.DUE
        and entry.next_attempt_at is not None
        and callback_id in {None, entry.callback_id}
    )


def claim(owed: OwedCallback, now: datetime) -> OwedCallback:
    """The entry while an instance sends it. If that instance dies, the callback is due again when the claim ends."""
    return replace(owed, due_at=now + CLAIMED_FOR, tries=owed.tries + 1, since=owed.since or now)


def decide_after_try(callback: Callback, owed: OwedCallback, result: TryResult, now: datetime) -> Callback:
    """Return the callback after the try for which `owed` was claimed."""
    tried = replace(callback, tries=callback.tries + 1, next_attempt_at=None)
    if result.is_delivered:
        return replace(tried, state=CallbackState.DELIVERED, last_error=None)
    next_at = None if result.ends(callback.kind) else next_try_at(callback.kind, owed.since or now, now)
    if next_at is None:
        return replace(tried, state=CallbackState.GIVEN_UP, last_error=result.error)
    return replace(tried, state=CallbackState.DUE, last_error=result.error, next_attempt_at=next_at)


def waited_seconds(owed: OwedCallback, now: datetime) -> float:
    """Return for how long its caller has waited: since the first try, or since the callback became due."""
    return (now - min(owed.since or owed.due_at, owed.due_at)).total_seconds()


def next_try_at(kind: CallbackKind, since: datetime, now: datetime) -> datetime | None:
    """When to try again after a failed try. The first try was at `since`. None: never."""
    if kind is CallbackKind.DATA_FACTORY and now + _CLOSE_TRIES_EVERY <= since + _CLOSE_TRIES_FOR:
        return now + _CLOSE_TRIES_EVERY
    return next((since + offset for offset in _OFFSETS if since + offset > now), None)


def take_turns(
    due: Iterable[_T], owed_of: Callable[[_T], OwedCallback], lane_of: Callable[[_T], Hashable]
) -> Iterator[_T]:
    """The order of sending: first tries before repeats. In each the lanes take turns, the longest due first.

    A lane is what must not hold up the others, such as one host. A lane with many entries delays another by one entry.
    """
    ordered = sorted(due, key=lambda entry: owed_of(entry).due_at)
    for repeats in (False, True):
        lanes: dict[Hashable, list[_T]] = {}
        for entry in ordered:
            if (owed_of(entry).tries > 0) is repeats:
                lanes.setdefault(lane_of(entry), []).append(entry)
        for turn in zip_longest(*lanes.values()):
            yield from (entry for entry in turn if entry is not None)
