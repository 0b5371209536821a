"""Run <-> table columns. The same columns stand in the rows `run`, `active` and `recent`, so each is read alone.

Only facts are read back; what follows from them (status, isFinished) is stored for filters and never decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, TypeAdapter

from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.rows.callback_entity import decode_callback, decode_waiter, encode_callback, encode_waiter
from polysync_core.rules.rows.columns import PIECE as _PIECE
from polysync_core.rules.rows.columns import Columns
from polysync_core.rules.rows.columns import Row as _Row
from polysync_core.rules.rows.columns import dump as _dump
from polysync_core.rules.rows.columns import without_nones as _without_nones
from polysync_core.rules.rows.row_keys import START
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.ids import RunId, is_id
from polysync_core.values.run import NEVER, Attempt, LastSweep, Reservation, Run, RunError, SweepReport, UsedKey

_T = TypeVar("_T")


def _checked_id(text: str) -> str:
    if not is_id(text):
        raise ValueError("no id")
    return text


MOST_SHOWN_KEYS, MAX_SHOWN_KEY = 20, 200


class _AttemptColumn(BaseModel):
    """An attempt as it stands in the column `attempts`."""

    updateId: Annotated[str, AfterValidator(_checked_id)]  # noqa: N815
    state: str | None
    cause: str | None
    createdAt: AwareDatetime | None  # noqa: N815

    def value(self) -> Attempt:
        return Attempt(update_id=self.updateId, state=self.state, cause=self.cause, created_at=self.createdAt)


_ATTEMPTS = TypeAdapter(tuple[_AttemptColumn, ...])
_ERROR = TypeAdapter(RunError)
_NAMES = TypeAdapter(tuple[str, ...])
_NOT_SEEN = TypeAdapter(dict[AwareDatetime, tuple[str, ...]] | tuple[str, ...])
"""Ids by when they were last seen; a version before this one wrote ids alone."""
_REPORT = TypeAdapter(SweepReport)


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
        "callbacks": _dump([encode_callback(callback) for callback in run.callbacks]) if run.callbacks else None,
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
        callbacks = row.json("callbacks", list) if "callbacks" in columns else []
        attempts = tuple(entry.value() for entry in row.parse("attempts", _ATTEMPTS))
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
            ignored_parameters=row.parse("ignoredParameters", _NAMES),
            started_at=row.instant_or_none("startedAt"),
            finished_at=row.instant_or_none("finishedAt"),
            missing_since=row.instant_or_none("missingSince"),
            cancel_requested_at=row.instant_or_none("cancelRequestedAt"),
            attached=row.need("attached", bool),
            error=row.parse("error", _ERROR) if "error" in columns else None,
            callbacks=tuple(decode_callback(entry) for entry in callbacks),
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
            **({} if reservation.waiter is None else encode_waiter(reservation.waiter)),
            "pipelineName": reservation.pipeline_name,
        }
    )


def decode_reservation(columns: Mapping[str, object]) -> Reservation:
    row = _Row(columns)
    pipeline_id = row.need("pipelineId", str)
    if not is_id(pipeline_id):
        raise RowUnreadable("A row of a start names no pipeline.")
    return Reservation(
        pipeline_id=pipeline_id,
        workspace=row.need("workspace", str),
        owner=row.need("owner", str),
        reserved_at=row.instant("reservedAt"),
        full_refresh=row.need("fullRefresh", bool),
        ignored_parameters=row.parse("ignoredParameters", _NAMES),
        timeout_at=row.instant_or_none("timeoutAt"),
        follow_retries=row.get("followRetries", bool) or False,
        start_row=row.get("startRow", str),
        waiter=decode_waiter(columns),
        pipeline_name=row.get("pipelineName", str),
    )


def salvage_reservations(
    columns: Mapping[str, object], *, workspace: str, pipeline_id: str, written_at: datetime
) -> tuple[Reservation, ...]:
    """What a row of a start that cannot be read as a whole still tells; one for each full_refresh it may have had.

    Where it does not tell when it was made, `written_at`, its last writing, stands for that.
    """
    row = _Row(columns)
    full_refresh = _readable(lambda: row.get("fullRefresh", bool))
    start_row = _readable(lambda: row.get("startRow", str))
    salvaged = Reservation(
        workspace=workspace,
        pipeline_id=pipeline_id,
        owner=_readable(lambda: row.get("owner", str)) or "",
        reserved_at=_readable(lambda: row.instant_or_none("reservedAt")) or written_at,
        full_refresh=full_refresh or False,
        follow_retries=_readable(lambda: row.get("followRetries", bool)) or False,
        start_row=start_row if start_row is not None and start_row.startswith(START) else None,
        waiter=_readable(lambda: decode_waiter(columns)),
    )
    return (salvaged,) if full_refresh is not None else (salvaged, replace(salvaged, full_refresh=True))


def _readable(read: Callable[[], _T | None]) -> _T | None:
    try:
        return read()
    except RowUnreadable:
        return None


def encode_used_key(used: UsedKey) -> Columns:
    return _without_nones(
        {
            "fingerprint": used.fingerprint,
            "owner": used.owner,
            "usedAt": used.used_at,
            "runId": None if used.run_id is None else str(used.run_id),
            "attached": used.attached,
            "callbackId": used.callback_id,
        }
    )


def decode_used_key(columns: Mapping[str, object]) -> UsedKey:
    row = _Row(columns)
    try:
        run_id = None if (text := row.get("runId", str)) is None else RunId.parse(text)
    except ValueError as wrong:
        raise RowUnreadable("A row of a used key names no run.") from wrong
    return UsedKey(
        fingerprint=row.need("fingerprint", str),
        owner=row.need("owner", str),
        used_at=row.instant("usedAt"),
        run_id=run_id,
        attached=row.get("attached", bool) or False,
        callback_id=row.get("callbackId", str),
    )


def encode_last_sweep(last: LastSweep) -> Columns:
    columns = _without_nones(
        {
            "sweptAt": last.swept_at,
            "report": _dump(asdict(last.report)),
            "setAside": _dump([key[:MAX_SHOWN_KEY] for key in last.unreadable[:MOST_SHOWN_KEYS]]),
            "settledAfter": last.settled_after,
            "healedAfter": last.healed_after,
            "pages": last.pages,
            "pagesCountedAt": last.pages_counted_at,
            "roundBeganAt": last.round_began_at,
            "roundCursor": last.round_cursor,
            "blindSince": last.blind_since,
            "cleanedAt": last.cleaned_at,
            "cleanedKeysAfter": last.cleaned_keys_after,
        }
    )
    not_seen = _dump(_encode_not_seen(last.not_seen))
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
            report=row.parse("report", _REPORT),
            not_seen=_decode_not_seen("".join(pieces)),
            unreadable=row.parse("setAside", _NAMES),
            settled_after=row.get("settledAfter", str) or "",
            healed_after=row.get("healedAfter", str) or "",
            pages=row.get("pages", int),
            pages_counted_at=row.instant_or_none("pagesCountedAt"),
            round_began_at=row.instant_or_none("roundBeganAt"),
            round_cursor=row.get("roundCursor", str) or "",
            blind_since=row.instant_or_none("blindSince"),
            cleaned_at=row.instant_or_none("cleanedAt"),
            cleaned_keys_after=row.get("cleanedKeysAfter", str) or "",
        )
    except (ValueError, TypeError) as wrong:
        raise RowUnreadable(f"The row of the last sweep cannot be read: {type(wrong).__name__}.") from wrong


def _encode_not_seen(not_seen: Mapping[str, datetime]) -> Mapping[str, list[str]]:
    """By the time, which most of them share: a thousand ids fill the columns."""
    by_time: dict[str, list[str]] = {}
    for run_id, seen_at in sorted(not_seen.items()):
        by_time.setdefault(seen_at.isoformat(), []).append(run_id)
    return by_time


def _decode_not_seen(text: str) -> Mapping[str, datetime]:
    found = _NOT_SEEN.validate_json(text or "{}", strict=True)
    if isinstance(found, tuple):
        return dict.fromkeys(found, NEVER)
    return {run_id: seen_at for seen_at, run_ids in found.items() for run_id in run_ids}


def _encode_attempt(attempt: Attempt) -> Columns:
    return {
        "updateId": attempt.update_id,
        "state": attempt.state,
        "cause": attempt.cause,
        "createdAt": None if attempt.created_at is None else attempt.created_at.isoformat(),
    }
