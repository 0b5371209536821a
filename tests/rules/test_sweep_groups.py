"""Groups of workspaces for the queue: of about equal cost, never too large, and their messages."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.decisions.sweep_groups import cost_of, divide, is_late, is_outdated
from polysync_core.rules.wire.sweep_message import decode_group, encode_group
from polysync_core.values.run import LastSweep, SweepGroup, SweepReport
from tests.rules.examples import NOW

INTERVAL = timedelta(seconds=15)
LAST = LastSweep(swept_at=NOW, report=SweepReport(workspace="w", calls=35))


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.floats(1, 100), min_size=1, max_size=60), st.integers(1, 9))
def test_every_workspace_is_in_one_group_and_no_group_is_too_large(costs: dict[str, float], most: int) -> None:
    groups = divide(costs, most)
    assert sorted(name for group in groups for name in group) == sorted(costs)
    assert all(1 <= len(group) <= most for group in groups)
    assert len(groups) == -(-len(costs) // most)


def test_groups_cost_about_the_same() -> None:
    costs = {f"w{number}": 100.0 if number < 3 else 1.0 for number in range(30)}
    totals = [sum(costs[name] for name in group) for group in divide(costs, 10)]
    assert totals == [109.0, 109.0, 109.0]


def test_a_workspace_costs_the_calls_of_its_last_sweep() -> None:
    assert (cost_of(LAST), cost_of(None)) == (36.0, 1.0)


def test_a_workspace_is_late_when_two_intervals_have_passed() -> None:
    assert not is_late(LAST, INTERVAL, NOW + timedelta(seconds=30))
    assert is_late(LAST, INTERVAL, NOW + timedelta(seconds=31))
    assert is_late(None, INTERVAL, NOW)
    assert not is_late(replace(LAST, stood_in=True), INTERVAL, NOW)


def test_a_message_is_outdated_after_one_interval() -> None:
    group = SweepGroup(sent_at=NOW, workspaces=("w",))
    assert not is_outdated(group, INTERVAL, NOW + INTERVAL)
    assert is_outdated(group, INTERVAL, NOW + timedelta(seconds=16))


def test_a_message_is_read_as_it_was_written() -> None:
    group = SweepGroup(sent_at=NOW, workspaces=("finance", "sales"))
    assert decode_group(encode_group(group).encode()) == group


@pytest.mark.parametrize(
    "message",
    [
        *("", "finance", "[]", "7", "null", "{}", "[" * 10_000),
        json.dumps({"sentAt": NOW.isoformat()}),
        json.dumps({"sentAt": NOW.isoformat(), "workspaces": "finance"}),
        json.dumps({"sentAt": NOW.isoformat(), "workspaces": [1]}),
        json.dumps({"sentAt": "soon", "workspaces": ["finance"]}),
        json.dumps({"sentAt": 7, "workspaces": ["finance"]}),
        json.dumps({"sentAt": "2026-11-27T12:00:00", "workspaces": ["finance"]}),
    ],
)
def test_anything_else_is_no_message(message: str) -> None:
    with pytest.raises(ValueError, match="no message"):
        decode_group(message.encode())


def test_bytes_that_are_no_text_are_no_message() -> None:
    with pytest.raises(ValueError, match="no message"):
        decode_group(b"\xff\xfe")
