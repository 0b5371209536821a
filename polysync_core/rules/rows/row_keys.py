"""Row keys of the table PolysyncRuns. One partition a workspace, so that every transition is one atomic batch.

Kinds are set apart by their first word; ids hold letters, digits, '-', '_' and one ':', so nothing has to be escaped
(Table Storage refuses / \\ # ? and control characters in keys).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime

from polysync_core.values.errors import FieldProblem, InvalidRequest
from polysync_core.values.ids import RunId

SWEEP_LAST = "sweep|last"
SECRETS_PARTITION, AWAIT_SECRET = "secret|", "secret|await"
"""A partition that no workspace can have, since no host contains '|'."""
STARTING, START, RUN, ACTIVE, RECENT = "starting|", "start|", "run|", "active|", "recent|"
WAITER, CALLBACK = "waiter|", "callback|"
_LAST_MILLISECOND = 99_999_999_999_999


def starting(pipeline_id: str) -> str:
    return f"{STARTING}{pipeline_id}"


def start(pipeline_id: str, idempotency_key: str) -> str:
    """The row of a used key. Only a hash of the key is stored, since a caller may put anything into a key."""
    digest = hashlib.sha256(f"{pipeline_id}\n{idempotency_key}".encode()).hexdigest()
    return f"{START}{digest}"


def run(run_id: RunId) -> str:
    return f"{RUN}{run_id}"


def active(run_id: RunId) -> str:
    return f"{ACTIVE}{run_id}"


def recent(run_id: RunId, accepted_at: datetime) -> str:
    """A key that sorts the newest first. It holds the milliseconds left until the year 5138."""
    return f"{_recent_at(accepted_at)}|{run_id}"


def id_of_recent(key: str) -> str:
    """The text after the time in the key of a `recent` row. It is a run id, unless the row is unreadable."""
    return key.rpartition("|")[2]


def recent_before(instant: datetime) -> str:
    """The key before those of all runs that were accepted before `instant`."""
    return f"{_recent_at(instant)}|~"


def _recent_at(instant: datetime) -> str:
    return f"{RECENT}{_LAST_MILLISECOND - int(instant.timestamp() * 1000):014d}"


def waiter(run_id: RunId, callback_id: str) -> str:
    return f"{WAITER}{run_id}|{callback_id}"


def callback(run_id: RunId, callback_id: str, due_at: datetime) -> str:
    """A key that sorts by the time when the callback is due."""
    return f"{due_until(due_at)[:-1]}{run_id}|{callback_id}"


def due_until(now: datetime) -> str:
    """The first key after those of the callbacks that are due at `now`."""
    return f"{CALLBACK}{int(now.timestamp() * 1000):014d}|~"


def end_of(prefix: str) -> str:
    """The first key after all keys that begin with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


# --- where a listing continues


def encode_continuation(key: str) -> str:
    """The row key after which a listing continues, as opaque text for callers."""
    return base64.urlsafe_b64encode(key.encode("ascii")).decode("ascii")


def decode_continuation(given: str | None, prefix: str) -> str:
    """The row key that a caller brings back ("" for None); InvalidRequest for one that does not begin with `prefix`."""
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
