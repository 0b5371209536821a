"""Checks the responses to reads. Each must fit the states that the run's update had by then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from local.workspace import UpdateRecord
from tests.chaos.ledger import FINAL_STATES, Entries, StoredRun
from tests.chaos.requests import Reading, Trial

STATUS_OF = {
    "COMPLETED": "Success",
    "FAILED": "Failed",
    "CANCELED": "Cancelled",
    "RUNNING": "Running",
    "STOPPING": "Running",
}
"""Every other state is decoded to Unknown."""
RESULT_CODES = {"Success": 200, "Failed": 424, "Cancelled": 409, "Unknown": 410}
"""Statuses of the await address for a finished run. Before that it answers 202."""
FRESH_SECONDS = 35.0
"""POLYSYNC_STATUS_MAX_AGE_SECONDS plus the time of a sweep: the maximum age of a response without `staleSince`."""
Updates = Mapping[tuple[str, str], UpdateRecord]


def untrue_readings(trial: Trial, updates: Updates, entries: Entries) -> list[str]:
    """Return the untrue readings, in words. A run that nothing tracks counts as lost, and is left out here."""
    found = []
    for reading in trial.readings:
        run = entries.runs.get(reading.run_id)
        wrong = None if run is None else _wrong(reading, run, updates)
        if wrong is not None:
            found.append(f"{reading.address} of {reading.run_id}: {wrong}")
    return found


def _wrong(reading: Reading, run: StoredRun, updates: Updates) -> str | None:
    """Return what is wrong with a reading, or None. While faults happen, a missing response or a 5xx is right."""
    answer = reading.answer
    if answer is None or answer.status >= 500:
        return f"no answer in calm: {answer}" if reading.in_calm else None
    document = answer.body
    if reading.address == "list":
        of_run = [item for item in answer.body.get("items", ()) if item["runId"] == run.run_id]
        if answer.status != 200 or len(of_run) != 1:
            return f"{answer.status}, listed {len(of_run)} times"
        document = of_run[0]
    if document.get("runId") != run.run_id or "status" not in document:
        return f"{answer.status} {document.get('runId')}, which is another"
    status, is_finished = document["status"], document["isFinished"]
    code = RESULT_CODES.get(status) if is_finished else 202
    if answer.status != (code if reading.address == "result" else 200):
        return f"{answer.status} for {status}, finished: {is_finished}"
    if is_finished:
        return _wrong_end(reading, run, status, updates)
    possible = set(_statuses(run, _seen_at(reading, document), reading.ended_at, updates))
    return None if status in possible - {"Success", "Failed", "Cancelled"} else f"{status}, its update was {possible}"


def _wrong_end(reading: Reading, run: StoredRun, status: str, updates: Updates) -> str | None:
    last = updates[run.run_id.partition(":")[0], run.update_ids[-1]]
    ended = [at for state, at in last.history if state in FINAL_STATES and at <= reading.ended_at]
    if run.is_finished and status == run.status and (ended or status == "Unknown"):
        return None
    return f"finished as {status}, the run ended as {run.status}, its update at {ended}"


def _seen_at(reading: Reading, document: Mapping[str, Any]) -> float:
    """The earliest moment that the response may describe, in epoch seconds."""
    since = document["staleSince"]
    seen_at = reading.began_at if since is None else datetime.fromisoformat(since).timestamp()
    return seen_at - FRESH_SECONDS


def _statuses(run: StoredRun, since: float, until: float, updates: Updates) -> Iterator[str]:
    """Yield the statuses that the run's updates had at some moment from `since` to `until`.

    An update that may be retried also counts as Running.
    """
    for update_id in run.update_ids:
        history = updates[run.run_id.partition(":")[0], update_id].history
        ends = [*(at for _, at in history[1:]), until]
        for (state, began_at), ended_at in zip(history, ends, strict=True):
            if began_at <= until and ended_at >= since:
                yield STATUS_OF.get(state, "Unknown")
                if state in {"FAILED", "CANCELED"} and (len(run.update_ids) > 1 or run.follows_retries):
                    yield "Running"
