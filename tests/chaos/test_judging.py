"""The judge sees what is wrong: each way in which a case can end badly is counted where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from local.workspace import UpdateRecord
from tests.chaos.app import Answer
from tests.chaos.books import Entries, StoredRun
from tests.chaos.judging import Verdict, compare
from tests.chaos.wishes import CancelWish, Ground, StartWish


@dataclass
class Case:
    """One accepted start that ended well; the tests spoil it."""

    ground: Ground = field(default_factory=lambda: Ground(partition="w", pipeline_ids=["p"]))
    updates: list[UpdateRecord] = field(default_factory=lambda: [_update("u1")])
    entries: Entries = field(default_factory=lambda: _entries(_run("u1")))
    deliveries: dict[str, list[str]] = field(default_factory=lambda: {"c1": ["Success"]})
    bugs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wish = StartWish(pipeline_id="p", key="k", callback_id="c1", asked=1, told={"u1"})
        self.ground.starts.append(self.wish)

    def verdict(self) -> Verdict:
        return compare(self.ground, {"p": self.updates}, self.entries, self.deliveries, self.bugs)


def _update(update_id: str, state: str = "COMPLETED") -> UpdateRecord:
    return UpdateRecord(
        update_id=update_id,
        state=state,
        cause="API_CALL",
        full_refresh=False,
        creation_time=0,
        history=(),
        body={"pipeline_id": "p"},
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


def _cancel_in_vain(case: Case) -> None:
    case.ground.cancels.append(CancelWish(start=case.wish, answer=Answer(status=202, body={})))


SPOILT: list[tuple[str, str, Callable[[Case], object]]] = [
    ("doubled", "an update that nobody was told of", _start_another),
    ("lost", "no run tracks the update", lambda case: setattr(case, "entries", _entries())),
    ("twice", "two runs track it", lambda case: setattr(case, "entries", _entries(_run("u1"), _run("u2", "u1")))),
    ("twice", "not listed", lambda case: setattr(case, "entries", _entries(_run("u1", listed=())))),
    ("wrong", "another status", lambda case: setattr(case, "entries", _entries(_run("u1", status="Failed")))),
    ("wrong", "not finished", lambda case: setattr(case, "entries", _entries(_run("u1", is_finished=False)))),
    ("wrong", "still among the active", lambda case: setattr(case, "entries", _entries(_run("u1", is_active=True)))),
    ("untrue", "two answers", lambda case: case.wish.told.add("u2")),
    ("untrue", "no answer", lambda case: case.wish.told.clear()),
    ("untrue", "a refusal too", lambda case: setattr(case.wish, "refusal", Answer(status=409, body={}))),
    ("untrue", "a cancel that had no effect", _cancel_in_vain),
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


@pytest.mark.parametrize("told", [[], ["Failed"], ["Success", "Failed"]], ids=["never", "another status", "both"])
def test_a_callback_that_did_not_come_or_told_something_else_is_not_delivered(told: list[str]) -> None:
    case = Case(deliveries={"c1": told})
    verdict = case.verdict()
    assert (verdict.owed, verdict.delivered) == (1, 0)
    assert not verdict.is_good
