"""The rows of runs and starts. The rows `run` and `recent` have the same columns, and `active` has the run as JSON.

Each of the three is read on its own. A sweep reads every `active` row, and one column of JSON takes a fifth of the time
of twenty columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.rows.callback_entity import CALLBACK, WAITER
from polysync_core.rules.rows.pieces import cut, uncut
from polysync_core.rules.rows.row_of import ID, Codec, Columns, RowOf, codec_of, dump, list_of
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.run import (
    Attempt,
    LastSweep,
    ListingMemory,
    Reservation,
    Run,
    UpkeepCursor,
    UsedKey,
)

_ATTEMPT = RowOf(Attempt, codecs={"update_id": ID}, in_json=True)
_ATTEMPTS = list_of(_ATTEMPT)


def _decode_attempts(text: object) -> tuple[Attempt, ...]:
    attempts: tuple[Attempt, ...] = _ATTEMPTS.decode(text)
    if not attempts:
        raise ValueError("a run without an update")
    return attempts


RUN = RowOf(
    Run,
    codecs={"attempts": Codec(_ATTEMPTS.encode, _decode_attempts), "callbacks": list_of(CALLBACK)},
    leave_out_empty=("callbacks", "options"),
    derived={
        "pipelineId": lambda run: run.run_id.pipeline_id,
        "status": lambda run: status_of_run(run).value,
        "isFinished": lambda run: run.is_finished,
    },
    beside=("writeId",),
)
_RUN_IN_JSON = RowOf(
    Run,
    codecs={"attempts": list_of(_ATTEMPT, in_json=True), "callbacks": list_of(CALLBACK, in_json=True)},
    leave_out_empty=("callbacks", "ignored_parameters", "options"),
    in_json=True,
)
RESERVATION = RowOf(Reservation, codecs={"pipeline_id": ID}, inline={"waiter": WAITER}, leave_out_empty=("options",))
USED_KEY = RowOf(UsedKey)
_LAST_SWEEP = RowOf(
    LastSweep, given=("not_seen", "no_answer"), inline={"listing": RowOf(ListingMemory), "upkeep": RowOf(UpkeepCursor)}
)
_INSTANT, _NAMES = codec_of(datetime, in_json=True), codec_of(tuple[str, ...], in_json=True)


def encode_active(run: Run) -> Columns:
    """Return the columns of an `active` row."""
    return cut("run", dump({name: value for name, value in _RUN_IN_JSON.encode(run).items() if value is not None}))


def decode_active(columns: Mapping[str, object]) -> Run:
    """Read an `active` row. Raises RowUnreadable."""
    try:
        members = json.loads(uncut("run", columns))
    except (ValueError, TypeError, RecursionError) as wrong:
        raise RowUnreadable("The columns run0 … of a stored row cannot be read.") from wrong
    if not isinstance(members, dict):
        raise RowUnreadable("The columns run0 … of a stored row hold no object.")
    run = _RUN_IN_JSON.decode(members)
    if not run.attempts:
        raise RowUnreadable("A stored row holds a run without an update.")
    return run


def encode_last_sweep(last: LastSweep) -> Columns:
    """Return all columns. The ids of `not_seen` are grouped by time, because most share one and a column is limited."""
    by_time: dict[str, list[str]] = {}
    for run_id, seen_at in sorted(last.not_seen.items()):
        by_time.setdefault(seen_at.isoformat(), []).append(run_id)
    return (
        _LAST_SWEEP.encode(last)
        | cut("notSeen", dump(by_time))
        | (cut("noAnswer", dump(last.no_answer)) if last.no_answer else {})
    )


def decode_last_sweep(columns: Mapping[str, object]) -> LastSweep:
    """Read the row `sweep|last`. Raises RowUnreadable."""
    try:
        by_time = json.loads(uncut("notSeen", columns) or "{}")
        not_seen = {
            run_id: _INSTANT.decode(time) for time, run_ids in by_time.items() for run_id in _NAMES.decode(run_ids)
        }
        no_answer = _NAMES.decode(json.loads(uncut("noAnswer", columns) or "[]"))
    except (ValueError, TypeError, AttributeError, RecursionError) as wrong:
        raise RowUnreadable("The columns notSeen or noAnswer of a stored row cannot be read.") from wrong
    return _LAST_SWEEP.decode(columns, not_seen=not_seen, no_answer=no_answer)
