"""The values that a process remembers: one computation serves all callers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest

from local.rig import ManualClock
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.memory import CachedValue, FreshCalls
from polysync_core.values.errors import StorageUnavailable

CALLERS = 8


@pytest.mark.parametrize("works", [True, False])
def test_callers_during_a_computation_share_its_result_or_its_error(works: bool) -> None:
    remembered = CachedValue[str](Clock(), inf)
    made = 0
    all_ask, go_on = threading.Barrier(CALLERS), threading.Event()

    def make() -> str:
        nonlocal made
        made += 1
        go_on.wait(10)
        if not works:
            raise StorageUnavailable("Silent.")
        return "the value"

    def ask() -> str:
        all_ask.wait()
        try:
            return remembered.get(make)
        except StorageUnavailable as error:
            return error.detail

    with ThreadPoolExecutor(CALLERS) as pool:
        asking = [pool.submit(ask) for _ in range(CALLERS)]
        threading.Timer(0.3, go_on.set).start()
        answers = {future.result() for future in asking}
    assert answers == {"the value" if works else "Silent."}
    assert made == 1
    assert works or remembered.get(lambda: "the next time") == "the next time"


def test_callers_share_a_call_that_began_after_they_asked() -> None:
    fresh = FreshCalls[int]()
    first_is_under_way, go_on = threading.Event(), threading.Event()
    made: list[int] = []

    def make() -> int:
        number = len(made) + 1
        made.append(number)
        if number == 1:
            first_is_under_way.set()
            go_on.wait(10)
        return number

    with ThreadPoolExecutor(CALLERS) as pool:
        first = pool.submit(fresh.get, "a run", make, timeout_seconds=10)
        first_is_under_way.wait(10)
        others = [pool.submit(fresh.get, "a run", make, timeout_seconds=10) for _ in range(CALLERS - 1)]
        while sum(future.running() for future in others) < len(others):
            pass
        go_on.set()
        assert first.result(10) == 1
        results = [other.result(10) for other in others]
    assert min(results) == 2, "the call under way when they asked is too old for them"
    assert max(results) < CALLERS - 1
    assert fresh.get("a run", make, timeout_seconds=10) == len(made)


def test_the_error_of_a_shared_call_reaches_all_and_the_next_call_begins_anew() -> None:
    fresh = FreshCalls[str]()

    def fail() -> str:
        raise StorageUnavailable("Silent.")

    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            fresh.get("a run", fail, timeout_seconds=1)
    assert fresh.get("a run", lambda: "the value", timeout_seconds=1) == "the value"


def test_a_caller_may_ask_for_a_younger_value_than_others_do() -> None:
    clock = ManualClock()
    remembered = CachedValue[int](clock, 60)
    assert remembered.last() is None
    assert remembered.get(lambda: 1) == 1
    clock.pass_time(seconds=4)
    assert remembered.get(lambda: 2, max_age_seconds=5) == 1
    assert remembered.get(lambda: 2, max_age_seconds=4) == 2
    clock.pass_time(seconds=59)
    assert remembered.get(lambda: 3) == 2


@pytest.mark.parametrize("works", [True, False])
def test_an_expired_value_is_made_again_and_what_was_under_way_is_not_kept(works: bool) -> None:
    remembered = CachedValue[str](ManualClock(), inf)
    assert remembered.get(lambda: "first") == "first"
    is_under_way, go_on = threading.Event(), threading.Event()

    def make() -> str:
        is_under_way.set()
        go_on.wait(10)
        if not works:
            raise StorageUnavailable("Silent.")
        return "under way"

    remembered.expire()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(remembered.get, make)
        is_under_way.wait(10)
        assert remembered.last() == "first"
        remembered.expire()
        assert remembered.get(lambda: "after it") == "after it"
        go_on.set()
        if works:
            assert asking.result(10) == "under way"
        else:
            assert isinstance(asking.exception(10), StorageUnavailable)
    assert remembered.get(lambda: "again") == "after it"
