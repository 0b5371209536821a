"""Every time budget of the app, in seconds. Budgets whose names begin with the same word belong together."""

from __future__ import annotations

from dataclasses import dataclass

# --- a start: Data Factory waits 60 s for the first response

START = 45.0
"""A start answers within this."""
START_STORAGE = 44.0
"""Storage may use this much of START, so that the app can still return an error."""
START_LAST_POST = 15.0
"""No POST to Databricks begins later than this into a start."""
START_POST = 20.0
"""The response to the POST may take this long."""
START_LAST_POST_ENDS = START_LAST_POST + START_POST + 3.0
"""After this no POST of a start can still be in progress. 3 s are for connecting."""
START_KEY_WAIT = 20.0
"""How long a repeat waits for the first request with its Idempotency-Key."""
START_SIGN_IN_LOOK = 3.0
"""A start that meets another one in flight may check this long whether the address returns a sign-in page."""
START_ATTACH_LOOK = 5.0
"""A start that would join a tracked run may ask this long whether its update is active."""
START_TRACK = 40.0
"""Until this time, a failed write of a started update's run is retried."""

MOST_UPDATES_PAGES = 50
"""At most this many pages of a pipeline's updates are read, even if the list has more."""

# --- a sweep: the timer ticks every 15 s

SWEEP = 12.0
"""All workspaces are swept within this. The parts below are counted from its beginning."""
SWEEP_REPORT = 0.3
"""This much of SWEEP is kept for the log line that reports the sweep."""
SWEEP_WORKSPACE = 11.0
"""The sweep of one workspace may use this much of SWEEP."""
SWEEP_CLEANING = 2.0
"""Deleting old rows may use this much of a sweep's work, if twice as much is left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepTimes:
    """When the parts of a sweep end, in seconds from its beginning. The row `sweep|last` is written after its work.

    Calls to Databricks end at `databricks`, and the rest of the work is for storage. The next sweep goes on with a
    list of pipelines that is not complete at `listing`. A page that takes longer than `page` counts as refused; one
    that only had less time is fetched again. A workspace whose turn comes later than `least` before `listing` waits.
    """

    work: float = 10.0
    databricks: float = 9.0
    listing: float = 8.0
    page: float = 4.0
    least: float = 1.0


SWEEP_TIMES = SweepTimes()

# --- a read: callers may give up after 30 s

READ = 8.0
"""The calls of a read to Databricks end within this. Then the stored state is returned, which may be a little old."""
READ_REPEAT_PAUSE = 0.5
"""The pause before a failed observation is retried. There is one retry."""
READ_REPEAT = 3.0
"""An observation is retried only while this much of READ is left."""
READ_WAIT = 2.0
"""A reader waits this long for the observation, or the events, that another reader fetches."""
EVENTS_LAST_PAGE = 1.5
"""A read of a run's events fetches no further page of Databricks after this."""
EVENTS_KEPT = 5.0
"""A process reuses the events that it has read for this long."""
LISTING = 2.0
"""A list of runs returns what it has found within this."""
LISTING_STORAGE = 4.0
"""Calls to storage end within this when all workspaces are listed."""
FAILURE_REASON = 3.0
"""Reading the reason of a failure may take this long, in a read or a sweep."""

# --- a cancel

CANCEL = 20.0
"""Asking Databricks for a stop may take this long. Then a sweep asks."""

# --- callbacks: the timer ticks every 15 s

DELIVERY = 12.0
"""A pass over the due callbacks ends within this. A try in progress then ends on its own."""
DELIVERY_GATHERING = 4.0
"""Reading the due callbacks may use this much of DELIVERY."""
CALLBACK_TRY = 20.0
"""One try to deliver a callback, from the name's resolution to the end of the response.

Standard Webhooks suggests 15 to 30 s: https://www.standardwebhooks.com/
"""
CALLBACK_CONNECT = 5.0
"""Connecting to one address may use this much of CALLBACK_TRY."""

# --- a discovery: callers wait 50 s; a function may run for 5 minutes (host.json)

DISCOVERY_ANSWER = 48.0
"""A discovery over HTTP answers within this."""
DISCOVERY_HTTP = 40.0
"""Calls to Databricks may use this much of a discovery over HTTP, or of a Sync Parameters."""
DISCOVERY_SCHEDULED = 225.0
"""A scheduled discovery may use this for calls to Databricks. The next discovery continues from there."""
DISCOVERY_LEAST = 1.0
"""With less than this left, no call of a discovery begins."""

# --- health

HEALTH_CHECK = 8.0
"""One check of the health response may take this long."""
HEALTH_KEPT = 30.0
"""A health response is reused for this long."""

# --- the keys of the await addresses

AWAIT_KEYS_FIRST = 10.0
"""Reading or creating the keys may take this long for the first time in a process."""
AWAIT_KEYS_KEPT = 60.0
"""A process uses the keys that it has read for this long. Then it reads them again."""
AWAIT_KEYS_REREAD = 3.0
"""Reading them again may take this long. If it fails, the old ones stay in use."""
AWAIT_KEYS_REREAD_EVERY = 3.0
"""An unknown token, or a read that failed, causes one more read only after this long."""
AWAIT_KEYS_ROTATION = 20.0
"""Calls to storage end within this in a rotation."""

# --- single calls, unless a deadline ends them earlier

STORAGE_CONNECT, STORAGE_READ = 3.0, 5.0
STORAGE_RETRIED = 2 * (STORAGE_CONNECT + STORAGE_READ) + 1.0
"""A call to storage is tried only once if less than this is left."""
DATABRICKS_CONNECT, DATABRICKS_READ = 3.0, 10.0
TOKEN_CONNECT, TOKEN_READ = 3, 8
"""One request to Entra ID for a token. azure-identity takes whole seconds."""
TOKEN_AZ = 10
"""One run of the Azure CLI on a laptop."""
