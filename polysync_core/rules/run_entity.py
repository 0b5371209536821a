"""Run <-> table columns. The same columns stand in the rows `run`, `active` and `recent`, so each is read alone.

Only facts are read back; what follows from them (status, isFinished) is stored for filters and never decoded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TypeVar

from polysync_core.errors import RowUnreadable
from polysync_core.model import Attempt, LastSweep, Reservation, Run, RunError, RunId, SweepReport, UsedKey
from polysync_core.rules.run_states import status_of_run

Columns = dict[str, object]
_T = TypeVar("_T")
_PIECE = 32_000
"""Characters a column: Table Storage holds 32,768 UTF-16 units, https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model"""


def encode_run(run: Run) -> Columns:
    columns: Columns = {
        "runId": str(run.run_id),
        "pipelineId": run.run_id.pipeline_id,
        "workspace": run.workspace,
        "status": status_of_run(run).value,
        "isFinished": run.is_finished,
        "acceptedAt": run.accepted_at,
        "seenAt": run.seen_at,
        "updatedAt": run.updated_at,
        "attached": run.attached,
        "attempts": _dump([_encode_attempt(attempt) for attempt in run.attempts]),
        "ignoredParameters": _dump(run.ignored_parameters),
        "fullRefresh": run.full_refresh,
        "pipelineName": run.pipeline_name,
        "startedAt": run.started_at,
        "finishedAt": run.finished_at,
        "missingSince": run.missing_since,
        "cancelRequestedAt": run.cancel_requested_at,
        "error": None if run.error is None else _dump(asdict(run.error)),
        "stateSince": run.state_since,
        "timeoutAt": run.timeout_at,
        "followRetries": run.follow_retries,
        "retryAwaitedSince": run.retry_awaited_since,
        "retriedAs": run.retried_as,
    }
    return _without_nones(columns)


def decode_run(columns: Mapping[str, object]) -> Run:
    """Read a row; RowUnreadable names the column that is missing or of the wrong kind."""
    row = _Row(columns)
    try:
        error = row.json("error", dict) if "error" in columns else None
        attempts = tuple(_decode_attempt(entry) for entry in row.json("attempts", list))
        if not attempts:
            raise ValueError("a run without an update")
        return Run(
            run_id=RunId.parse(row.need("runId", str)),
            workspace=row.need("workspace", str),
            full_refresh=row.get("fullRefresh", bool),
            accepted_at=row.instant("acceptedAt"),
            seen_at=row.instant("seenAt"),
            updated_at=row.instant("updatedAt"),
            attempts=attempts,
            pipeline_name=row.get("pipelineName", str),
            ignored_parameters=tuple(row.json("ignoredParameters", list)),
            started_at=row.instant_or_none("startedAt"),
            finished_at=row.instant_or_none("finishedAt"),
            missing_since=row.instant_or_none("missingSince"),
            cancel_requested_at=row.instant_or_none("cancelRequestedAt"),
            attached=row.need("attached", bool),
            error=None if error is None else RunError(**error),
            state_since=row.instant_or_none("stateSince"),
            timeout_at=row.instant_or_none("timeoutAt"),
            follow_retries=row.get("followRetries", bool) or False,
            retry_awaited_since=row.instant_or_none("retryAwaitedSince"),
            retried_as=row.get("retriedAs", str),
        )
    except (ValueError, TypeError, KeyError, IndexError) as wrong:
        raise RowUnreadable(f"A row of a run cannot be read: {type(wrong).__name__}.") from wrong


def encode_reservation(reservation: Reservation) -> Columns:
    return _without_nones(
        {
            "pipelineId": reservation.pipeline_id,
            "workspace": reservation.workspace,
            "owner": reservation.owner,
            "reservedAt": reservation.reserved_at,
            "fullRefresh": reservation.full_refresh,
            "ignoredParameters": _dump(reservation.ignored_parameters),
            "timeoutAt": reservation.timeout_at,
            "followRetries": reservation.follow_retries,
            "startRow": reservation.start_row,
        }
    )


def decode_reservation(columns: Mapping[str, object]) -> Reservation:
    row = _Row(columns)
    return Reservation(
        pipeline_id=row.need("pipelineId", str),
        workspace=row.need("workspace", str),
        owner=row.need("owner", str),
        reserved_at=row.instant("reservedAt"),
        full_refresh=row.need("fullRefresh", bool),
        ignored_parameters=tuple(row.json("ignoredParameters", list)),
        timeout_at=row.instant_or_none("timeoutAt"),
        follow_retries=row.get("followRetries", bool) or False,
        start_row=row.get("startRow", str),
    )


def encode_used_key(used: UsedKey) -> Columns:
    return _without_nones(
        {
            "fingerprint": used.fingerprint,
            "owner": used.owner,
            "usedAt": used.used_at,
            "runId": None if used.run_id is None else str(used.run_id),
            "attached": used.attached,
        }
    )


def decode_used_key(columns: Mapping[str, object]) -> UsedKey:
    row = _Row(columns)
    run_id = row.get("runId", str)
    return UsedKey(
        fingerprint=row.need("fingerprint", str),
        owner=row.need("owner", str),
        used_at=row.instant("usedAt"),
        run_id=None if run_id is None else RunId.parse(run_id),
        attached=row.get("attached", bool) or False,
    )


def encode_last_sweep(last: LastSweep) -> Columns:
    columns = _without_nones(
        {
            "sweptAt": last.swept_at,
            "report": _dump(asdict(last.report)),
            "setAside": _dump(last.set_aside[:100]),
            "pages": last.pages,
            "pagesCountedAt": last.pages_counted_at,
            "roundBeganAt": last.round_began_at,
            "roundCursor": last.round_cursor,
            "cleanedAt": last.cleaned_at,
            "cleanedKeysAfter": last.cleaned_keys_after,
        }
    )
    not_seen = _dump(sorted(last.not_seen))
    for number, begin in enumerate(range(0, len(not_seen), _PIECE)):
        columns[f"notSeen{number}"] = not_seen[begin : begin + _PIECE]
    return columns


def decode_last_sweep(columns: Mapping[str, object]) -> LastSweep:
    row = _Row(columns)
    pieces: list[str] = []
    while (piece := row.get(f"notSeen{len(pieces)}", str)) is not None:
        pieces.append(piece)
    try:
        return LastSweep(
            swept_at=row.instant("sweptAt"),
            report=SweepReport(**row.json("report", dict)),
            not_seen=frozenset(json.loads("".join(pieces) or "[]")),
            set_aside=tuple(row.json("setAside", list)),
            pages=row.get("pages", int),
            pages_counted_at=row.instant_or_none("pagesCountedAt"),
            round_began_at=row.instant_or_none("roundBeganAt"),
            round_cursor=row.get("roundCursor", str) or "",
            cleaned_at=row.instant_or_none("cleanedAt"),
            cleaned_keys_after=row.get("cleanedKeysAfter", str) or "",
        )
    except (ValueError, TypeError) as wrong:
        raise RowUnreadable(f"The row of the last sweep cannot be read: {type(wrong).__name__}.") from wrong


def _encode_attempt(attempt: Attempt) -> Columns:
    return {
        "updateId": attempt.update_id,
        "state": attempt.state,
        "cause": attempt.cause,
        "createdAt": None if attempt.created_at is None else attempt.created_at.isoformat(),
    }


def _decode_attempt(entry: Mapping[str, str | None]) -> Attempt:
    created_at = entry["createdAt"]
    update_id = entry["updateId"]
    if not isinstance(update_id, str):
        raise TypeError("updateId")
    return Attempt(
        update_id=update_id,
        state=entry["state"],
        cause=entry["cause"],
        created_at=None if created_at is None else datetime.fromisoformat(created_at),
    )


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _without_nones(columns: Columns) -> Columns:
    return {name: value for name, value in columns.items() if value is not None}


class _Row:
    """Typed access to columns that somebody may have spoilt."""

    def __init__(self, columns: Mapping[str, object]) -> None:
        self._columns = columns

    def get(self, name: str, kind: type[_T]) -> _T | None:
        value = self._columns.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise RowUnreadable(f"The column {name} of a stored row is of the wrong kind.")
        return value

    def need(self, name: str, kind: type[_T]) -> _T:
        value = self.get(name, kind)
        if value is None:
            raise RowUnreadable(f"The column {name} of a stored row is missing.")
        return value

    def instant(self, name: str) -> datetime:
        """A plain aware UTC datetime (the library's own subclass compares by its ticks only)."""
        return _plain(self.need(name, datetime))

    def instant_or_none(self, name: str) -> datetime | None:
        value = self.get(name, datetime)
        return None if value is None else _plain(value)

    def json(self, name: str, kind: type[_T]) -> _T:
        try:
            value = json.loads(self.need(name, str))
        except (ValueError, RecursionError) as wrong:
            raise RowUnreadable(f"The column {name} of a stored row is no JSON.") from wrong
        if not isinstance(value, kind):
            raise RowUnreadable(f"The column {name} of a stored row is of the wrong kind.")
        return value


def _plain(value: datetime) -> datetime:
    value = value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.fromtimestamp(0, UTC) + (value - datetime.fromtimestamp(0, UTC))
