"""Callers that wait for a run: they started it, joined it or repeated its start. Each gets exactly one callback."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from local.receiver import Receiver
from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.rules.decisions import budgets
from polysync_core.rules.decisions.callback_rules import MAX_CALLBACKS
from polysync_core.use_cases import cancelling, delivering, starting
from polysync_core.values.callback import CallbackAddress, CallbackKind, CallbackState, Waiter
from polysync_core.values.caller import KEY_ID
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import CallbacksNotOwed, RunNotFound, StartUnknown, TooManyCallbacks
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run
from tests.conftest import RigOf
from tests.use_cases.callbacks import callback_of, deliver, finish, started

START = "/pipelines/{id}/updates"


@pytest.fixture
def rig(rig_of: RigOf, receiver: Receiver) -> Rig:
    return rig_of(receiver)


def paths(receiver: Receiver) -> list[str]:
    return sorted(delivery.target for delivery in receiver.deliveries)


def attach(rig: Rig, run: Run, url: str | None, key: str | None = None) -> Run:
    body = {"onConflict": "attach"} | ({} if url is None else {"callbackUrl": url})
    return rig.start(run.run_id.pipeline_id, body, key=key).run


def waiter_for(receiver: Receiver, name: str) -> Waiter:
    address = CallbackAddress(kind=CallbackKind.WEBHOOK, url=receiver.url(f"/{name}"), base_url="http://app.example")
    return Waiter(callback_id=name, address=address)


class TestJoining:
    def test_a_caller_that_joins_is_called_back_too(self, rig: Rig, receiver: Receiver) -> None:
        run = started(rig, receiver.url("/starter"))
        joined = attach(rig, run, receiver.url("/joiner"))
        assert [callback.state for callback in joined.callbacks] == [CallbackState.WAITING] * 2
        finish(rig, run)
        assert deliver(rig).delivered == 2
        assert paths(receiver) == ["/joiner", "/starter"]

    def test_a_caller_that_joins_an_update_from_elsewhere_is_called_back(
        self, rig: Rig, receiver: Receiver, workspace: SimulatedWorkspace
    ) -> None:
        pipeline_id = workspace.add_pipeline()
        workspace.start_elsewhere(pipeline_id)
        run = rig.start(pipeline_id, {"onConflict": "attach", "callBackUri": receiver.url("/joiner")}).run
        finish(rig, run)
        deliver(rig)
        assert receiver.deliveries[0].json["Output"]["attached"] is True

    def test_a_waiter_that_came_between_the_look_and_the_finish_is_not_lost(self, rig: Rig, receiver: Receiver) -> None:
        run = started(rig, receiver.url("/starter"))
        store = rig.ws.runs
        looked_at = store.find_active(run.run_id)
        assert looked_at is not None
        assert rig.ws.callbacks.join(run.run_id, waiter_for(receiver, "late"), rig.clock.now()) is not None
        now = rig.clock.now()
        assert not store.save_transition(looked_at, replace(looked_at.value, finished_at=now)), "the look is outdated"
        finish(rig, run)
        deliver(rig)
        assert paths(receiver) == ["/late", "/starter"]

    def test_who_joins_a_run_that_has_just_finished_is_owed_at_once(self, rig: Rig, receiver: Receiver) -> None:
        run = rig.start(rig.workspace.add_pipeline()).run
        finish(rig, run)
        callbacks = rig.ws.callbacks
        joined = callbacks.join(run.run_id, waiter_for(receiver, "late"), rig.clock.now())
        assert joined is not None
        assert joined.callbacks[0].state is CallbackState.DUE
        assert deliver(rig).delivered == 1

    def test_callers_that_join_at_the_moment_of_the_finish_are_all_called_back(
        self, rig: Rig, receiver: Receiver
    ) -> None:
        run = rig.start(rig.workspace.add_pipeline()).run
        names = [f"joiner-{number}" for number in range(8)]
        barrier = threading.Barrier(len(names) + 1)

        def join(name: str) -> None:
            barrier.wait()
            assert rig.ws.callbacks.join(run.run_id, waiter_for(receiver, name), rig.clock.now())

        rig.workspace.set_state(run.run_id.pipeline_id, None, "COMPLETED")
        with ThreadPoolExecutor(len(names)) as pool:
            joining = [pool.submit(join, name) for name in names]
            barrier.wait()
            rig.sweep()
            for future in joining:
                future.result()
        rig.sweep()
        deliver(rig)
        assert paths(receiver) == sorted(f"/{name}" for name in names)

    def test_the_21st_caller_gets_the_limit_and_leaves_nothing_behind(self, rig: Rig, receiver: Receiver) -> None:
        run = started(rig, receiver.url("/0"))
        for number in range(1, MAX_CALLBACKS):
            attach(rig, run, receiver.url(f"/{number}"))
        with pytest.raises(TooManyCallbacks, match="20 callbacks"):
            attach(rig, run, receiver.url("/too-many"), key="k")
        assert not rig.is_reserved(run.run_id.pipeline_id)
        assert attach(rig, run, None, key="k").run_id == run.run_id, "the key was released"
        finish(rig, run)
        assert deliver(rig).delivered == MAX_CALLBACKS

    def test_a_start_that_its_caller_did_not_survive_is_called_back_all_the_same(
        self, rig: Rig, receiver: Receiver, workspace: SimulatedWorkspace, clock: ManualClock
    ) -> None:
        pipeline_id = workspace.add_pipeline()
        workspace.add_fault("reset", method="POST", route=START, when="after", times=1)
        workspace.add_fault("status", method="GET", route=START, status=500, times=3)
        with pytest.raises(StartUnknown):
            rig.start(pipeline_id, {"callbackUrl": receiver.url("/x")}, key="k")
        workspace.clear_faults()
        clock.pass_time(seconds=46)
        rig.sweep()
        run = rig.start(pipeline_id, key="k").run
        finish(rig, run)
        deliver(rig)
        assert paths(receiver) == ["/x"]


class TestRepeatsOfAKey:
    def test_a_repeat_with_the_same_address_changes_nothing(self, rig: Rig, receiver: Receiver) -> None:
        run = started(rig, receiver.url("/x"), key="k")
        again = {"callbackUrl": receiver.url("/x")}
        assert rig.start(run.run_id.pipeline_id, again, key="k").run == run
        finish(rig, run)
        deliver(rig)
        rig.start(run.run_id.pipeline_id, again, key="k")
        assert deliver(rig).due == 0
        assert paths(receiver) == ["/x"]

    def test_a_repeat_under_another_host_name_sends_no_callback_twice(self, rig: Rig, receiver: Receiver) -> None:
        pipeline_id, body = rig.workspace.add_pipeline(), {"callbackUrl": receiver.url("/x")}
        request = rig.request(pipeline_id, body, "k")
        run = starting.start_update(request, rig.ws, Deadline.after(rig.clock, budgets.START)).run
        finish(rig, run)
        assert deliver(rig).delivered == 1
        assert request.callback is not None
        address = replace(request.callback, base_url="https://behind-a-gateway.example")
        starting.start_update(replace(request, callback=address), rig.ws, Deadline.after(rig.clock, budgets.START))
        assert callback_of(rig, run).state is CallbackState.DELIVERED
        assert deliver(rig).due == 0

    @pytest.mark.parametrize("first", [{"callbackUrl": "/old"}, {"callBackUri": "/old"}, {}], ids=str)
    def test_a_repeats_address_replaces_the_old_one(
        self, rig: Rig, receiver: Receiver, first: dict[str, str], workspace: SimulatedWorkspace
    ) -> None:
        pipeline_id = workspace.add_pipeline()
        run = rig.start(pipeline_id, {name: receiver.url(path) for name, path in first.items()}, key="k").run
        again = rig.start(pipeline_id, {"callbackUrl": receiver.url("/new")}, key="k")
        assert again.run.run_id == run.run_id
        assert [callback.kind for callback in again.run.callbacks] == [CallbackKind.WEBHOOK]
        rig.start(pipeline_id, {}, key="k")
        finish(rig, run)
        deliver(rig)
        assert paths(receiver) == ["/new"]

    @pytest.mark.parametrize("status", [200, 410, 503])
    def test_a_new_address_after_the_finish_is_owed_at_once(
        self, rig: Rig, receiver: Receiver, clock: ManualClock, status: int
    ) -> None:
        """The old address has got the callback, or it was given up there, or it is still being tried."""
        run = started(rig, receiver.url("/old"), key="k")
        finish(rig, run)
        receiver.status = status
        deliver(rig)
        receiver.status = 200
        rig.start(run.run_id.pipeline_id, {"callbackUrl": receiver.url("/new")}, key="k")
        assert deliver(rig).delivered == 1
        clock.pass_time(hours=25)
        assert deliver(rig).due == 0
        assert paths(receiver) == ["/new", "/old"]

    def test_twenty_repeats_at_once_are_one_callback(self, rig: Rig, receiver: Receiver) -> None:
        run = rig.start(rig.workspace.add_pipeline(), {}, key="k").run
        body = {"callbackUrl": receiver.url("/x")}
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: rig.start(run.run_id.pipeline_id, body, key="k"), range(20)))
        finish(rig, run)
        deliver(rig)
        assert paths(receiver) == ["/x"]


class TestLeaving:
    def test_an_attached_callers_cancel_ends_its_own_waiting_only(self, rig: Rig, receiver: Receiver) -> None:
        run = started(rig, receiver.url("/starter"))
        pipeline_id = run.run_id.pipeline_id
        attach(rig, run, receiver.url("/joiner"), key="k")
        for _ in range(2):
            cancelled = cancelling.cancel_pipeline(pipeline_id, "k", rig.ws, KEY_ID)
            assert (cancelled.asked, len(cancelled.run.callbacks)) == (False, 1)
        finish(rig, run)
        deliver(rig)
        assert paths(receiver) == ["/starter"]
        assert not cancelling.cancel_pipeline(pipeline_id, "k", rig.ws, KEY_ID).asked, "harmless after the finish"
        assert callback_of(rig, run).state is CallbackState.DELIVERED

    def test_who_left_may_come_back_with_the_same_key(self, rig: Rig, receiver: Receiver) -> None:
        run = started(rig, receiver.url("/starter"))
        attach(rig, run, receiver.url("/joiner"), key="k")
        cancelling.cancel_pipeline(run.run_id.pipeline_id, "k", rig.ws, KEY_ID)
        attach(rig, run, receiver.url("/joiner"), key="k")
        finish(rig, run)
        deliver(rig)
        assert paths(receiver) == ["/joiner", "/starter"]

    def test_the_starter_s_cancel_stops_the_update_and_calls_everybody_back(self, rig: Rig, receiver: Receiver) -> None:
        run = started(rig, receiver.url("/starter"), key="k")
        attach(rig, run, receiver.url("/joiner"))
        assert cancelling.cancel_pipeline(run.run_id.pipeline_id, "k", rig.ws, KEY_ID).asked
        finish(rig, run, "CANCELED")
        deliver(rig)
        assert [delivery.json["status"] for delivery in receiver.deliveries] == ["Cancelled"] * 2


class TestForgetting:
    def test_with_an_old_run_its_callers_addresses_go(self, rig: Rig, receiver: Receiver, clock: ManualClock) -> None:
        run = started(rig, receiver.url("/starter"), key="k")
        attach(rig, run, receiver.url("/joiner"))
        finish(rig, run)
        assert deliver(rig).delivered == 2
        clock.pass_time(days=90, minutes=2)
        rig.sweep()
        callbacks = rig.ws.callbacks
        for callback in run.callbacks:
            assert callbacks.find_waiter(run.run_id, callback.callback_id) is None
        assert deliver(rig).due == 0


class TestRedelivering:
    def test_an_active_run_owes_nothing_yet(self, rig: Rig, receiver: Receiver) -> None:
        run = started(rig, receiver.url())
        with pytest.raises(CallbacksNotOwed):
            delivering.redeliver(run.run_id, rig.ws)
        with pytest.raises(RunNotFound):
            delivering.redeliver(RunId("no", "such"), rig.ws)

    @pytest.mark.parametrize("status", [200, 410, 503])
    def test_a_finished_run_owes_all_its_callbacks_again(
        self, rig: Rig, receiver: Receiver, clock: ManualClock, status: int
    ) -> None:
        run = started(rig, receiver.url("/starter"))
        attach(rig, run, receiver.url("/joiner"))
        finish(rig, run)
        receiver.status = status
        deliver(rig)
        receiver.status = 200
        again = delivering.redeliver(run.run_id, rig.ws)
        assert {callback.state for callback in again.callbacks} == {CallbackState.DUE}
        assert delivering.redeliver(run.run_id, rig.ws) == again, "at the same moment: still once"
        assert deliver(rig).delivered == 2
        assert paths(receiver) == ["/joiner", "/joiner", "/starter", "/starter"]
        assert {callback.tries for callback in rig.stored(run.run_id).callbacks} == {2}
        clock.pass_time(hours=25)
        assert deliver(rig).due == 0

    def test_a_run_without_callbacks_stays_as_it_is(self, rig: Rig) -> None:
        run = rig.start(rig.workspace.add_pipeline()).run
        finish(rig, run)
        assert delivering.redeliver(run.run_id, rig.ws).callbacks == ()
