"""Send the callbacks that are due, each at least once. An instance claims a callback before it sends it.

Deliveries run side by side. A slow receiver holds only a few threads, and a pass ends in time whatever receivers do.
Callbacks that a pass did not begin stay due for the next one.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from enum import Enum, auto

from polysync_core.adapters.callback_sender import CallbackSender
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.threads import ContextPool
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, callback_rules
from polysync_core.rules.decisions.callback_rules import TryResult
from polysync_core.rules.wire.addresses import Addresses
from polysync_core.rules.wire.run_document import encode_body, encode_document
from polysync_core.values.callback import CallbackState, OwedCallback, Waiter
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import CallbacksNotOwed, PolysyncError, RunNotFound
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.deliver")
_THREADS, _MOST_THREADS_A_HOST = 64, 32
_QUICK_SECONDS = 1.0
"""A host has one thread at first, and twice as many after each answer that came within this."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Delivery:
    """A callback to send, and the workspace of its run."""

    ws: WorkspaceServices
    callback: Locked[OwedCallback]

    @property
    def owed(self) -> OwedCallback:
        return self.callback.value


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
        self._share: dict[str, int] = {}
        self._public_url = public_url
        self._clock = workspaces[0].clock
        self._deadline = Deadline.after(self._clock, pass_seconds)
        self._gathering = self._deadline.earlier_by(pass_seconds * (1 - budgets.DELIVERY_GATHERING / budgets.DELIVERY))

    def run(self) -> DeliveryReport:
        with storage_deadline(self._gathering):  # silent storage must not hold the pass up
            due = self._gather()
        outcomes = self._send_all(due)
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

    def _gather(self) -> list[_Delivery]:
        """What is due, in the order of sending. The workspaces are read side by side, so that none hides another."""
        with ContextPool(min(_READERS, len(self._workspaces)), thread_name_prefix="due callbacks") as pool:
            found = [delivery for read in pool.map(self._read_due, self._workspaces) for delivery in read]
        return list(
            callback_rules.take_turns(
                found, lambda delivery: delivery.owed, lambda delivery: (delivery.ws.workspace, delivery.owed.host)
            )
        )

    def _read_due(self, ws: WorkspaceServices) -> list[_Delivery]:
        """What is due in one workspace, as far as it can be read in time."""
        found: list[_Delivery] = []
        taken: Counter[tuple[str, bool]] = Counter()
        try:
            for callback in ws.callbacks.due(self._clock.now()):
                kind = callback.value.host, callback.value.tries > 0
                taken[kind] += 1
                if taken[kind] <= _BACKLOG_A_HOST:
                    found.append(_Delivery(ws=ws, callback=callback))
                if self._gathering.is_over():
                    break
        except PolysyncError as error:
            _log.warning("due callbacks of workspace %s: %s", ws.workspace.name, error.detail)
        return found

    # --- send

    def _send_all(self, due: Sequence[_Delivery]) -> Counter[_Outcome]:
        """Count the outcomes of the deliveries that ended in time."""
        outcomes: Counter[_Outcome] = Counter()
        waiting: dict[str, deque[tuple[int, _Delivery]]] = {}
        for number, delivery in enumerate(due):
            waiting.setdefault(delivery.owed.host, deque()).append((number, delivery))
        sending: dict[Future[_Outcome], str] = {}
        pool = ContextPool(_THREADS, thread_name_prefix="callback")
        try:
            while (waiting or sending) and not self._deadline.is_over():
                while self._begin(waiting, sending, pool):
                    pass
                done, _ = wait(sending, timeout=self._deadline.seconds_left(), return_when=FIRST_COMPLETED)
                for future in done:
                    del sending[future]
                    outcomes[future.result()] += 1
        finally:
            for host in sending.values():
                self._silent_hosts.note(host, answered=False)
            pool.shutdown(wait=False, cancel_futures=True)
        return outcomes

    def _begin(
        self, waiting: dict[str, deque[tuple[int, _Delivery]]], sending: dict[Future[_Outcome], str], pool: ContextPool
    ) -> bool:
        """Begin at most one delivery to each host, as the threads and its share allow. Whether any has begun."""
        of_host = Counter(sending.values())
        silent = sum(count for host, count in of_host.items() if self._silent_hosts.is_silent(host))
        before = len(sending)
        for host in sorted(waiting, key=lambda each: waiting[each][0][0]):
            is_silent = self._silent_hosts.is_silent(host)
            if len(sending) >= _THREADS:
                break
            if of_host[host] >= self._share.get(host, 1) or (is_silent and silent >= _THREADS_FOR_SILENT):
                continue
            silent += is_silent
            _, delivery = waiting[host].popleft()
            sending[pool.submit(self._send, delivery)] = host
            if not waiting[host]:
                del waiting[host]
        return len(sending) > before

    def _send(self, delivery: _Delivery) -> _Outcome:
        """Claim the callback, send it, and store the result."""
        ws, owed = delivery.ws, delivery.owed
        try:
            claimed = ws.callbacks.claim(delivery.callback, self._clock.now())
            if claimed is None:
                return _Outcome.NOT_OURS
            run = ws.runs.find(owed.run_id)
            waiter = ws.callbacks.find_waiter(owed.run_id, owed.callback_id)
            if run is None or waiter is None:
                ws.callbacks.drop(claimed)
                return _Outcome.NOT_OURS
            result = self._post(run, waiter, ws)
            after = ws.callbacks.save_try(
                claimed,
                lambda callback: callback_rules.decide_after_try(callback, claimed.value, result, self._clock.now()),
            )
        except PolysyncError as error:
            _log_failure(owed, error.detail)
            return _Outcome.FAILED
        except Exception:
            _log.exception("a callback", extra={"run_id": str(owed.run_id), "action": "deliver"})
            return _Outcome.FAILED
        if after is None:
            return _Outcome.NOT_OURS
        if after.state is CallbackState.DELIVERED:
            return _Outcome.DELIVERED
        _log_failure(claimed.value, f"{result.error} -> {after.state}")
        return _Outcome.FAILED

    def _name_of(self, ws: WorkspaceServices) -> str | None:
        return ws.workspace.name if len(self._workspaces) > 1 else None

    def _post(self, run: Run, waiter: Waiter, ws: WorkspaceServices) -> TryResult:
        """Send the callback once. A bug of the app counts as a failed try, so that it is given up in the end."""
        now, began = self._clock.now(), self._clock.monotonic()
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
        host = waiter.address.host
        self._silent_hosts.note(host, answered=result.status is not None)
        share, is_quick = self._share.get(host, 1), self._clock.monotonic() - began <= _QUICK_SECONDS
        if result.status is not None and is_quick:
            self._share[host] = min(_MOST_THREADS_A_HOST, 2 * share)
        else:
            self._share[host] = max(1, share // 2)
        return result


def _log_failure(owed: OwedCallback, trouble: str) -> None:
    _log.warning(
        "callback of run %s to %s: %s",
        owed.run_id,
        owed.host,
        trouble,
        extra={"run_id": str(owed.run_id), "action": "deliver"},
    )
