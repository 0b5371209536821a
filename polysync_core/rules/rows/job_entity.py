"""Job <-> columns of a row of PolysyncJobs (PartitionKey: workspace, RowKey: `job|{pipeline_id}`).

The imported columns are written by discoveries, always by merge. `fullRefresh` and `fullRefreshDirection` are written
by set_parameter alone, also by merge: so neither ever undoes the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from polysync_core.rules.rows.columns import PIECE, Columns, Row, dump, without_nones
from polysync_core.values.errors import JobTooLarge, RowUnreadable
from polysync_core.values.ids import is_id
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

JOB, DISCOVERY_LAST = "job|", "discovery|last"
DEFAULTS_COLUMNS = ["name", "fullRefresh", "fullRefreshDirection"]
_HIDDEN = "hidden"
_WRONG_KIND = "The parameters of a stored job are of the wrong kind."
MAX_PIECES = 14
"""With its other columns a row stays under 1 MiB at two bytes a character."""


def job_key(pipeline_id: str) -> str:
    """Pipeline ids hold letters, digits, '-' and '_' only, so nothing has to be escaped."""
    return f"{JOB}{pipeline_id}"


def encode_job(job: Job, pieces_before: int = 0) -> Columns:
    """The imported columns. `pieces_before`: how many pieces the row has; those not needed any more are emptied.

    Parameters are JSON in ASCII, so that a character is one UTF-16 unit. JobTooLarge when they fit in no row.
    """
    text = json.dumps(dict(job.parameters), default=_encode_hidden, separators=(",", ":"))
    pieces = [text[begin : begin + PIECE] for begin in range(0, len(text), PIECE)]
    if len(pieces) > MAX_PIECES:
        raise JobTooLarge(
            f"The parameters of pipeline {job.pipeline_id} take {len(text)} characters; {MAX_PIECES * PIECE} fit. "
            "Narrow the setting POLYSYNC_PARAMETERS."
        )
    columns: Columns = {
        "pipelineId": job.pipeline_id,
        "workspace": job.workspace,
        "name": job.name,
        "accessible": job.accessible,
        "importedAt": job.imported_at,
        "syncedAt": job.synced_at,
        "pieces": len(pieces),
    }
    for number, piece in enumerate([*pieces, *[""] * (pieces_before - len(pieces))]):
        columns[f"parameters{number}"] = piece
    return without_nones(columns)


def decode_job(columns: Mapping[str, object]) -> Job:
    """Read a row; RowUnreadable names the column that is missing or of the wrong kind.

    The user's own columns, where they are spoilt, count as not set: they are PUT's to write, and PUT heals them.
    """
    row = Row(columns)
    try:
        full_refresh = decode_full_refresh(columns)
    except RowUnreadable:
        full_refresh = None
    return Job(
        workspace=row.need("workspace", str),
        pipeline_id=row.need("pipelineId", str),
        name=row.get("name", str),
        accessible=row.need("accessible", bool),
        imported_at=row.instant("importedAt"),
        synced_at=row.instant_or_none("syncedAt"),
        parameters=_decode_parameters(row),
        full_refresh=full_refresh,
    )


def _encode_hidden(value: HiddenValue) -> dict[str, str]:
    return {_HIDDEN: value.digest}


def _decode_parameters(row: Row) -> dict[str, ImportedValue]:
    text = "".join(row.need(f"parameters{number}", str) for number in range(row.need("pieces", int)))
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise RowUnreadable("The parameters of a stored job are no JSON.") from wrong
    if not isinstance(found, dict):
        raise RowUnreadable(_WRONG_KIND)
    return {name: _decode_value(value) for name, value in found.items()}


def _decode_value(value: object) -> ImportedValue:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict) and value.keys() == {_HIDDEN} and isinstance(value[_HIDDEN], str):
        return HiddenValue(value[_HIDDEN])
    raise RowUnreadable(_WRONG_KIND)


def encode_full_refresh(full_refresh: FullRefresh) -> Columns:
    """The columns that are the user's, and no others."""
    return {"fullRefresh": full_refresh.value, "fullRefreshDirection": full_refresh.direction.value}


def decode_full_refresh(columns: Mapping[str, object]) -> FullRefresh | None:
    row = Row(columns)
    value, direction = row.get("fullRefresh", bool), row.get("fullRefreshDirection", str)
    if value is None and direction is None:
        return None
    if value is None or direction not in set(Direction):
        raise RowUnreadable("The full_refresh of a stored job is not as PUT writes it.")
    return FullRefresh(value=value, direction=Direction(direction))


def decode_defaults(columns: Mapping[str, object]) -> JobDefaults:
    """What a start needs, whatever is wrong with the other columns. RowUnreadable when the user's own are spoilt."""
    name = columns.get("name")
    return JobDefaults(name=name if isinstance(name, str) else None, full_refresh=decode_full_refresh(columns))


def pieces_of(columns: Mapping[str, object]) -> int:
    """How many pieces a row has, also one that cannot be read."""
    return sum(1 for number in range(MAX_PIECES + 1) if columns.get(f"parameters{number}") is not None)


# --- the row `discovery|last`


def encode_last_discovery(last: LastDiscovery | None, tally: Tally) -> Columns:
    """What a discovery that came to its end writes: its counts, and when all jobs were in step."""
    columns: Columns = {"report": dump(asdict(tally))}
    if last is not None:
        columns["discoveredAt"] = last.discovered_at
        columns["notSynced"] = dump(_encode_instants(last.not_synced))
    return columns


def encode_under_way(under_way: DiscoveryPass | None) -> Columns:
    """Where the scheduled discovery goes on; "" when nothing is left of it."""
    return {"underWay": "" if under_way is None else dump(encode_pass(under_way))}


def decode_discoveries(columns: Mapping[str, object]) -> Discoveries:
    row = Row(columns)
    last = under_way = None
    try:
        if "discoveredAt" in columns:
            not_synced = _decode_instants(row.json("notSynced", dict))
            last = LastDiscovery(discovered_at=row.instant("discoveredAt"), not_synced=not_synced)
        if row.get("underWay", str):
            under_way = decode_pass(row.json("underWay", dict))
    except (ValueError, TypeError, KeyError) as wrong:
        raise RowUnreadable(f"The row of the last discovery cannot be read: {type(wrong).__name__}.") from wrong
    return Discoveries(last=last, under_way=under_way)


def encode_pass(under_way: DiscoveryPass) -> dict[str, object]:
    """A discovery under way as JSON; also what a caller carries from one call to the next."""
    tally = under_way.tally
    return {
        "beganAt": under_way.began_at.isoformat(),
        "pageToken": under_way.page_token,
        "after": under_way.after,
        "jobs": _encode_counts(tally.jobs),
        "parameters": _encode_counts(tally.parameters),
        "failed": tally.failed,
        "notSynced": _encode_instants(under_way.not_synced),
    }


def decode_pass(given: JsonObject) -> DiscoveryPass:
    """ValueError, TypeError or KeyError when `given` was not made by encode_pass."""
    page_token, after, failed = given["pageToken"], given["after"], given["failed"]
    if not isinstance(page_token, str | None) or not isinstance(after, str) or type(failed) is not int:
        raise TypeError("of the wrong kind")
    if after and not is_id(after):
        raise ValueError("after is no pipeline id")
    return DiscoveryPass(
        began_at=_instant(given["beganAt"]),
        page_token=page_token,
        after=after,
        tally=Tally(jobs=_decode_counts(given["jobs"]), parameters=_decode_counts(given["parameters"]), failed=failed),
        not_synced=_decode_instants(given["notSynced"]),
    )


def _encode_counts(counts: Counts) -> list[int]:
    return [counts.added, counts.changed, counts.removed, counts.unchanged]


def _decode_counts(given: object) -> Counts:
    if not isinstance(given, Sequence) or len(given) != 4 or not all(type(count) is int for count in given):
        raise TypeError("of the wrong kind")
    added, changed, removed, unchanged = given
    return Counts(added=added, changed=changed, removed=removed, unchanged=unchanged)


def _encode_instants(instants: Mapping[str, datetime | None]) -> dict[str, str | None]:
    return {job: None if instant is None else instant.isoformat() for job, instant in instants.items()}


def _decode_instants(given: object) -> dict[str, datetime | None]:
    if not isinstance(given, dict):
        raise TypeError("of the wrong kind")
    return {job: None if instant is None else _instant(instant) for job, instant in given.items()}


def _instant(given: object) -> datetime:
    if not isinstance(given, str):
        raise TypeError("of the wrong kind")
    instant = datetime.fromisoformat(given)
    if instant.tzinfo is None:
        raise ValueError("no time zone")
    return instant
