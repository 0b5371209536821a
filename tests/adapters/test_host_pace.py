"""The faster a receiver answers, the more calls it gets at a time. One that stops answering gets no more than four."""

from __future__ import annotations

from polysync_core.adapters.host_pace import HostPace


def begin(pace: HostPace, count: int, now: float) -> None:
    pace.take(count)
    for _ in range(count):
        pace.begin(now)


def end(pace: HostPace, count: int, began: float, now: float, *, answered: bool = True) -> None:
    for _ in range(count):
        pace.end(began, now, answered=answered)
    pace.release(count)


def quick(calls: int) -> HostPace:
    """The pace of a receiver that has answered so many calls at once."""
    pace = HostPace()
    for _ in range(calls):
        begin(pace, 1, 0.0)
        end(pace, 1, 0.0, 0.1)
    return pace


def test_each_quick_answer_doubles_the_calls_up_to_the_most() -> None:
    assert [quick(calls).room(1.0) for calls in range(7)] == [1, 2, 4, 8, 16, HostPace.MOST, HostPace.MOST]


def test_a_late_answer_or_none_halves_the_calls() -> None:
    pace = quick(4)
    begin(pace, 2, 0.0)
    end(pace, 1, 0.0, 1.1)
    assert pace.room(1.1) == 3, "the other one is late too"
    end(pace, 1, 0.0, 1.2, answered=False)
    assert pace.room(1.2) == 4
    for _ in range(5):
        begin(pace, 1, 2.0)
        end(pace, 1, 2.0, 2.1, answered=False)
    assert pace.room(2.1) == 1


def test_while_one_call_waits_too_long_none_begins_beyond_the_fourth() -> None:
    pace = quick(10)
    begin(pace, 1, 0.0)
    begin(pace, 1, 0.9)
    assert pace.room(1.0) == HostPace.MOST - 2
    assert pace.room(1.1) == 2
    pace.take(2)
    assert pace.room(1.1) == 0
    pace.release(2)
    end(pace, 1, 0.0, 1.2)
    assert pace.room(1.2) == HostPace.MOST // 2 - 1, "it answers again"


def test_of_a_full_share_that_hangs_nothing_more_begins() -> None:
    pace = quick(10)
    begin(pace, HostPace.MOST, 0.0)
    end(pace, HostPace.MOST - 4, 0.0, 0.1)
    begin(pace, HostPace.MOST - 4, 0.1)
    assert pace.room(1.5) == 0
    end(pace, HostPace.MOST - 5, 0.1, 0.2)
    assert pace.room(1.5) == 0, "five are under way"


def test_a_host_has_no_room_until_half_of_its_share_is_free() -> None:
    pace = quick(4)
    begin(pace, 16, 0.0)
    pace.release(7)
    assert pace.room(0.5) == 0
    pace.release(1)
    assert pace.room(0.5) == 8
