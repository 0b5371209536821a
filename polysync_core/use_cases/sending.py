"""Claims callbacks and sends them, side by side. A slow receiver holds only a few threads and delays no other."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from polysync_core.adapters.callback_sender import CallbackSender
from polysync_core.adapters.host_pace import HostPace
from polysync_core.adapters.storage.callback_store import FinishedTry
from polysync_core.adapters.telemetry import client_span
from polysync_core.adapters.threads import ContextPool
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import callback_rules
from polysync_core.rules.decisions.callback_rules import TryResult
from polysync_core.rules.wire.addresses import Addresses
from polysync_core.rules.wire.run_document import encode_body, encode_document
from polysync_core.use_cases.try_writer import TryWriter
from polysync_core.values.callback import Callback, CallbackState, OwedCallback, Waiter
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import PolysyncError
from polysync_core.values.run import Run
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.deliver")
_THREADS = 64
_THREADS_FOR_QUICK = 40
"""Hosts that answer fast share this many beyond their fourth ones. So they leave some if they all stop answering."""
_THREADS_FOR_SILENT = 16
"""Hosts that gave no answer lately share this many."""


class Outcome(Enum):
    DELIVERED = auto()
    FAILED = auto()
    NOT_OURS = auto()
    """Another instance claimed the callback, or no caller waits for it any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A callback to send, and the workspace of its run."""

    ws: WorkspaceServices
    callback: Locked[OwedCallback]

    @property
    def owed(self) -> OwedCallback:
        return self.callback.value


@dataclass(kw_only=True, slots=True)
class _Host:
    """The callbacks of one receiver that wait for their turn, each with its place in the order of the pass."""

    waiting: deque[tuple[int, Delivery]] = field(default_factory=deque)
    pace: HostPace = field(default_factory=HostPace)

    def take(self, count: int) -> list[Delivery]:
        return [self.waiting.popleft()[1] for _ in range(count)]


class Sending:
    """Sends callbacks until a deadline. What is under way then goes on, and saves its own result.

    `public_url` is the configured address at which callers reach the app, or None.
    """

    def __init__(
        self,
        workspaces: Sequence[WorkspaceServices],
        sender: CallbackSender,
        public_url: str | None,
        deadline: Deadline,
    ) -> None:
        self._names_workspaces = len(workspaces) > 1
        self._sender = sender
        self._silent_hosts = sender.silent_hosts
        self._public_url = public_url
        self._clock = workspaces[0].clock
        self._deadline = deadline
        self._pool = ContextPool(_THREADS, thread_name_prefix="callback")
        self._writers = {ws.workspace.name: TryWriter(ws.callbacks, self._saved) for ws in workspaces}
        self._changed = threading.Condition()
        """Guards what follows. It is notified when there is something new to do."""
        self._hosts: dict[str, _Host] = {}
        self._outcomes: Counter[Outcome] = Counter()
        self._busy = 0
        self._is_over = False

    def send(self, due: Sequence[Delivery]) -> Counter[Outcome]:
        """Count the outcomes of the deliveries that ended in time. What is under way then goes on."""
        for number, delivery in enumerate(due):
            self._hosts.setdefault(delivery.owed.host, _Host()).waiting.append((number, delivery))
        with self._changed:
            try:
                while not self._deadline.is_over():
                    self._begin()
                    if not self._busy:
                        break
                    self._changed.wait(self._deadline.seconds_left())
            finally:
                now = self._clock.monotonic()
                for name, host in self._hosts.items():
                    if host.pace.is_slow(now):
                        self._silent_hosts.note(name, answered=False)
                self._is_over = True
                self._close_if_idle()
            return self._outcomes.copy()

    def _begin(self) -> None:
        """Claim the next callbacks of each host, as many as the threads and its pace allow."""
        now = self._clock.monotonic()
        most = HostPace.MOST_WHILE_SLOW
        paces = [host.pace for host in self._hosts.values()]
        quick = sum(max(0, pace.under_way - most) for pace in paces)
        silent = sum(host.pace.under_way for name, host in self._hosts.items() if self._silent_hosts.is_silent(name))
        waiting = {name: host for name, host in self._hosts.items() if host.waiting}
        for name, host in sorted(waiting.items(), key=lambda item: item[1].waiting[0][0]):
            before = host.pace.under_way
            beyond = _THREADS_FOR_QUICK - quick + max(0, most - before)
            count = min(host.pace.room(now), len(host.waiting), _THREADS - self._busy, beyond)
            is_silent = self._silent_hosts.is_silent(name)
            if count <= 0 or (is_silent and silent >= _THREADS_FOR_SILENT):
                continue
            host.pace.take(count)
            quick += max(0, before + count - most) - max(0, before - most)
            silent += count if is_silent else 0
            self._busy += count
            self._pool.submit(self._claim, host, host.take(count))

    def _claim(self, host: _Host, deliveries: Sequence[Delivery]) -> None:
        """Claim callbacks of one host, and begin to send those that are ours now."""
        by_workspace: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            by_workspace.setdefault(delivery.ws.workspace.name, []).append(delivery)
        claimed = [delivery for of_one in by_workspace.values() for delivery in self._claimed(of_one)]
        with self._changed:
            host.pace.release(len(deliveries) - len(claimed))
            self._end_calls(len(deliveries) - len(claimed))
            for delivery in claimed:
                self._pool.submit(self._send, host, delivery)

    def _claimed(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Those callbacks of one workspace that are ours now."""
        ws = deliveries[0].ws
        try:
            won = ws.callbacks.claim_all([delivery.callback for delivery in deliveries], self._clock.now())
        except PolysyncError as error:
            for delivery in deliveries:
                self._fail(delivery.owed, error.detail)
            return []
        except Exception:
            _log.exception("%s callbacks were not claimed", len(deliveries), extra={"action": "deliver"})
            self._count(Outcome.FAILED, len(deliveries))
            return []
        self._count(Outcome.NOT_OURS, won.count(None))
        return [Delivery(ws=ws, callback=callback) for callback in won if callback is not None]

    def _send(self, host: _Host, delivery: Delivery) -> None:
        """Send a claimed callback, and save the result."""
        try:
            try:
                finished = self._try(host.pace, delivery)
            finally:  # before the result is saved, which is no concern of the host
                with self._changed:
                    host.pace.release(1)
                    self._changed.notify()
            if finished is None:
                self._count(Outcome.NOT_OURS)
            else:
                self._writers[delivery.ws.workspace.name].add(finished)
        except PolysyncError as error:
            self._fail(delivery.owed, error.detail)
        except Exception:
            _log.exception("a callback", extra={"run_id": str(delivery.owed.run_id), "action": "deliver"})
            self._count(Outcome.FAILED)
        finally:
            with self._changed:
                self._end_calls(1)

    def _try(self, pace: HostPace, delivery: Delivery) -> FinishedTry | None:
        """Send a claimed callback. None if no caller waits for it any more."""
        ws, owed = delivery.ws, delivery.owed
        run = ws.callbacks.find_finished_run(owed.run_id)
        waiter = ws.callbacks.find_waiter(owed.run_id, owed.callback_id)
        if run is None or waiter is None:
            ws.callbacks.drop(delivery.callback)
            return None
        began = self._clock.monotonic()
        with self._changed:
            pace.begin(began)
        result = self._post(run.value, waiter, ws)
        with self._changed:
            pace.end(began, self._clock.monotonic(), answered=result.status is not None)

        def decide(callback: Callback) -> Callback:
            return callback_rules.decide_after_try(callback, owed, result, self._clock.now())

        return FinishedTry(claimed=delivery.callback, run=run, decide=decide)

    def _saved(self, finished: FinishedTry, after: Callback | PolysyncError | None) -> None:
        owed = finished.claimed.value
        if after is None:
            self._count(Outcome.NOT_OURS)
        elif isinstance(after, PolysyncError):
            self._fail(owed, after.detail)
        elif after.state is CallbackState.DELIVERED:
            self._count(Outcome.DELIVERED)
        else:
            self._fail(owed, f"{after.last_error} -> {after.state}")

    def _end_calls(self, count: int) -> None:
        self._busy -= count
        self._changed.notify()
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        """After the pass, the last call closes the threads."""
        if self._is_over and not self._busy:
            self._pool.shutdown(wait=False)

    def _count(self, outcome: Outcome, count: int = 1) -> None:
        with self._changed:
            self._outcomes[outcome] += count

    def _fail(self, owed: OwedCallback, trouble: str) -> None:
        self._count(Outcome.FAILED)
        _log_failure(owed, trouble)

    def _name_of(self, ws: WorkspaceServices) -> str | None:
        return ws.workspace.name if self._names_workspaces else None

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
            about = {"polysync.workspace": ws.workspace.name, "polysync.run_id": str(run.run_id)}
            with client_span("callback", {**about, "server.address": waiter.address.host}) as span:
                result = self._sender.send(waiter, encode_body(waiter.address.kind, run, document), now)
                span.note({"http.response.status_code": result.status})
                if not result.is_delivered:
                    span.fail("no answer" if result.status is None else str(result.status))
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
