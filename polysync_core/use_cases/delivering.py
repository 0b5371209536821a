"""Send the callbacks that are due, each at least once. An instance claims a callback before it sends it.

Deliveries run side by side. A slow receiver holds only a few threads, and a pass ends in time whatever receivers do.
Callbacks that a pass did not begin stay due for the next one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polysync_core.adapters import metrics
from polysync_core.adapters.callback_sender import CallbackSender
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.threads import ContextPool
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, callback_rules
from polysync_core.use_cases.sending import Delivery, Outcome, Sending
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import AllWorkspacesFailed, CallbacksNotOwed, PolysyncError, RunNotFound
from polysync_core.values.ids import RunId
from polysync_core.values.run import Run

_log = logging.getLogger("polysync.deliver")
_READERS = 16
_BACKLOG_A_HOST = 1_500
"""A pass takes at most this many first tries and this many repeats of one host in one workspace."""


_MOST_LATER = 1_000
"""A pass looks at this many callbacks that are not due yet. So it reads at most one page of rows more for them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """A workspace's callbacks before they are sent: how many are due, and how long the oldest one has been owed.

    One that waits for its next try has been owed since its first try. Both are too low if there was too much to read.
    """

    due: int
    oldest_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryReport:
    """The counts of one pass. `left`: callbacks that were due and did not end in this pass.

    `queues` holds each workspace that storage showed without an error, by name.
    """

    due: int
    delivered: int
    failed: int
    left: int
    queues: Mapping[str, Queue]


def deliver_callbacks(
    workspaces: Sequence[WorkspaceServices],
    sender: CallbackSender,
    public_url: str | None,
    *,
    pass_seconds: float = budgets.DELIVERY,
) -> DeliveryReport:
    """Send the due callbacks of every workspace, in one pass of at most `pass_seconds`.

    `public_url` is the configured address at which callers reach the app, or None. Raises AllWorkspacesFailed if
    storage shows the due callbacks of no workspace. A receiver that fails is no failure of the pass.
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
        self._clock = workspaces[0].clock
        deadline = Deadline.after(self._clock, pass_seconds)
        self._sending = Sending(workspaces, sender, public_url, deadline)
        self._gathering = deadline.earlier_by(pass_seconds * (1 - budgets.DELIVERY_GATHERING / budgets.DELIVERY))
        self._unread: dict[str, str] = {}
        self._queues: dict[str, Queue] = {}

    def run(self) -> DeliveryReport:
        with storage_deadline(self._gathering):  # silent storage must not hold the pass up
            due = self._gather()
        for name, queue in self._queues.items():
            metrics.note_callbacks(name, queue.due, queue.oldest_seconds)
        if len(self._unread) == len(self._workspaces):
            raise AllWorkspacesFailed(self._unread)
        outcomes = self._sending.send(due)
        report = DeliveryReport(
            due=len(due),
            delivered=outcomes[Outcome.DELIVERED],
            failed=outcomes[Outcome.FAILED],
            left=len(due) - outcomes.total(),
            queues=self._queues,
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
        return list(
            callback_rules.take_turns(
                found, lambda delivery: delivery.owed, lambda delivery: (delivery.ws.workspace, delivery.owed.host)
            )
        )

    def _read_due(self, ws: WorkspaceServices) -> list[Delivery]:
        """What is due in one workspace, as far as it can be read in time.

        The rows are in the order of their due times, so those of callbacks that wait for their next try come last.
        """
        found: list[Delivery] = []
        taken: Counter[tuple[str, bool]] = Counter()
        now, oldest_seconds, later = self._clock.now(), 0.0, 0
        try:
            for callback in ws.callbacks.queue():
                owed = callback.value
                oldest_seconds = max(oldest_seconds, callback_rules.waited_seconds(owed, now))
                if owed.due_at > now:
                    later += 1
                else:
                    kind = owed.host, owed.tries > 0
                    taken[kind] += 1
                    if taken[kind] <= _BACKLOG_A_HOST:
                        found.append(Delivery(ws=ws, callback=callback))
                if later == _MOST_LATER or self._gathering.is_over():
                    break
        except PolysyncError as error:
            _log.warning("due callbacks of workspace %s: %s", ws.workspace.name, error.detail)
            if not taken and not later:
                self._unread[ws.workspace.name] = error.detail
        else:
            self._queues[ws.workspace.name] = Queue(due=taken.total(), oldest_seconds=oldest_seconds)
        return found
