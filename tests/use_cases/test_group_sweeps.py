"""Sweeps in groups: each workspace once a tick, never twice at once. The timer stands in for a lost message."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import pytest

from local.loopback import unused_host
from local.rig import ManualClock, Rig
from local.seeding import track_running
from local.workspace import SimulatedWorkspace
from polysync_core.endpoints import run_endpoints
from polysync_core.rules.wire.sweep_message import encode_group
from polysync_core.use_cases import checking, group_sweeps
from polysync_core.values.errors import AllWorkspacesFailed, StorageUnavailable
from polysync_core.values.run import LastSweep, SweepGroup

INTERVAL = timedelta(seconds=15)
NAMES = ("a", "b", "c", "d", "e", "f")
Workspaces = dict[str, SimulatedWorkspace]


@pytest.fixture
def workspaces(clock: ManualClock) -> Iterator[Workspaces]:
    """Six workspaces of one tenant."""
    with ExitStack() as stack:
        first = stack.enter_context(SimulatedWorkspace(now=lambda: clock.now().timestamp()))
        made = [first]
        made += [stack.enter_context(SimulatedWorkspace(issuer=first.issuer)) for _ in NAMES[1:]]
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in first.environ().items():
            patch.setenv(name, value)
        yield dict(zip(NAMES, made, strict=True))


@pytest.fixture
def rig(azurite: str, workspaces: Workspaces, clock: ManualClock) -> Rig:
    """An app with six workspaces, each with one active run."""
    urls = {name: workspace.url for name, workspace in workspaces.items()}
    rig = Rig(azurite, urls, workspaces["a"], clock, POLYSYNC_SWEEP_GROUP_WORKSPACES="2")
    for name, workspace in workspaces.items():
        one = Rig(azurite, {name: workspace.url}, workspace, clock)
        track_running(one, workspace, workspace.add_pipelines(1))
    return rig


def _hand_out(rig: Rig) -> tuple[SweepGroup, ...]:
    return group_sweeps.hand_out(
        rig.services.workspaces, rig.settings.sweep_limits, most=2, interval=rig.settings.sweep_interval
    )


def _receive(rig: Rig, body: bytes | SweepGroup) -> None:
    body = encode_group(body).encode() if isinstance(body, SweepGroup) else body
    group_sweeps.sweep_group(
        body, rig.services.workspaces, rig.settings.sweep_limits, interval=rig.settings.sweep_interval
    )


def _sweeps(workspaces: Workspaces) -> list[int]:
    """The sweeps of each workspace since the last call: a sweep of one run makes one call."""
    counts = [len(workspace.calls()) for workspace in workspaces.values()]
    for workspace in workspaces.values():
        workspace.clear_calls()
    return counts


def _last(rig: Rig, name: str) -> LastSweep:
    last = rig.services.at(name).runs.last_sweep()
    assert last is not None
    return last


def _swept_once(rig: Rig, workspaces: Workspaces, clock: ManualClock) -> None:
    """Let the timer sweep all workspaces for the first time."""
    _hand_out(rig)
    assert _sweeps(workspaces) == [1] * 6
    clock.pass_time(seconds=15)


def test_each_workspace_is_swept_once_a_tick(rig: Rig, workspaces: Workspaces, clock: ManualClock) -> None:
    _swept_once(rig, workspaces, clock)
    for _ in range(3):
        groups = _hand_out(rig)
        assert _sweeps(workspaces) == [0] * 6, "the timer itself sweeps nothing"
        assert [len(group.workspaces) for group in groups] == [2, 2, 2]
        clock.pass_time(seconds=1)
        for group in groups:
            _receive(rig, group)
        assert _sweeps(workspaces) == [1] * 6
        clock.pass_time(seconds=14)


def test_a_message_that_comes_twice_sweeps_once(rig: Rig, workspaces: Workspaces, clock: ManualClock) -> None:
    _swept_once(rig, workspaces, clock)
    group = _hand_out(rig)[0]
    clock.pass_time(seconds=1)
    for _ in range(3):
        _receive(rig, group)
    assert sum(_sweeps(workspaces)) == 2


def test_two_messages_never_sweep_one_workspace_at_the_same_time(
    rig: Rig, workspaces: Workspaces, clock: ManualClock
) -> None:
    _swept_once(rig, workspaces, clock)
    group = _hand_out(rig)[0]
    clock.pass_time(seconds=1)
    barrier = threading.Barrier(8)

    def receive(_: int) -> None:
        barrier.wait()
        _receive(rig, group)

    for name in group.workspaces:
        workspaces[name].configure(latency_seconds=0.3)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(receive, range(8)))
    assert sum(_sweeps(workspaces)) == 2


def test_a_claim_of_a_process_that_died_ends_by_itself(rig: Rig, workspaces: Workspaces, clock: ManualClock) -> None:
    _swept_once(rig, workspaces, clock)
    runs = rig.services.at("a").runs
    now = clock.now()
    assert runs.claim_sweep(now, until=now + timedelta(seconds=12), unless_swept_since=now) is not None
    group = SweepGroup(sent_at=clock.now(), workspaces=("a", "b"))
    clock.pass_time(seconds=1)
    _receive(rig, group)
    assert _sweeps(workspaces)[:2] == [0, 1], "the claim holds"
    clock.pass_time(seconds=14)
    _receive(rig, SweepGroup(sent_at=clock.now(), workspaces=("a", "b")))
    assert _sweeps(workspaces)[:2] == [1, 1]


def test_a_message_that_is_too_old_is_dropped(
    rig: Rig, workspaces: Workspaces, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    _swept_once(rig, workspaces, clock)
    group = _hand_out(rig)[0]
    clock.pass_time(seconds=16)
    _receive(rig, group)
    assert sum(_sweeps(workspaces)) == 0
    assert "a message on the queue polysync-sweeps is 16 s old and is dropped" in caplog.text


@pytest.mark.parametrize("body", [b"nonsense " * 100, b'{"sentAt": "2026-11-22T08:00:00+00:00", "workspaces": ["x"]}'])
def test_a_message_that_names_no_known_workspace_is_logged_once_and_dropped(
    rig: Rig, workspaces: Workspaces, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    _receive(rig, body)
    assert sum(_sweeps(workspaces)) == 0
    (line,) = [record.getMessage() for record in caplog.records if record.name == "polysync.sweep"]
    assert line.startswith("a message on the queue polysync-sweeps names workspaces that are not known: ")
    assert len(line) < 300


def test_of_a_message_with_one_unknown_workspace_the_known_ones_are_swept(
    rig: Rig, workspaces: Workspaces, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    _swept_once(rig, workspaces, clock)
    group = SweepGroup(sent_at=clock.now(), workspaces=("b", "gone"))
    clock.pass_time(seconds=1)
    _receive(rig, group)
    assert _sweeps(workspaces) == [0, 1, 0, 0, 0, 0]
    assert "names workspaces that are not known" in caplog.text


def test_the_timer_sweeps_what_no_message_has_swept_for_two_intervals_and_health_says_so(
    rig: Rig, workspaces: Workspaces, clock: ManualClock
) -> None:
    _swept_once(rig, workspaces, clock)
    lost = _hand_out(rig)[0].workspaces
    for _ in range(2):
        for group in _hand_out(rig):
            if group.workspaces != lost:
                _receive(rig, group)
        clock.pass_time(seconds=15)
    _sweeps(workspaces)
    _hand_out(rig)
    swept = dict(zip(NAMES, _sweeps(workspaces), strict=True))
    assert {name for name, count in swept.items() if count} == {*lost}
    assert [_last(rig, name).stood_in for name in lost] == [True, True]
    found = checking.check_all([*rig.services.workspaces.values()], rig.services.tokens, ())
    health = {check.name: check for check in found.checks}
    for name in NAMES:
        check = health[f"sweep {name}"]
        assert check.ok is (name not in lost)
    assert "nobody took its group from the queue polysync-sweeps" in health[f"sweep {lost[0]}"].message
    clock.pass_time(seconds=15)
    for group in _hand_out(rig):
        clock.pass_time(seconds=1)
        _receive(rig, group)
    assert not any(_last(rig, name).stood_in for name in NAMES)


def _cut_off(workspaces: Workspaces) -> None:
    for workspace in workspaces.values():
        workspace.add_fault("reset", times=None)


def test_the_timer_fails_if_it_had_to_sweep_all_workspaces_and_none_answered(
    rig: Rig, workspaces: Workspaces, clock: ManualClock
) -> None:
    _cut_off(workspaces)
    with pytest.raises(AllWorkspacesFailed, match="a: no request was answered"):
        _hand_out(rig)
    clock.pass_time(seconds=15)
    assert len(_hand_out(rig)) == 3, "the failure was found, so the next tick sends messages again"


def test_a_timer_that_fails_frees_what_only_cycles_hold(rig: Rig, workspaces: Workspaces) -> None:
    class InACycle:
        def __init__(self) -> None:
            self.itself = self

    _cut_off(workspaces)
    gc.disable()
    try:
        left = weakref.ref(InACycle())
        assert left() is not None
        with pytest.raises(AllWorkspacesFailed):
            run_endpoints.hand_out_sweeps(rig.services)
        assert left() is None
    finally:
        gc.enable()


def test_the_timer_fails_once_for_each_round_of_messages_that_nobody_answered(
    rig: Rig, workspaces: Workspaces, clock: ManualClock
) -> None:
    _swept_once(rig, workspaces, clock)
    groups = _hand_out(rig)
    _cut_off(workspaces)
    for _ in range(3):
        clock.pass_time(seconds=1)
        for group in groups:
            _receive(rig, group)
        clock.pass_time(seconds=14)
        _sweeps(workspaces)
        with pytest.raises(AllWorkspacesFailed, match="a: no request was answered"):
            _hand_out(rig)
        clock.pass_time(seconds=15)
        groups = _hand_out(rig)
        assert len(groups) == 3, "so that the sweeps go on"
        assert sum(_sweeps(workspaces)) == 0, "the timer itself sweeps nothing"
    for workspace in workspaces.values():
        workspace.clear_faults()
    clock.pass_time(seconds=1)
    for group in groups:
        _receive(rig, group)
    clock.pass_time(seconds=14)
    assert len(_hand_out(rig)) == 3


def test_one_workspace_that_answers_its_message_is_enough(rig: Rig, workspaces: Workspaces, clock: ManualClock) -> None:
    _swept_once(rig, workspaces, clock)
    groups = _hand_out(rig)
    _cut_off({name: workspace for name, workspace in workspaces.items() if name != "f"})
    clock.pass_time(seconds=1)
    for group in groups:
        _receive(rig, group)
    clock.pass_time(seconds=14)
    assert len(_hand_out(rig)) == 3


def test_a_workspace_that_another_process_sweeps_has_not_failed(
    rig: Rig, workspaces: Workspaces, clock: ManualClock
) -> None:
    _cut_off(workspaces)
    until = clock.now() + timedelta(seconds=12)
    assert rig.services.at("f").runs.claim_sweep(clock.now(), until=until, unless_swept_since=clock.now()) is not None
    assert len(_hand_out(rig)) == 3


def test_a_message_for_workspaces_that_do_not_answer_is_not_delivered_again(
    rig: Rig, workspaces: Workspaces, clock: ManualClock
) -> None:
    _swept_once(rig, workspaces, clock)
    group = _hand_out(rig)[0]
    _cut_off(workspaces)
    clock.pass_time(seconds=1)
    _receive(rig, group)
    assert _last(rig, group.workspaces[0]).report.trouble


def test_the_timer_fails_if_storage_is_away(workspaces: Workspaces, clock: ManualClock) -> None:
    urls = {name: workspace.url for name, workspace in workspaces.items()}
    nowhere = f"AccountName=a;AccountKey=a2V5;TableEndpoint=http://{unused_host()}:9/a"
    with pytest.raises(StorageUnavailable):
        _hand_out(Rig(nowhere, urls, workspaces["a"], clock))
