"""Run <-> table columns. The same columns stand in the rows `run`, `active` and `recent`, so each is read alone.

Only facts are read back; what follows from them (status, isFinished) is stored for filters and never decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, TypeAdapter

from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.rows.callback_entity import decode_callback, decode_waiter, encode_callback, encode_waiter
from polysync_core.rules.rows.columns import PIECE, Columns, Row, dump, without_nones
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.ids import RunId, is_id
from polysync_core.values.run import (
    Attempt,
    LastSweep,
    ListingMemory,
    Reservation,
    Run,
    RunError,
    SweepReport,
    UpkeepCursor,
    UsedKey,
)


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
_NOT_SEEN = TypeAdapter(dict[AwareDatetime, tuple[str, ...]])
"""Run ids by the time when they were last seen."""
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
        "attempts": dump([_encode_attempt(attempt) for attempt in run.attempts]),
        "ignoredParameters": dump(run.ignored_parameters),
        "fullRefresh": run.full_refresh,
        "pipelineName": run.pipeline_name,
        "startedAt": run.started_at,
        "finishedAt": run.finished_at,
        "missingSince": run.missing_since,
        "cancelRequestedAt": run.cancel_requested_at,
        "error": None if run.error is None else dump(asdict(run.error)),
        "callbacks": dump([encode_callback(callback) for callback in run.callbacks]) if run.callbacks else None,
        "stateSince": run.state_since,
        "timeoutAt": run.timeout_at,
        "followRetries": run.follow_retries,
        "retryAwaitedSince": run.retry_awaited_since,
        "retriedAs": run.retried_as,
    }
    return without_nones(columns)


def decode_run(columns: Mapping[str, object]) -> Run:
    """Read a row; RowUnreadable names the column that is missing or of the wrong kind."""
    row = Row(columns)
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
    return without_nones(
        {
            "pipelineId": reservation.pipeline_id,
            "owner": reservation.owner,
            "reservedAt": reservation.reserved_at,
            "fullRefresh": reservation.full_refresh,
            "ignoredParameters": dump(reservation.ignored_parameters),
            "timeoutAt": reservation.timeout_at,
            "followRetries": reservation.follow_retries,
            "startRow": reservation.start_row,
            **({} if reservation.waiter is None else encode_waiter(reservation.waiter)),
            "pipelineName": reservation.pipeline_name,
        }
    )


def decode_reservation(columns: Mapping[str, object]) -> Reservation:
    row = Row(columns)
    pipeline_id = row.need("pipelineId", str)
    if not is_id(pipeline_id):
        raise RowUnreadable("A row of a start names no pipeline.")
    return Reservation(
        pipeline_id=pipeline_id,
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


def encode_used_key(used: UsedKey) -> Columns:
    return without_nones(
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
    row = Row(columns)
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
    columns = without_nones(
        {
            "sweptAt": last.swept_at,
            "report": dump(asdict(last.report)),
            "unreadablePipelines": dump([name[:MAX_SHOWN_KEY] for name in last.unreadable_pipelines[:MOST_SHOWN_KEYS]]),
            "settledAfter": last.upkeep.settled_after,
            "pages": last.listing.pages,
            "pagesCountedAt": last.listing.pages_counted_at,
            "roundBeganAt": last.listing.round_began_at,
            "roundCursor": last.listing.round_cursor,
            "blindSince": last.blind_since,
            "cleanedAt": last.upkeep.cleaned_at,
            "cleanedKeysAfter": last.upkeep.cleaned_keys_after,
        }
    )
    not_seen = dump(_encode_not_seen(last.not_seen))
    for number, begin in enumerate(range(0, len(not_seen), PIECE)):
        columns[f"notSeen{number}"] = not_seen[begin : begin + PIECE]
    return columns


def decode_last_sweep(columns: Mapping[str, object]) -> LastSweep:
    row = Row(columns)
    pieces: list[str] = []
    while (piece := row.get(f"notSeen{len(pieces)}", str)) is not None:
        pieces.append(piece)
    try:
        return LastSweep(
            swept_at=row.instant("sweptAt"),
            report=row.parse("report", _REPORT),
            not_seen=_decode_not_seen("".join(pieces)),
            unreadable_pipelines=row.parse("unreadablePipelines", _NAMES),
            blind_since=row.instant_or_none("blindSince"),
            listing=ListingMemory(
                pages=row.get("pages", int),
                pages_counted_at=row.instant_or_none("pagesCountedAt"),
                round_began_at=row.instant_or_none("roundBeganAt"),
                round_cursor=row.get("roundCursor", str) or "",
            ),
            upkeep=UpkeepCursor(
                settled_after=row.get("settledAfter", str) or "",
                cleaned_at=row.instant_or_none("cleanedAt"),
                cleaned_keys_after=row.get("cleanedKeysAfter", str) or "",
            ),
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
    return {run_id: seen_at for seen_at, run_ids in found.items() for run_id in run_ids}


def _encode_attempt(attempt: Attempt) -> Columns:
    return {
        "updateId": attempt.update_id,
        "state": attempt.state,
        "cause": attempt.cause,
        "createdAt": None if attempt.created_at is None else attempt.created_at.isoformat(),
    }
