"""Send the callbacks that are due, each at least once. An instance claims a callback before it sends it.

Deliveries run side by side. A slow receiver holds only a few threads, and a pass ends in time whatever receivers do.
Callbacks that a pass did not begin stay due for the next one.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial

from polysync_core.adapters.batching import Batches
from polysync_core.adapters.callback_sender import CallbackSender
from polysync_core.adapters.storage.callback_store import FinishedTry
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.threads import ContextPool
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, callback_rules
from polysync_core.rules.decisions.callback_rules import TryResult
from polysync_core.rules.wire.addresses import Addresses
from polysync_core.rules.wire.run_document import encode_body, encode_document
from polysync_core.use_cases.host_queue import Delivery, HostQueue, ReadyDelivery
from polysync_core.values.callback import Callback, CallbackState, OwedCallback, Waiter
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import CallbacksNotOwed, PolysyncError, RunNotFound
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run

_log = logging.getLogger("polysync.deliver")
_THREADS = 64
_WRITERS, _MOST_RESULTS_AT_ONCE = 2, 24
"""A result takes four rows, as a rule: a little less than a batch of storage takes."""
_THREADS_FOR_SILENT = 16
"""Hosts that gave no answer lately share this many."""
_READERS = 16
_BACKLOG_A_HOST = 1_500
"""A pass takes at most this many first tries and this many repeats of one host in one workspace."""


class _Outcome(Enum):
    DELIVERED = auto()
    FAILED = auto()
    NOT_OURS = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryReport:
    """The counts of one pass. `left`: callbacks that were due and did not end in this pass."""

    due: int
    delivered: int
    failed: int
    left: int


def deliver_callbacks(
    workspaces: Sequence[WorkspaceServices],
    sender: CallbackSender,
    public_url: str | None,
    *,
    pass_seconds: float = budgets.DELIVERY,
) -> DeliveryReport:
    """Send the due callbacks of every workspace, in one pass of at most `pass_seconds`.

    `public_url` is the configured address at which callers reach the app, or None.
    """
    return _Pass(workspaces, sender, public_url, pass_seconds).run()


def redeliver(run_id: RunId, ws: WorkspaceServices) -> Run:
    """Make all callbacks of a finished run due again, now. Each keeps its webhook-id.

    Raises RunNotFound, and CallbacksNotOwed while the run is active.
    """
    run = ws.callbacks.owe_again(run_id, ws.clock.now())
    if run is None:
        raise RunNotFound(f"There is no run {run_id}.")
    if not run.is_finished:
        raise CallbacksNotOwed(f"Run {run_id} is active; its callbacks are sent when it finishes.")
    return run


class _Pass:
    def __init__(
        self,
        workspaces: Sequence[WorkspaceServices],
        sender: CallbackSender,
        public_url: str | None,
        pass_seconds: float,
    ) -> None:
        self._workspaces = workspaces
        self._sender = sender
        self._silent_hosts = sender.silent_hosts
        self._lock = threading.RLock()
        self._outcomes: Counter[_Outcome] = Counter()
        self._results = {
            ws.workspace.name: Batches[tuple[FinishedTry, TryResult]](
                partial(self._save, ws), most=_MOST_RESULTS_AT_ONCE, workers=_WRITERS
            )
            for ws in workspaces
        }
        self._public_url = public_url
        self._clock = workspaces[0].clock
        self._deadline = Deadline.after(self._clock, pass_seconds)
        self._gathering = self._deadline.earlier_by(pass_seconds * (1 - budgets.DELIVERY_GATHERING / budgets.DELIVERY))

    def run(self) -> DeliveryReport:
        with storage_deadline(self._gathering):  # silent storage must not hold the pass up
            due = self._gather()
        self._send_all(due)
        with self._lock:
            outcomes = self._outcomes.copy()
        report = DeliveryReport(
            due=len(due),
            delivered=outcomes[_Outcome.DELIVERED],
            failed=outcomes[_Outcome.FAILED],
            left=len(due) - outcomes.total(),
        )
        if due:
            _log.info(
                "callbacks: due=%d delivered=%d failed=%d left=%d",
                report.due,
                report.delivered,
                report.failed,
                report.left,
                extra={"action": "deliver"},
            )
        return report

    # --- gather

    def _gather(self) -> list[Delivery]:
        """What is due, in the order of sending. The workspaces are read side by side, so that none hides another."""
        with ContextPool(min(_READERS, len(self._workspaces)), thread_name_prefix="due callbacks") as pool:
            found = [delivery for read in pool.map(self._read_due, self._workspaces) for delivery in read]
        in_turn = callback_rules.take_turns(
            found, lambda delivery: delivery.owed, lambda delivery: (delivery.ws.workspace, delivery.owed.host)
        )
        return [replace(delivery, number=number) for number, delivery in enumerate(in_turn)]

    def _read_due(self, ws: WorkspaceServices) -> list[Delivery]:
        """What is due in one workspace, as far as it can be read in time."""
        found: list[Delivery] = []
        taken: Counter[tuple[str, bool]] = Counter()
        try:
            for callback in ws.callbacks.due(self._clock.now()):
                kind = callback.value.host, callback.value.tries > 0
                taken[kind] += 1
                if taken[kind] <= _BACKLOG_A_HOST:
                    found.append(Delivery(number=0, ws=ws, callback=callback))
                if self._gathering.is_over():
                    break
        except PolysyncError as error:
            _log.warning("due callbacks of workspace %s: %s", ws.workspace.name, error.detail)
        return found

    # --- claim and send

    def _send_all(self, due: Sequence[Delivery]) -> None:
        """Send until all is done, or the pass is over. What is under way then goes on, and saves its own result."""
        queues: dict[str, HostQueue] = {}
        for delivery in due:
            queues.setdefault(delivery.owed.host, HostQueue()).add(delivery)
        calls: dict[Future[None], HostQueue] = {}
        pool = ContextPool(_THREADS, thread_name_prefix="callback")
        try:
            while not self._deadline.is_over():
                while self._begin(queues, calls, pool):
                    pass
                if not calls:
                    break
                done, _ = wait(calls, timeout=self._deadline.seconds_left(), return_when=FIRST_COMPLETED)
                for call in done:
                    del calls[call]
        finally:
            now = self._clock.monotonic()
            for host, queue in queues.items():
                if queue.is_slow(now):
                    self._silent_hosts.note(host, answered=False)
            pool.shutdown(wait=False, cancel_futures=True)
            for results in self._results.values():
                results.finish(self._deadline, cancel=False)

    def _begin(self, queues: Mapping[str, HostQueue], calls: dict[Future[None], HostQueue], pool: ContextPool) -> bool:
        """Begin at most one call for each host, as the threads and its share allow. Whether any has begun.

        A call claims the next few callbacks of a host, or sends one that is claimed.
        """
        now, before = self._clock.monotonic(), len(calls)
        with self._lock:
            silent = sum(queue.under_way for host, queue in queues.items() if self._silent_hosts.is_silent(host))
            open_hosts = [host for host, queue in queues.items() if queue.may_send(now) or queue.may_claim(now)]
            for host in sorted(open_hosts, key=lambda each: queues[each].number):
                queue, is_silent = queues[host], self._silent_hosts.is_silent(host)
                if len(calls) >= _THREADS:
                    break
                if is_silent and silent >= _THREADS_FOR_SILENT:
                    continue
                silent += is_silent
                call = (
                    pool.submit(self._send, queue, queue.begin_send(now), now)
                    if queue.may_send(now)
                    else pool.submit(self._claim, queue, queue.begin_claim())
                )
                calls[call] = queue
        return len(calls) > before

    def _claim(self, queue: HostQueue, deliveries: Sequence[Delivery]) -> None:
        """Claim callbacks of one host, and read what is needed to send them."""
        ready: list[ReadyDelivery] = []
        by_workspace: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            by_workspace.setdefault(delivery.ws.workspace.name, []).append(delivery)
        try:
            for of_one in by_workspace.values():
                claimed = self._claim_in(of_one[0].ws, of_one)
                ready += [one for one in map(self._make_ready, claimed) if one is not None]
        finally:
            with self._lock:
                queue.end_claim(sorted(ready, key=lambda one: one.delivery.number))

    def _claim_in(self, ws: WorkspaceServices, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """The callbacks of one workspace that are ours now."""
        try:
            won = ws.callbacks.claim_all([delivery.callback for delivery in deliveries], self._clock.now())
        except PolysyncError as error:
            for delivery in deliveries:
                self._fail(delivery.owed, error.detail)
            return []
        except Exception:
            _log.exception("%s callbacks were not claimed", len(deliveries), extra={"action": "deliver"})
            self._count(_Outcome.FAILED, len(deliveries))
            return []
        self._count(_Outcome.NOT_OURS, won.count(None))
        pairs = zip(deliveries, won, strict=True)
        return [replace(delivery, callback=callback) for delivery, callback in pairs if callback is not None]

    def _make_ready(self, delivery: Delivery) -> ReadyDelivery | None:
        """Read the run and the waiter of a claimed callback. None when nobody waits for it any more."""
        ws, owed = delivery.ws, delivery.owed
        try:
            run = ws.runs.find_finished(owed.run_id)
            waiter = ws.callbacks.find_waiter(owed.run_id, owed.callback_id)
            if run is not None and waiter is not None:
                return ReadyDelivery(delivery=delivery, run=run, waiter=waiter)
            ws.callbacks.drop(delivery.callback)
        except PolysyncError as error:
            self._fail(owed, error.detail)
        except Exception:
            self._fail_by_bug(owed)
        else:
            self._count(_Outcome.NOT_OURS)
        return None

    def _send(self, queue: HostQueue, ready: ReadyDelivery, began: float) -> None:
        """Send a callback, and have its result saved."""
        ws, owed = ready.delivery.ws, ready.delivery.owed
        result = self._post(ready.run.value, ready.waiter, ws)
        seconds = None if result.status is None else self._clock.monotonic() - began
        with self._lock:
            queue.end_send(began, seconds)

        def decide(callback: Callback) -> Callback:
            return callback_rules.decide_after_try(callback, owed, result, self._clock.now())

        tried = FinishedTry(claimed=ready.delivery.callback, run=ready.run, decide=decide)
        self._results[ws.workspace.name].add((tried, result))

    def _save(self, ws: WorkspaceServices, batch: list[tuple[FinishedTry, TryResult]]) -> None:
        """Save the results of tries of one workspace."""
        left = {id(tried): (tried, result) for tried, result in batch}
        try:
            for tried, after in ws.callbacks.save_tries([tried for tried, _ in batch]):
                _, result = left.pop(id(tried))
                if after is None:
                    self._count(_Outcome.NOT_OURS)
                elif after.state is CallbackState.DELIVERED:
                    self._count(_Outcome.DELIVERED)
                else:
                    self._fail(tried.claimed.value, f"{result.error} -> {after.state}")
        except PolysyncError as error:
            for tried, _ in left.values():
                self._fail(tried.claimed.value, error.detail)
        except Exception:
            _log.exception("%s results of callbacks were not saved", len(left), extra={"action": "deliver"})

    def _count(self, outcome: _Outcome, count: int = 1) -> None:
        with self._lock:
            self._outcomes[outcome] += count

    def _fail(self, owed: OwedCallback, trouble: str) -> None:
        self._count(_Outcome.FAILED)
        _log_failure(owed, trouble)

    def _fail_by_bug(self, owed: OwedCallback) -> None:
        self._count(_Outcome.FAILED)
        _log.exception("a callback", extra={"run_id": str(owed.run_id), "action": "deliver"})

    def _name_of(self, ws: WorkspaceServices) -> str | None:
        return ws.workspace.name if len(self._workspaces) > 1 else None

    def _post(self, run: Run, waiter: Waiter, ws: WorkspaceServices) -> TryResult:
        """Send the callback once. A bug of the app counts as a failed try, so that it is given up in the end."""
        now = self._clock.now()
        try:
            document = encode_document(
                run,
                workspace=ws.workspace,
                addresses=Addresses(self._public_url or waiter.address.base_url, self._name_of(ws)),
                now=now,
                stale_since=None,
            )
            result = self._sender.send(waiter, encode_body(waiter.address.kind, run, document), now)
        except Exception:
            _log.exception("a callback", extra={"run_id": str(run.run_id), "action": "deliver"})
            return TryResult(status=None, trouble="a fault of the app, whose log holds the details")
        self._silent_hosts.note(waiter.address.host, answered=result.status is not None)
        return result


def _log_failure(owed: OwedCallback, trouble: str) -> None:
    _log.warning(
        "callback of run %s to %s: %s",
        owed.run_id,
        owed.host,
        trouble,
        extra={"run_id": str(owed.run_id), "action": "deliver"},
    )
