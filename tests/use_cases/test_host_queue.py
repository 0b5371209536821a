"""How many callbacks of one receiver are under way: more the faster it answers, and few once it stops answering."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.use_cases.host_queue import Delivery, HostQueue, ReadyDelivery
from polysync_core.values.callback import OwedCallback, Waiter
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run
from polysync_core.values.stored import Locked

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def _queue(count: int) -> HostQueue:
    queue = HostQueue()
    for number in range(count):
        owed = OwedCallback(run_id=RunId("p", f"u{number}"), callback_id="1", host="h", due_at=NOW)
        callback = Locked(value=owed, etag="e")
        queue.add(Delivery(number=number, ws=cast("WorkspaceServices", None), callback=callback))
    return queue


def _claim(queue: HostQueue) -> int:
    """Claim the next callbacks, and return how many they are."""
    claimed = queue.begin_claim()
    run, waiter = cast("Locked[Run]", None), cast("Waiter", None)
    queue.end_claim([ReadyDelivery(delivery=delivery, run=run, waiter=waiter) for delivery in claimed])
    return len(claimed)


def _begin_all(queue: HostQueue, now: float) -> int:
    """Begin whatever may begin at `now`. Returns how many deliveries began."""
    begun = 0
    while True:
        if queue.may_send(now):
            queue.begin_send(now)
            begun += 1
        elif queue.may_claim(now):
            _claim(queue)
        else:
            return begun


def _answer_all(queue: HostQueue, began: float, seconds: float | None) -> None:
    for _ in range(queue.under_way):
        queue.end_send(began, seconds)


def test_a_receiver_has_one_call_until_it_answers_and_then_more_and_more() -> None:
    queue, begun = _queue(100), []
    for now in range(6):
        begun.append(_begin_all(queue, float(now)))
        _answer_all(queue, float(now), 0.1)
    assert begun == [1, 2, 8, 12, 12, 12], "each quick answer doubles its share, up to twelve"


def test_a_receiver_that_stops_answering_gets_no_call_beyond_the_fourth() -> None:
    queue = _queue(200)
    for now in range(5):
        _begin_all(queue, float(now))
        _answer_all(queue, float(now), 0.1)
    assert _begin_all(queue, 10.0) == 12
    for _ in range(7):
        queue.end_send(10.0, 0.5)
    assert queue.under_way == 5
    assert _begin_all(queue, 11.5) == 0, "five are under way, and one of them takes longer than a second"
    queue.end_send(10.0, None)
    queue.end_send(10.0, None)
    assert _begin_all(queue, 11.5) == 0, "a call without an answer halves the share"


def test_slow_answers_and_missing_ones_bring_the_share_back_to_one() -> None:
    queue = _queue(100)
    for now in range(5):
        _begin_all(queue, float(now))
        _answer_all(queue, float(now), 0.1)
    _begin_all(queue, 10.0)
    _answer_all(queue, 10.0, 5.0)
    assert _begin_all(queue, 20.0) == 1


def test_callbacks_of_a_slow_receiver_are_claimed_one_by_one_just_before_they_are_sent() -> None:
    queue = _queue(3)
    assert queue.may_claim(0.0)
    assert _claim(queue) == 1
    assert not queue.may_claim(0.0), "one is ready"
    queue.begin_send(0.0)
    assert not queue.may_claim(0.0), "one is under way"
    queue.end_send(0.0, 2.0)
    assert queue.may_claim(2.0)
    assert queue.number == 1


def test_one_claim_of_a_receiver_is_under_way_at_a_time() -> None:
    queue = _queue(3)
    queue.begin_claim()
    assert not queue.may_claim(0.0)
    queue.end_claim(())
    assert queue.may_claim(0.0)
