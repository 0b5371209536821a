"""The verdict counts each way in which a case can end badly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from local.workspace import UpdateRecord
from tests.chaos.app import Answer
from tests.chaos.ledger import Delivered, Entries, StoredRun
from tests.chaos.requests import Address, Reading, Trial, WantedCancel, WantedStart
from tests.chaos.verdicts import Verdict, compare


@dataclass
class Case:
    """One accepted start that ended well. The tests change one thing about it."""

    trial: Trial = field(default_factory=lambda: Trial(partition="w", pipeline_ids=["p"]))
    updates: list[UpdateRecord] = field(default_factory=lambda: [_update("u1")])
    entries: Entries = field(default_factory=lambda: _entries(_run("u1")))
    deliveries: dict[str, list[Delivered]] = field(default_factory=lambda: {"c1": [_told("Success")]})
    bugs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.request = WantedStart(pipeline_id="p", key="k", callback_id="c1", asked=1, told={"u1"})
        self.trial.starts.append(self.request)

    def verdict(self) -> Verdict:
        return compare(self.trial, {"p": self.updates}, self.entries, self.deliveries, self.bugs)


def _told(status: str, run_id: str = "p:u1") -> Delivered:
    return Delivered(run_id=run_id, status=status)


def _update(update_id: str, state: str = "COMPLETED", cause: str = "API_CALL") -> UpdateRecord:
    """An update that is RUNNING from second 100 and in its last state from second 200."""
    return UpdateRecord(
        update_id=update_id,
        state=state,
        cause=cause,
        full_refresh=False,
        creation_time=0,
        history=(("RUNNING", 100.0), (state, 200.0)),
        body={"pipeline_id": "p"} if cause == "API_CALL" else None,
    )


def _run(*update_ids: str, **more: object) -> StoredRun:
    run = StoredRun(
        run_id=f"p:{update_ids[0]}",
        update_ids=update_ids,
        status="Success",
        is_finished=True,
        is_active=False,
        listed=("Success",),
    )
    return replace(run, **more)  # type: ignore[arg-type]


def _entries(*runs: StoredRun) -> Entries:
    return Entries(runs={run.run_id: run for run in runs}, reserved=(), open_keys=0, queued=0)


def _start_another(case: Case) -> None:
    case.updates.append(_update("u2"))
    case.entries = _entries(_run("u1"), _run("u2"))


def _retry_it(case: Case, *, in_a_run: bool) -> None:
    """Add a retry by Databricks. The run is to follow it."""
    case.updates.append(_update("u2", cause="RETRY_ON_FAILURE"))
    case.entries = _entries(_run(*(["u1", "u2"] if in_a_run else ["u1"]), follows_retries=True))


def _keep_it(case: Case) -> None:
    case.request.is_old = True


def _refuse(case: Case) -> None:
    """Refuse the start for a reason that does not exist."""
    case.request.told.clear()
    case.request.may_be_refused = frozenset({403})
    case.request.refusal = Answer(status=409, body={"detail": "Another start is in flight."})
    case.updates.clear()
    case.entries, case.deliveries = _entries(), {}


def _take_a_strangers(case: Case) -> None:
    case.updates[0] = replace(case.updates[0], body=None)


def _track_a_strangers(case: Case) -> None:
    case.updates.append(_update("u2", cause="USER_ACTION"))
    case.entries = _entries(_run("u1"), _run("u2"))


def _send_again(case: Case) -> None:
    case.trial.most_deliveries = 1
    case.deliveries["c1"] *= 2


def _read(
    case: Case, code: int, at: float, address: Address = "run", *, in_calm: bool = False, **document: Any
) -> None:
    body = {"runId": "p:u1", "status": "Success", "isFinished": True, "staleSince": None, **document}
    if address == "list":
        body = {"items": [body]}
    answer = Answer(status=code, body=body)
    case.trial.readings.append(
        Reading(address=address, run_id="p:u1", answer=answer, began_at=at, ended_at=at, in_calm=in_calm)
    )


def _read_active(case: Case, code: int, at: float, address: Address = "run", **document: Any) -> None:
    _read(case, code, at, address, **{"status": "Running", "isFinished": False, **document})


def _cancel_in_vain(case: Case) -> None:
    case.trial.cancels.append(WantedCancel(start=case.request, answer=Answer(status=202, body={})))


SPOILT: list[tuple[str, str, Callable[[Case], object]]] = [
    ("doubled", "an update that nobody was told of", _start_another),
    ("lost", "no run tracks the update", lambda case: setattr(case, "entries", _entries())),
    ("twice", "two runs track it", lambda case: setattr(case, "entries", _entries(_run("u1"), _run("u2", "u1")))),
    ("twice", "not listed", lambda case: setattr(case, "entries", _entries(_run("u1", listed=())))),
    ("wrong", "another status", lambda case: setattr(case, "entries", _entries(_run("u1", status="Failed")))),
    ("wrong", "not finished", lambda case: setattr(case, "entries", _entries(_run("u1", is_finished=False)))),
    ("wrong", "still among the active", lambda case: setattr(case, "entries", _entries(_run("u1", is_active=True)))),
    ("untrue", "two answers", lambda case: case.request.told.add("u2")),
    ("untrue", "no answer", lambda case: case.request.told.clear()),
    ("untrue", "a refusal too", lambda case: setattr(case.request, "refusal", Answer(status=409, body={}))),
    ("untrue", "a cancel that had no effect", _cancel_in_vain),
    ("lost", "a retry that is not followed", lambda case: _retry_it(case, in_a_run=False)),
    ("lost", "nothing leads from a retry to its run", lambda case: _retry_it(case, in_a_run=True)),
    ("wrong", "a stranger's update has a run", _track_a_strangers),
    ("untrue", "a stranger's update", _take_a_strangers),
    ("untrue", "a refusal without that reason", _refuse),
    ("untrue", "called back too often", _send_again),
    ("untrue", "a read: not there", lambda case: _read(case, 404, 300)),
    ("untrue", "a read: no answer in calm", lambda case: _read(case, 503, 300, in_calm=True)),
    ("untrue", "a read: finished before it was", lambda case: _read(case, 200, 150)),
    ("untrue", "a read: another end", lambda case: _read(case, 200, 300, status="Failed")),
    ("untrue", "a read: another run", lambda case: _read(case, 200, 300, runId="p:u2")),
    ("untrue", "a read: running long after its end", lambda case: _read_active(case, 200, 300)),
    ("untrue", "a read: a state that never was", lambda case: _read_active(case, 200, 150, status="Unknown")),
    ("untrue", "a result: over while it runs", lambda case: _read_active(case, 200, 150, "result")),
    ("untrue", "a result: another code", lambda case: _read(case, 424, 300, "result")),
    ("untrue", "a list without it", lambda case: _read(case, 200, 300, "list", runId="p:u2")),
    ("left", "kept too long", _keep_it),
    (
        "left",
        "a row of a run that is gone",
        lambda case: setattr(case, "entries", replace(case.entries, strays=("x",))),
    ),
    ("left", "a reservation", lambda case: setattr(case, "entries", replace(case.entries, reserved=("p",)))),
    ("left", "a key", lambda case: setattr(case, "entries", replace(case.entries, open_keys=1))),
    ("left", "a callback", lambda case: setattr(case, "entries", replace(case.entries, queued=1))),
    ("bugs", "an exception", lambda case: case.bugs.append("KeyError")),
]


def test_a_case_that_ended_well_is_good() -> None:
    verdict = Case().verdict()
    assert verdict.is_good
    assert (verdict.starts, verdict.updates, verdict.tracked, verdict.owed, verdict.delivered) == (1, 1, 1, 1, 1)


@pytest.mark.parametrize(("column", "what", "spoil"), SPOILT, ids=[f"{column}: {what}" for column, what, _ in SPOILT])
def test_what_went_wrong_is_counted(column: str, what: str, spoil: Callable[[Case], object]) -> None:
    case = Case()
    spoil(case)
    verdict = case.verdict()
    assert verdict.counts()[column] >= 1
    assert not verdict.is_good


TRUE_READINGS: list[tuple[str, Callable[[Case], None]]] = [
    ("finished", lambda case: _read(case, 200, 300, in_calm=True)),
    ("its result", lambda case: _read(case, 200, 300, "result")),
    ("listed", lambda case: _read(case, 200, 300, "list")),
    ("running", lambda case: _read_active(case, 200, 150)),
    ("its result while it runs", lambda case: _read_active(case, 202, 150, "result")),
    ("of some seconds ago", lambda case: _read_active(case, 200, 220)),
    ("old, and says so", lambda case: _read_active(case, 200, 400, staleSince="1970-01-01T00:02:30.000Z")),
    ("no answer, something is broken", lambda case: _read(case, 503, 300)),
]


@pytest.mark.parametrize("read", [read for _, read in TRUE_READINGS], ids=[what for what, _ in TRUE_READINGS])
def test_a_true_answer_of_a_read_is_good(read: Callable[[Case], None]) -> None:
    case = Case()
    read(case)
    assert case.verdict().is_good


def test_a_run_that_followed_its_retry_and_one_that_is_gone_in_time_are_good() -> None:
    case = Case()
    _retry_it(case, in_a_run=True)
    case.entries = replace(case.entries, aliases={"p:u2": "p:u1"})
    assert case.verdict().is_good
    case = Case(entries=_entries())
    _keep_it(case)
    assert case.verdict().is_good


@pytest.mark.parametrize(
    "told",
    [[], [_told("Failed")], [_told("Success"), _told("Failed")], [_told("Success", "p:u2")]],
    ids=["never", "another status", "both", "another run"],
)
def test_a_callback_that_is_missing_or_wrong_does_not_count_as_delivered(told: list[Delivered]) -> None:
    case = Case(deliveries={"c1": told})
    verdict = case.verdict()
    assert (verdict.owed, verdict.delivered) == (1, 0)
    assert not verdict.is_good
