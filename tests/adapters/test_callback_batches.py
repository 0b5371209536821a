"""Callbacks that are claimed, or whose results are saved, in one batch. Each has its own outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from local.faults import Fault, FaultPlan
from local.rig import Rig
from local.seeding import owe_callbacks, put_row
from polysync_core.adapters.storage.callback_store import FinishedTry
from polysync_core.rules.decisions import callback_rules
from polysync_core.rules.decisions.callback_rules import TryResult
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.callback_entity import OWED
from polysync_core.use_cases.try_writer import TryWriter
from polysync_core.values.callback import Callback, CallbackAddress, CallbackKind, CallbackState, OwedCallback, Waiter
from polysync_core.values.errors import PolysyncError, StorageUnavailable
from polysync_core.values.stored import Locked

URL = "http://127.0.0.1:9/hook"


@pytest.fixture
def rig(behind_proxy: Rig) -> Rig:
    return behind_proxy


def due(rig: Rig, count: int) -> list[Locked[OwedCallback]]:
    owe_callbacks(rig, URL, count)
    return [*rig.ws.callbacks.due(rig.clock.now())]


def claimed(rig: Rig, owed: Sequence[Locked[OwedCallback]]) -> list[Locked[OwedCallback]]:
    claims = rig.ws.callbacks.claim_all(owed, rig.clock.now())
    return [claim for claim in claims if claim is not None]


def finished(rig: Rig, claim: Locked[OwedCallback], status: int = 200) -> FinishedTry:
    run = rig.ws.callbacks.find_finished_run(claim.value.run_id)
    assert run is not None
    result, now = TryResult(status=status), rig.clock.now()

    def decide(callback: Callback) -> Callback:
        return callback_rules.decide_after_try(callback, claim.value, result, now)

    return FinishedTry(claimed=claim, run=run, decide=decide)


def batches(plan: FaultPlan) -> int:
    return len([call for call in plan.calls() if call.label.startswith("POST $batch")])


class TestClaiming:
    def test_twenty_claims_share_a_batch(self, rig: Rig, plan: FaultPlan) -> None:
        owed = due(rig, 20)
        before = batches(plan)
        claims = claimed(rig, owed)
        assert batches(plan) - before == 1
        assert [claim.value.run_id for claim in claims] == [entry.value.run_id for entry in owed]
        assert not [*rig.ws.callbacks.due(rig.clock.now())]
        assert all(rig.ws.callbacks.save_try(claim, finished(rig, claim).decide) for claim in claims), (
            "with their ETags"
        )

    def test_a_callback_that_another_instance_has_stops_no_other(self, rig: Rig) -> None:
        owed = due(rig, 6)
        assert rig.ws.callbacks.claim(owed[2], rig.clock.now()) is not None
        claims = rig.ws.callbacks.claim_all(owed, rig.clock.now())
        assert [claim is not None for claim in claims] == [number != 2 for number in range(6)]

    def test_claims_without_an_answer_are_read_back(self, rig: Rig, plan: FaultPlan) -> None:
        owed = due(rig, 5)
        plan.add(Fault("reset", when="after", label="POST $batch*"))
        claims = claimed(rig, owed)
        assert len(claims) == 5
        assert all(rig.ws.callbacks.save_try(claim, finished(rig, claim).decide) for claim in claims)

    def test_of_two_rows_of_one_callback_one_is_claimed_and_the_other_stays_due(self, rig: Rig) -> None:
        (entry,) = due(rig, 1)
        second = replace(entry.value, due_at=rig.clock.now() - timedelta(seconds=1))
        put_row(rig, row_keys.callback(second.run_id, second.callback_id, second.due_at), OWED.encode(second))
        owed = [*rig.ws.callbacks.due(rig.clock.now())]
        claims = rig.ws.callbacks.claim_all(owed, rig.clock.now())
        assert [claim is not None for claim in claims] == [True, False]
        assert [left.value for left in rig.ws.callbacks.due(rig.clock.now())] == [entry.value]


class TestSaving:
    def test_twenty_results_share_a_batch(self, rig: Rig, plan: FaultPlan) -> None:
        tries = [finished(rig, claim) for claim in claimed(rig, due(rig, 20))]
        before = batches(plan)
        saved = [*rig.ws.callbacks.save_together(tries)]
        assert batches(plan) - before == 1
        assert [after.state if after else None for _, after in saved] == [CallbackState.DELIVERED] * 20
        assert not [*rig.ws.callbacks.due(rig.clock.now() + callback_rules.TRIED_FOR)]

    def test_a_run_that_changed_meanwhile_stops_no_other(self, rig: Rig) -> None:
        tries = [finished(rig, claim, 503) for claim in claimed(rig, due(rig, 6))]
        join(rig, tries[4], "late")
        saved = [*rig.ws.callbacks.save_together(tries)]
        assert [after is not None for _, after in saved] == [number != 4 for number in range(6)]
        assert rig.ws.callbacks.save_try(tries[4].claimed, tries[4].decide) is not None
        stored = rig.stored(tries[4].claimed.value.run_id)
        assert {entry.callback_id: entry.tries for entry in stored.callbacks} == {"1": 1, "late": 0}

    @pytest.mark.parametrize("same_version", [True, False])
    def test_two_results_of_one_run_are_both_saved(self, rig: Rig, same_version: bool) -> None:
        (first,) = claimed(rig, due(rig, 1))
        before_it = finished(rig, first)
        join(rig, before_it, "late")
        (second,) = claimed(rig, [*rig.ws.callbacks.due(rig.clock.now())])
        tries = [finished(rig, first) if same_version else before_it, finished(rig, second)]
        saved = {each.claimed.value.callback_id: after for each, after in rig.ws.callbacks.save_together(tries)}
        assert all(saved.values()) is same_version
        for each in tries:
            if saved[each.claimed.value.callback_id] is None:
                assert rig.ws.callbacks.save_try(each.claimed, each.decide) is not None
        stored = rig.stored(first.value.run_id)
        assert [entry.state for entry in stored.callbacks] == [CallbackState.DELIVERED] * 2

    def test_results_without_an_answer_are_read_back(self, rig: Rig, plan: FaultPlan) -> None:
        tries = [finished(rig, claim) for claim in claimed(rig, due(rig, 5))]
        plan.add(Fault("reset", when="after", label="POST $batch*"))
        assert all(after is not None for _, after in rig.ws.callbacks.save_together(tries))


def join(rig: Rig, known: FinishedTry, name: str) -> None:
    """Let another caller wait for the run of that try."""
    address = CallbackAddress(kind=CallbackKind.WEBHOOK, url=URL, base_url="http://app.example")
    assert rig.ws.callbacks.join(known.claimed.value.run_id, Waiter(callback_id=name, address=address), rig.clock.now())


class TestWriter:
    def test_when_a_batch_fails_each_result_is_saved_on_its_own(self, rig: Rig, plan: FaultPlan) -> None:
        """A result that is lost means that its callback is sent again."""
        tries = [finished(rig, claim) for claim in claimed(rig, due(rig, 3))]
        results: list[Callback | PolysyncError | None] = []
        writer = TryWriter(rig.ws.callbacks, lambda _, after: results.append(after))
        plan.add(Fault("reset", when="before", label="POST $batch*"))
        for each in tries:
            writer.add(each)
        assert [isinstance(after, Callback) and after.state for after in results] == [CallbackState.DELIVERED] * 3
        assert not [*rig.ws.callbacks.due(rig.clock.now() + callback_rules.TRIED_FOR)]

    def test_while_storage_gives_no_answer_each_result_fails_and_is_reported(self, rig: Rig, plan: FaultPlan) -> None:
        tries = [finished(rig, claim) for claim in claimed(rig, due(rig, 3))]
        results: list[Callback | PolysyncError | None] = []
        writer = TryWriter(rig.ws.callbacks, lambda _, after: results.append(after))
        plan.add(Fault("reset", when="before", label="POST $batch*", times=None))
        for each in tries:
            writer.add(each)
        assert [type(after) for after in results] == [StorageUnavailable] * 3
