"""Every time budget of the app, in seconds. Those whose names begin with the same word belong together."""

from __future__ import annotations

# --- a start: Data Factory waits 60 s for the first response

START = 45.0
"""A start answers within this."""
START_STORAGE = 44.0
"""Storage may use this much of it, so that an error can still be answered."""
START_LAST_POST = 15.0
"""No POST to Databricks begins later than this into a start."""
START_POST = 20.0
"""How long the answer to the POST may take."""
START_LAST_POST_ENDS = START_LAST_POST + START_POST + 3.0
"""After this no POST of a start can be under way; 3 s are for connecting."""
START_KEY_WAIT = 20.0
"""How long a repeat waits for the first request with its Idempotency-Key."""
START_SIGN_IN_LOOK = 3.0
"""A start that meets another one in flight may ask this long whether the address answers with a sign-in page."""
START_ATTACH_LOOK = 5.0
"""A start that would join a tracked run may ask this long whether its update is active."""
START_TRACK = 40.0
"""Until then storage is asked again to take the run of a started update."""

MOST_UPDATES_PAGES = 50
"""At most this many pages of a pipeline's updates are read, where none of them ends the listing."""

# --- a sweep: the timer ticks every 15 s

SWEEP = 12.0
"""All workspaces are swept side by side within this."""
SWEEP_REPORT = 0.3
"""This much of it is kept for the line that reports the sweep."""
SWEEP_WORKSPACE = 11.0
"""A workspace may use this much of it."""
SWEEP_WORK = 10.0
"""Work may use this much of that, so that the `sweep|last` row can still be written."""
SWEEP_DATABRICKS = 9.0
"""Calls to Databricks may use this much of that; the rest is for storage."""
SWEEP_LISTING = 4.0
"""Listing the pipelines may use this much of that. A slower listing is abandoned for single looks."""
SWEEP_CLEANING = 2.0
"""Deleting old rows may use this much of SWEEP_WORK, if twice as much is left."""

# --- a read: callers may give up after 30 s

READ = 8.0
"""A read may ask Databricks for this long. A state that is a little old is better than none."""
READ_REPEAT_PAUSE = 0.5
"""The pause before a failed look is repeated, once."""
READ_REPEAT = 3.0
"""A look is repeated only while this much of READ is left."""
READ_WAIT = 2.0
"""How long a reader waits for the look of another one."""
FAILURE_REASON = 3.0
"""Reading the reason of a failure may take this long, in a read or a sweep."""

# --- a cancel

CANCEL = 20.0
"""Asking Databricks for a stop may take this long; then the sweep asks."""

# --- callbacks: the timer ticks every 15 s

DELIVERY = 12.0
"""A pass over the due callbacks ends within this. A try under way then ends by itself."""
DELIVERY_GATHERING = 4.0
"""Reading what is due may use this much of it."""
CALLBACK_TRY = 20.0
"""One try to deliver a callback, from the name's resolution to the end of the answer."""
CALLBACK_CONNECT = 5.0
"""Connecting may use this much of it, for each address."""

# --- a discovery: callers wait 50 s; a function may run for 5 minutes (host.json)

DISCOVERY_ANSWER = 48.0
"""A discovery over HTTP answers within this."""
DISCOVERY_HTTP = 40.0
"""Calls to Databricks may use this much of it, and of a Sync Parameters."""
DISCOVERY_SCHEDULED = 225.0
"""A scheduled discovery may use this for calls to Databricks; the next one goes on from there."""
DISCOVERY_LEAST = 1.0
"""With less than this left, no call of a discovery begins."""

# --- health

HEALTH_CHECK = 8.0
"""One line of the health answer may take this long."""
HEALTH_KEPT = 30.0
"""An answer of health is reused for this long."""

# --- single calls, unless a deadline ends them earlier

STORAGE_CONNECT, STORAGE_READ = 3.0, 5.0
STORAGE_RETRIED = 2 * (STORAGE_CONNECT + STORAGE_READ) + 1.0
"""A call to storage that has less than this left is tried once."""
AWAIT_SECRET = 10.0
"""Reading or making the key of the await tokens, once a process."""
DATABRICKS_CONNECT, DATABRICKS_READ = 3.0, 10.0
TOKEN_CONNECT, TOKEN_READ = 3, 8
"""One question to Entra ID for a token; azure-identity takes whole seconds."""
TOKEN_AZ = 10
"""One run of the Azure CLI on a laptop."""
