"""Encode and decode the rows of PolysyncJobs (PartitionKey: workspace, RowKey: `job|{pipeline_id}`).

Discoveries write the imported columns, always by merge. set_parameter writes `fullRefresh` and `fullRefreshDirection`,
also by merge. So neither overwrites the other's columns. When a removed job is imported again, the discovery also
writes back its old full_refresh.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from polysync_core.rules.rows.pieces import PIECE, cut
from polysync_core.rules.rows.row_of import ID, Codec, Columns, RowOf, codec_of, dump
from polysync_core.values.errors import JobTooLarge, RowUnreadable
from polysync_core.values.job import (
    Counts,
    Direction,
    Discoveries,
    DiscoveryPass,
    FullRefresh,
    HiddenValue,
    ImportedValue,
    Job,
    JobDefaults,
    LastDiscovery,
    Tally,
)
from polysync_core.values.run import JsonObject

JOB, REMOVED, DISCOVERY_LAST = "job|", "removed|", "discovery|last"
DEFAULTS_COLUMNS = ["name", "fullRefresh", "fullRefreshDirection"]
_HIDDEN = "hidden"
MAX_PIECES = 14
"""With this many pieces and its other columns, a row stays under 1 MiB. A character takes two bytes."""
_JOB = RowOf(Job, given=("parameters", "full_refresh"))


def job_key(pipeline_id: str) -> str:
    """Pipeline ids hold letters, digits, '-' and '_' only, so nothing has to be escaped."""
    return f"{JOB}{pipeline_id}"


def encode_job(job: Job, pieces_before: int = 0) -> Columns:
    """Return the imported columns of a job. `pieces_before` is the number of pieces that the row has now.

    Pieces that are no longer needed become empty text. The parameters are JSON in ASCII, so that each character is one
    UTF-16 unit. Raises JobTooLarge when they do not fit into a row.
    """
    text = json.dumps(dict(job.parameters), default=_encode_hidden, separators=(",", ":"))
    pieces = cut("parameters", text)
    if len(pieces) > MAX_PIECES:
        raise JobTooLarge(
            f"The parameters of pipeline {job.pipeline_id} take {len(text)} characters; {MAX_PIECES * PIECE} fit. "
            "Narrow the setting POLYSYNC_PARAMETERS."
        )
    emptied = {f"parameters{number}": "" for number in range(len(pieces), pieces_before)}
    return {**_JOB.encode(job), "pieces": len(pieces), **pieces, **emptied}


def decode_job(columns: Mapping[str, object]) -> Job:
    """Read a row. Raises RowUnreadable, which names what cannot be read.

    The user's columns count as not set when they cannot be read. A PUT of the parameter writes them again.
    """
    try:
        full_refresh = decode_full_refresh(columns)
    except RowUnreadable:
        full_refresh = None
    try:
        count = codec_of(int).decode(columns["pieces"])
        text = "".join(str(columns[f"parameters{number}"]) for number in range(count))
        found = json.loads(text)
        if not isinstance(found, dict):
            raise TypeError("not parameters")
        parameters = {name: _decode_value(value) for name, value in found.items()}
    except (ValueError, TypeError, KeyError, RecursionError) as wrong:
        raise RowUnreadable("The parameters of a stored job cannot be read.") from wrong
    return _JOB.decode(columns, parameters=parameters, full_refresh=full_refresh)


def _encode_hidden(value: HiddenValue) -> dict[str, str]:
    return {_HIDDEN: value.digest}


def _decode_value(value: object) -> ImportedValue:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict) and value.keys() == {_HIDDEN} and isinstance(value[_HIDDEN], str):
        return HiddenValue(value[_HIDDEN])
    raise TypeError("not a parameter's value")


def encode_full_refresh(full_refresh: FullRefresh) -> Columns:
    """Return only the columns that the user sets."""
    return {"fullRefresh": full_refresh.value, "fullRefreshDirection": full_refresh.direction.value}


def decode_full_refresh(columns: Mapping[str, object]) -> FullRefresh | None:
    """Return the full_refresh that the user set, or None if none is set. Raises RowUnreadable."""
    value, direction = columns.get("fullRefresh"), columns.get("fullRefreshDirection")
    if value is None and direction is None:
        return None
    if not isinstance(value, bool) or direction not in set(Direction):
        raise RowUnreadable("The full_refresh of a stored job is not as PUT writes it.")
    return FullRefresh(value=value, direction=Direction(str(direction)))


def removed_key(pipeline_id: str) -> str:
    return f"{REMOVED}{pipeline_id}"


def encode_removed(full_refresh: FullRefresh, removed_at: datetime) -> Columns:
    """Return the columns that are kept of a removed job. They are used if its pipeline is imported again."""
    return {**encode_full_refresh(full_refresh), "removedAt": removed_at}


def decode_defaults(columns: Mapping[str, object]) -> JobDefaults:
    """Read what a start needs. Other columns may be unreadable. Raises RowUnreadable for the user's columns."""
    name = columns.get("name")
    return JobDefaults(name=name if isinstance(name, str) else None, full_refresh=decode_full_refresh(columns))


def pieces_of(columns: Mapping[str, object]) -> int:
    """Return the number of pieces of a row. The row may be unreadable."""
    return sum(1 for number in range(MAX_PIECES + 1) if columns.get(f"parameters{number}") is not None)


# --- the row `discovery|last`


def _decode_not_synced(given: object) -> dict[str, datetime | None]:
    if not isinstance(given, dict):
        raise TypeError("not an object")
    return {job: None if instant is None else _INSTANT.decode(instant) for job, instant in given.items()}


def _decode_counts(given: object) -> Counts:
    if not isinstance(given, list) or not all(type(count) is int for count in given):
        raise TypeError("not counts")
    added, changed, removed, unchanged = given
    return Counts(added=added, changed=changed, removed=removed, unchanged=unchanged)


_INSTANT = codec_of(datetime, in_json=True)
_COUNTS = Codec(lambda counts: [counts.added, counts.changed, counts.removed, counts.unchanged], _decode_counts)
_NOT_SYNCED = Codec(
    lambda instants: {job: instant and _INSTANT.encode(instant) for job, instant in instants.items()},
    _decode_not_synced,
)
_ID_OR_NONE = Codec(str, lambda given: given and ID.decode(given))
_PASS = RowOf(
    DiscoveryPass,
    codecs={"not_synced": _NOT_SYNCED, "after": _ID_OR_NONE, "page_after": _ID_OR_NONE},
    inline={"tally": RowOf(Tally, codecs={"jobs": _COUNTS, "parameters": _COUNTS}, in_json=True)},
    in_json=True,
)
_LAST = RowOf(
    LastDiscovery,
    codecs={
        "not_synced": Codec(
            lambda instants: dump(_NOT_SYNCED.encode(instants)), lambda text: _decode_not_synced(json.loads(text))
        )
    },
)


def encode_last_discovery(last: LastDiscovery | None, tally: Tally) -> Columns:
    """Return the columns that a complete discovery writes: its counts, and when all jobs were in sync."""
    return {"report": dump(asdict(tally)), **({} if last is None else _LAST.encode(last))}


def encode_under_way(under_way: DiscoveryPass | None) -> Columns:
    """Return the column with the progress of the scheduled discovery. It is "" when none is in progress."""
    return {"underWay": "" if under_way is None else dump(encode_pass(under_way))}


def decode_discoveries(columns: Mapping[str, object]) -> Discoveries:
    """Read the row `discovery|last`. Raises RowUnreadable."""
    last = _LAST.decode(columns) if columns.get(_LAST.first_column) is not None else None
    try:
        text = columns.get("underWay") or None
        under_way = None if text is None else decode_pass(json.loads(str(text)))
    except (ValueError, RecursionError) as wrong:
        raise RowUnreadable("The column underWay of a stored row cannot be read.") from wrong
    return Discoveries(last=last, under_way=under_way)


def encode_pass(under_way: DiscoveryPass) -> dict[str, object]:
    """Return the progress of a discovery as JSON. A continuation of a caller holds it too."""
    return _PASS.encode(under_way)


def decode_pass(given: JsonObject) -> DiscoveryPass:
    """Read the result of `encode_pass`. Raises ValueError for anything else."""
    try:
        return _PASS.decode(given)
    except (RowUnreadable, AttributeError) as wrong:
        raise ValueError("not a discovery under way") from wrong
