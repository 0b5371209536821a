"""Row keys of the table PolysyncRuns. Each workspace has one partition, so that every transition is one atomic batch.

The first word of a key names the kind of row. Table Storage refuses / \\ # ? and control characters in keys. Ids hold
only letters, digits, '-', '_' and one ':', so they need no escaping.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime

from polysync_core.values.errors import FieldProblem, InvalidRequest
from polysync_core.values.ids import RunId

SWEEP_LAST = "sweep|last"
SECRETS_PARTITION, AWAIT_SECRET = "secret|", "secret|await"
"""The partition of the app's secrets. No workspace can have it, because a workspace's address holds no '|'."""
STARTING, START, RUN, ACTIVE, RECENT = "starting|", "start|", "run|", "active|", "recent|"
WAITER, CALLBACK = "waiter|", "callback|"
_LAST_MILLISECOND = 99_999_999_999_999


def starting(pipeline_id: str) -> str:
    return f"{STARTING}{pipeline_id}"


def start(pipeline_id: str, idempotency_key: str) -> str:
    """The row key of a used Idempotency-Key. It holds only a hash, because a key may hold a secret."""
    digest = hashlib.sha256(f"{pipeline_id}\n{idempotency_key}".encode()).hexdigest()
    return f"{START}{digest}"


def run(run_id: RunId) -> str:
    return f"{RUN}{run_id}"


def active(run_id: RunId) -> str:
    return f"{ACTIVE}{run_id}"


def recent(run_id: RunId, accepted_at: datetime) -> str:
    """The key of a `recent` row. It holds the milliseconds left until the year 5138, so the newest run sorts first."""
    return f"{_recent_at(accepted_at)}|{run_id}"


def id_of_recent(key: str) -> str:
    """The text of the run id in the key of a `recent` row. It is not checked."""
    return key.rpartition("|")[2]


def recent_before(instant: datetime) -> str:
    """The key that sorts before the `recent` rows of all runs that were accepted before `instant`."""
    return f"{_recent_at(instant)}|~"


def _recent_at(instant: datetime) -> str:
    return _recent_in(_LAST_MILLISECOND - max(0, int(instant.timestamp() * 1000)))


def _recent_in(milliseconds_left: int) -> str:
    return f"{RECENT}{max(0, milliseconds_left):014d}"


def recent_earlier(key: str, seconds: float) -> str:
    """The key after those of all runs that were accepted up to `seconds` before the run of the key `key`."""
    return f"{_recent_in(int(key[len(RECENT) :].partition('|')[0]) + int(seconds * 1000))}|~"


def waiter(run_id: RunId, callback_id: str) -> str:
    return f"{WAITER}{run_id}|{callback_id}"


def callback(run_id: RunId, callback_id: str, due_at: datetime) -> str:
    """The key of a callback row. The rows sort by their due time."""
    return f"{due_until(due_at)[:-1]}{run_id}|{callback_id}"


def due_until(now: datetime) -> str:
    """The key that sorts after all callbacks that are due at `now`."""
    return f"{CALLBACK}{int(now.timestamp() * 1000):014d}|~"


def end_of(prefix: str) -> str:
    """The first key after all keys that begin with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


# --- continuations


def encode_continuation(key: str) -> str:
    """Return the row key after which a list continues, as opaque text for callers."""
    return base64.urlsafe_b64encode(key.encode("ascii")).decode("ascii")


def decode_continuation(given: str | None, prefix: str) -> str:
    """Return the row key that a caller sent back ("" for None). Raises InvalidRequest if it lacks the `prefix`."""
    if given is None:
        return ""
    try:
        key = base64.urlsafe_b64decode(given.encode("ascii")).decode("ascii")
    except ValueError:
        key = ""
    if not key.startswith(prefix):
        raise InvalidRequest(
            FieldProblem(field="continuation", allowed="must be the continuation of an earlier answer")
        )
    return key
