"""What the modules of the page make of times, durations, runs and events. They are called in the browser itself."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.page.browser import Tab

NOW = "2026-11-28T12:00:00Z"


def _call(tab: Tab, module: str, body: str, given: object = None) -> Any:
    """Evaluate the body of a function of a module `m` of the page, and of what is given to it."""
    tab.open("#/health")
    return tab.page.evaluate(f"given => import('./page/{module}').then(m => {body})", given)


@pytest.mark.parametrize(
    ("iso", "in_berlin", "in_utc"),
    [
        ("2026-11-28T00:30:05Z", "01:30:05", "00:30:05"),
        ("2026-11-27T23:30:05Z", "00:30:05", "27 Nov, 23:30"),
        ("2026-01-02T03:04:05Z", "2 Jan, 04:04", "2 Jan, 03:04"),
        ("2025-11-28T12:00:00Z", "28 Nov 2025, 13:00", "28 Nov 2025, 12:00"),
    ],
)
def test_a_time_is_as_short_as_it_can_be_and_in_the_chosen_zone(
    tab: Tab, iso: str, in_berlin: str, in_utc: str
) -> None:
    short = "[false, true].map(utc => (m.setUtc(utc), m.shortTime(given.iso, Date.parse(given.now))))"
    assert _call(tab, "format.js", short, {"iso": iso, "now": NOW}) == [in_berlin, in_utc]


def test_a_duration_has_its_two_largest_units(tab: Tab) -> None:
    words = {
        -5: "0 s",
        42.4: "42 s",
        59.6: "1 min",
        848: "14 min 8 s",
        7200: "2 h",
        7500: "2 h 5 min",
        86400: "1 d",
        273600: "3 d 4 h",
    }
    assert _call(tab, "format.js", "given.map(m.duration)", [*words]) == [*words.values()]


def test_a_time_within_a_message_is_in_the_chosen_zone_and_what_is_stale_is_left_out(tab: Tab) -> None:
    message = "Is tried again at 2020-01-02T03:04:05.678Z. This is how it stood at 2020-01-02T03:00:00Z."
    runs = [{"message": message, "staleSince": None}, {"message": message, "staleSince": "2020-01-02T03:00:00Z"}]
    assert _call(tab, "format.js", "given.map(m.messageOf)", runs) == [
        "Is tried again at 2 Jan 2020, 04:04. This is how it stood at 2 Jan 2020, 04:00.",
        "Is tried again at 2 Jan 2020, 04:04.",
    ]


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (None, None),
        ("key", "a caller with a function key"),
        ({"objectId": "mine"}, "you"),
        ({"objectId": "another"}, "another"),
    ],
)
def test_who_did_something_is_named(tab: Tab, caller: object, expected: str | None) -> None:
    named = "m.callerText(given, { isMe: id => id === 'mine' })"
    assert _call(tab, "format.js", named, caller) == expected


def _run(name: str, began: str, status: str, **fields: object) -> dict[str, object]:
    is_finished = status not in {"Running", "Unknown"}
    run = {"workspace": "w", "pipelineId": name, "pipelineName": name, "runId": f"{name}:{began}", "status": status}
    return run | {"startedAt": f"2026-11-28T{began}:00Z", "isFinished": is_finished} | fields


def test_lanes_are_ordered_by_their_newest_run_the_failed_first_and_then_the_active(tab: Tab) -> None:
    runs = [
        _run("mended", "08:00", "Failed"),
        _run("mended", "09:00", "Success"),
        _run("failed", "07:00", "Failed"),
        _run("failed", "06:00", "Success"),
        _run("lost", "06:30", "Unknown", isFinished=True),
        _run("running", "05:00", "Running"),
        _run("waiting", "05:30", "Unknown", startedAt=None, updatedAt="2026-11-28T05:30:00Z"),
        _run("well", "10:00", "Success"),
    ]
    names = "m.lanesOf(given).map(lane => lane.name)"
    assert _call(tab, "timeline.js", names, runs) == ["failed", "lost", "waiting", "running", "well", "mended"]


def test_a_lane_is_of_one_workspace_and_has_the_name_that_any_of_its_runs_knows(tab: Tab) -> None:
    runs = [
        _run("p", "08:00", "Success", pipelineName=None, workspace="a"),
        _run("p", "07:00", "Success", pipelineName="orders", workspace="a"),
        _run("p", "06:00", "Success", pipelineName=None, workspace="b"),
    ]
    lanes = "m.lanesOf(given).map(lane => [lane.workspace, lane.name, lane.runs.length])"
    assert _call(tab, "timeline.js", lanes, runs) == [["a", "orders", 2], ["b", "p", 1]]


def _line(second: int, message: str, event_type: str = "update_progress") -> dict[str, object]:
    return {"time": f"2026-11-28T08:00:{second:02}Z", "eventType": event_type, "message": message}


@pytest.mark.parametrize("finished_at", [None, "2026-11-28T08:00:50Z"])
def test_a_phase_lasts_until_the_next_one_and_a_repeated_state_is_one_phase(tab: Tab, finished_at: str | None) -> None:
    lines = [
        _line(30, "Update 1 is RUNNING."),
        _line(20, "Update 1 is INITIALIZING."),
        _line(10, "Update 1 is INITIALIZING."),
        _line(5, "Flow 'x' is STARTING.", "flow_progress"),
        _line(0, "Update 1 started by API_CALL.", "create_update"),
    ]
    phases = "m.phasesOf(given.lines, given.end).map(p => [p.state, p.ended && (p.ended - p.began) / 1000])"
    assert _call(tab, "progress.js", phases, {"lines": lines, "end": finished_at}) == [
        ["CREATED", 10],
        ["INITIALIZING", 20],
        ["RUNNING", finished_at and 20],
    ]


def test_a_role_includes_the_lower_ones_in_its_workspace_or_in_all(tab: Tab) -> None:
    allowed = "given.map(([roles, role, workspace]) => m.hasRole(roles, role, workspace))"
    table: list[tuple[list[str], str, str | None, bool]] = [
        (["Polysync.Admin"], "Polysync.Read", "a", True),
        (["Polysync.Operate"], "Polysync.Admin", "a", False),
        (["Polysync.Operate.a"], "Polysync.Read", "a", True),
        (["Polysync.Admin.b"], "Polysync.Read", "a", False),
        (["Polysync.Admin.a"], "Polysync.Admin", None, False),
        ([], "Polysync.Read", "a", False),
    ]
    assert _call(tab, "signin.js", allowed, [row[:3] for row in table]) == [row[3] for row in table]


def test_the_claims_of_a_token_are_read_as_utf_8_and_a_broken_token_has_none(tab: Tab) -> None:
    claims = {"name": "Jörg Öztürk 注文??>>"}
    payload = base64.urlsafe_b64encode(json.dumps(claims, ensure_ascii=False).encode()).decode().rstrip("=")
    tokens = [f"x.{payload}.y", "", "x", "x.!.y", "x.bm8.y"]
    assert _call(tab, "signin.js", "given.map(m.claimsOf)", tokens) == [claims, {}, {}, {}, {}]


def test_an_address_that_is_not_well_formed_is_read_all_the_same(tab: Tab) -> None:
    read = "m.readAddress('#/runs/100%?text=%zz')"
    assert _call(tab, "address.js", read) == {"view": "runs", "id": "100%", "query": {"text": "%zz"}}


def test_a_load_that_was_replaced_changes_nothing_however_it_ends(tab: Tab) -> None:
    ends = """new Promise(async done => {
        const waiting = [], seen = [];
        const load = () => new Promise(end => waiting.push(end));
        const feed = new m.Feed(load, () => seen.push(feed.data), () => Infinity);
        feed.start(), feed.now();
        waiting[0]('of the first load'), waiting[1]('of the second load');
        setTimeout(() => { feed.stop(); done(seen); }, 100);
    })"""
    assert _call(tab, "feed.js", ends) == ["of the second load"]
