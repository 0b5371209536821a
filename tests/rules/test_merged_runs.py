"""Merging the runs of all workspaces: no run is skipped or doubled, whatever each workspace was searched for."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polysync_core.rules.rows import row_keys
from polysync_core.rules.wire.merged_runs import (
    START,
    RunsPlace,
    SearchedRuns,
    begin_search,
    decode_runs_place,
    encode_runs_place,
    merge_runs,
    plan_search,
)
from polysync_core.values.errors import InvalidRequest
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run
from tests.rules.examples import NOW, make_run

NAMES = ("w1", "w38", "w46", "w5")
"""Two of them, w38 and w46, are in one group of a continuation."""


def run_at(second: float, name: str = "u1") -> Run:
    return make_run(run_id=RunId("p1", name), accepted_at=NOW - timedelta(seconds=second))


def key_of(run: Run) -> str:
    return row_keys.recent(run.run_id, run.accepted_at)


def names_of(place: RunsPlace, *workspaces: str) -> list[str]:
    return [part.workspace for part in plan_search(begin_search(place, workspaces), 2)]


class TestWhatIsCertain:
    def test_a_page_ends_where_one_workspace_was_searched_no_further(self) -> None:
        parts = [
            SearchedRuns(workspace="a", upto=None, runs=(run_at(1), run_at(3))),
            SearchedRuns(workspace="b", upto=key_of(run_at(2)), runs=(run_at(2),)),
        ]
        page = merge_runs(parts, 10, START)
        assert page.runs == (("a", run_at(1)), ("b", run_at(2)))
        assert page.place is not None
        assert (page.place.key, page.place.workspace) == (key_of(run_at(2)), "b")

    def test_everything_is_certain_when_all_were_searched_to_their_end(self) -> None:
        parts = [SearchedRuns(workspace=name, upto=None, runs=(run_at(1, name),)) for name in "ab"]
        assert merge_runs(parts, 2, START).place is None
        assert merge_runs(parts, 1, START).place is not None

    def test_a_workspace_that_cannot_add_to_the_page_is_searched_no_further(self) -> None:
        full = SearchedRuns(workspace="a", upto=key_of(run_at(3)), runs=(run_at(1), run_at(2), run_at(3)))
        behind = SearchedRuns(workspace="b", upto=key_of(run_at(2)))
        ahead = SearchedRuns(workspace="c", upto=key_of(run_at(4)))
        assert plan_search([full, behind, ahead], 2) == [behind]
        assert plan_search([full, behind, ahead], 3) == [behind, full, ahead]

    def test_what_one_page_found_beyond_its_end_the_next_page_need_not_search(self) -> None:
        empty = SearchedRuns(workspace="a", upto=None)
        page = merge_runs([empty, SearchedRuns(workspace="b", upto="")], 2, START)
        assert page.place is not None
        assert names_of(page.place, "a", "b") == ["b"]
        page = merge_runs(
            [
                SearchedRuns(workspace="a", upto=None, runs=(run_at(1),)),
                SearchedRuns(workspace="b", upto=key_of(run_at(3))),
            ],
            2,
            START,
        )
        assert [name for name, _ in page.runs] == ["a"]
        assert page.place is not None
        assert names_of(page.place, "a", "b") == ["b"], "all runs of a were returned"

    def test_a_range_of_time_that_was_searched_is_not_searched_again(self) -> None:
        upto = row_keys.recent_earlier(key_of(run_at(1)), 5)
        page = merge_runs([SearchedRuns(workspace="a", upto=upto)], 2, START)
        assert page.place is not None
        (part,) = begin_search(page.place, ["a"])
        assert part.upto is not None
        assert part.upto > upto


class TestRunsOfOneMillisecond:
    def test_equal_keys_come_by_workspace_and_each_once(self) -> None:
        parts = [SearchedRuns(workspace=name, upto=key_of(run_at(1)), runs=(run_at(1),)) for name in "cab"]
        page = merge_runs(parts, 2, START)
        assert [name for name, _ in page.runs] == ["a", "b"]
        assert page.place is not None
        after = {part.workspace: part.upto for part in begin_search(page.place, "abc")}
        assert after["b"] == key_of(run_at(1))
        assert after["c"] is not None
        assert key_of(run_at(1, "u0")) < after["c"] < key_of(run_at(1))


History = Mapping[str, list[Run]]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Runs of some workspaces, many of them in the same millisecond."""
    found = {}
    for name in NAMES:
        seconds = draw(st.lists(st.integers(0, 6), max_size=8))
        runs = [run_at(second, f"u{number}") for number, second in enumerate(seconds)]
        found[name] = sorted(runs, key=key_of)
    return found


@settings(deadline=None)
@given(histories(), st.integers(1, 4), st.data())
def test_pages_hold_every_run_once_and_in_order_however_far_each_search_came(
    history: History, limit: int, data: st.DataObject
) -> None:
    """Each page searches some workspaces a little, like a page whose time is over."""
    seen: list[tuple[str, str]] = []
    place = START
    while True:
        parts = {part.workspace: part for part in begin_search(place, NAMES)}
        rounds = data.draw(st.integers(1, 4))
        while behind := plan_search(parts.values(), limit)[: data.draw(st.integers(1, 3))]:
            for part in behind:
                parts[part.workspace] = _search(part, history[part.workspace], data.draw(st.integers(-2, 3)))
            rounds -= 1
            if rounds <= 0 and merge_runs(parts.values(), limit, place).place != place:
                break
        page = merge_runs(parts.values(), limit, place)
        assert len(page.runs) <= limit
        seen += [(key_of(run), name) for name, run in page.runs]
        assert page.place != place, "each page advances"
        if page.place is None:
            break
        place = decode_runs_place(encode_runs_place(page.place))
    assert seen == sorted((key_of(run), name) for name, runs in history.items() for run in runs)


def _search(part: SearchedRuns, runs: list[Run], count: int) -> SearchedRuns:
    """Read the next `count` runs, as the store does. If `count` is not positive, read a range of time instead."""
    assert part.upto is not None
    left = [run for run in runs if key_of(run) > part.upto]
    upto: str | None = None
    if count <= 0:
        if not left:
            return SearchedRuns(workspace=part.workspace, upto=None, runs=part.runs)
        upto = row_keys.recent_earlier(key_of(left[0]), -count)
        left = [run for run in left if key_of(run) <= upto]
    elif len(left) > count:
        upto, left = key_of(left[count - 1]), left[:count]
    return SearchedRuns(workspace=part.workspace, upto=upto, runs=(*part.runs, *left))


@pytest.mark.parametrize("count", [50, 1_000])
def test_a_continuation_fits_into_a_url_however_many_workspaces_there_are(count: int) -> None:
    parts = [
        SearchedRuns(workspace=f"workspace-{number}", upto=key_of(run_at(number + 2)), runs=())
        for number in range(count)
    ]
    first = SearchedRuns(workspace="w", upto=None, runs=(run_at(1),))
    place = merge_runs([first, *parts], 1, START).place
    assert place is not None
    assert len(encode_runs_place(place)) < 3_000


_MADE_UP: list[object] = [
    [],
    {"key": "job|p1", "workspace": "a"},
    {"key": "recent|１２３４５６７８９０１２３４|p:u", "workspace": "a"},
    {"key": "recent|12345678901234|é", "workspace": "a"},
    {"key": "recent|12345678901234|p:u"},
    {"key": "", "workspace": "", "ahead": {"64": 1}},
    {"key": "", "workspace": "", "ahead": {"1": 10**14}},
    {"key": "", "workspace": "", "ahead": {"1": -1}},
]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        "ä",
        row_keys.encode_continuation(key_of(run_at(1))),
        *(urlsafe_b64encode(json.dumps(made_up).encode()).decode() for made_up in _MADE_UP),
    ],
)
def test_another_text_is_not_a_continuation_of_this_list(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^continuation: must be the continuation .* with workspace=\*"):
        decode_runs_place(given)


def test_the_continuation_of_this_list_is_not_one_of_a_single_workspace() -> None:
    given = encode_runs_place(RunsPlace(key=key_of(run_at(1)), workspace="a"))
    with pytest.raises(InvalidRequest, match=r"^continuation: "):
        row_keys.decode_continuation(given, row_keys.RECENT)
