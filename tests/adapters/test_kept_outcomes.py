"""One outcome for all who ask within a few seconds, also when it is an error."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.rig import ManualClock
from polysync_core.adapters.kept_outcomes import KeptOutcomes
from polysync_core.values.errors import StorageUnavailable

CALLERS = 8


def counting(made: list[int]) -> Callable[[], int]:
    def make() -> int:
        made.append(len(made) + 1)
        return made[-1]

    return make


def failing(made: list[int], error: BaseException) -> Callable[[], int]:
    def make() -> int:
        made.append(len(made) + 1)
        raise error

    return make


def test_a_result_is_kept_for_its_seconds_and_only_for_its_key() -> None:
    clock, made = ManualClock(), list[int]()
    kept, make = KeptOutcomes[int](clock, 5, most=10), counting(made)
    assert [kept.get(key, make, wait_seconds=1) for key in ("a", "a", "b", "a")] == [1, 1, 2, 1]
    clock.pass_time(seconds=4.9)
    assert kept.get("a", make, wait_seconds=1) == 1
    clock.pass_time(seconds=0.1)
    assert kept.get("a", make, wait_seconds=1) == 3


def test_an_error_is_kept_too_and_does_not_grow_with_its_readers() -> None:
    clock, made = ManualClock(), list[int]()
    kept, make = KeptOutcomes[int](clock, 5, most=10), failing(made, StorageUnavailable("Silent."))
    lengths = set()
    for _ in range(50):
        with pytest.raises(StorageUnavailable) as silent:
            kept.get("a", make, wait_seconds=1)
        lengths.add(len(traceback.extract_tb(silent.value.__traceback__)))
    assert (made, max(lengths) < 5) == ([1], True)
    clock.pass_time(seconds=5)
    assert kept.get("a", counting(made), wait_seconds=1) == 2


def test_a_bug_is_not_kept_and_shows_where_it_is() -> None:
    made: list[int] = []
    kept = KeptOutcomes[int](ManualClock(), 5, most=10)
    with pytest.raises(ZeroDivisionError) as bug:
        kept.get("a", failing(made, ZeroDivisionError()), wait_seconds=1)
    assert "make" in {frame.name for frame in traceback.extract_tb(bug.value.__traceback__)}
    assert kept.get("a", counting(made), wait_seconds=1) == 2


@pytest.mark.parametrize("works", [True, False])
def test_callers_at_once_share_a_call_and_wait_no_longer_than_they_may(works: bool) -> None:
    kept = KeptOutcomes[int](ManualClock(), 5, most=10)
    made: list[int] = []
    is_under_way, go_on = threading.Event(), threading.Event()

    def make() -> int:
        is_under_way.set()
        go_on.wait(10)
        return (counting(made) if works else failing(made, StorageUnavailable("Silent.")))()

    with ThreadPoolExecutor(CALLERS) as pool:
        first = pool.submit(kept.get, "a", make, wait_seconds=0)
        assert is_under_way.wait(10)
        with pytest.raises(TimeoutError):
            kept.get("a", make, wait_seconds=0.05)
        others = [pool.submit(kept.get, "a", make, wait_seconds=10) for _ in range(CALLERS - 1)]
        while sum(other.running() for other in others) < len(others):
            pass
        go_on.set()
        for future in (first, *others):
            if works:
                assert future.result(10) == 1
            else:
                assert isinstance(future.exception(10), StorageUnavailable)
    assert made == [1]


def test_no_more_are_kept_than_allowed_and_the_oldest_goes_first() -> None:
    made: list[int] = []
    kept, make = KeptOutcomes[int](ManualClock(), 5, most=3), counting(made)
    for key in ("a", "b", "c", "a", "d"):
        kept.get(key, make, wait_seconds=1)
    assert [kept.get(key, make, wait_seconds=1) for key in ("b", "c", "d")] == [2, 3, 4]
    assert kept.get("a", make, wait_seconds=1) == 5


def test_an_outcome_that_was_made_again_is_as_young_as_its_last_call() -> None:
    clock, made = ManualClock(), list[int]()
    kept, make = KeptOutcomes[int](clock, 5, most=3), counting(made)
    kept.get("a", make, wait_seconds=1)
    clock.pass_time(seconds=4)
    kept.get("b", make, wait_seconds=1)
    clock.pass_time(seconds=1)
    again = [kept.get(key, make, wait_seconds=1) for key in ("a", "c", "d")]
    assert [kept.get(key, make, wait_seconds=1) for key in ("a", "c", "d")] == again
    assert kept.get("b", make, wait_seconds=1) == 6, "its call began before the second one of a"


def test_the_seconds_begin_when_a_call_ends() -> None:
    clock, made = ManualClock(), list[int]()
    kept = KeptOutcomes[int](clock, 5, most=10)

    def make_slowly() -> int:
        clock.pass_time(seconds=3)
        return counting(made)()

    kept.get("a", make_slowly, wait_seconds=1)
    clock.pass_time(seconds=4)
    assert kept.get("a", make_slowly, wait_seconds=1) == 1


def test_a_call_that_is_under_way_is_not_forgotten_for_others() -> None:
    kept, made = KeptOutcomes[int](ManualClock(), 5, most=3), list[int]()
    is_under_way, go_on = threading.Event(), threading.Event()

    def make_slowly() -> int:
        is_under_way.set()
        go_on.wait(10)
        return counting(made)()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(kept.get, "slow", make_slowly, wait_seconds=0)
        assert is_under_way.wait(10)
        for key in range(10):
            kept.get(key, lambda: 0, wait_seconds=1)
        with pytest.raises(TimeoutError):
            kept.get("slow", counting(made), wait_seconds=0.05)
        go_on.set()
        assert (first.result(10), kept.get("slow", counting(made), wait_seconds=1), made) == (1, 1, [1])
