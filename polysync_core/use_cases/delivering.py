"""Send the callbacks that are due, each at least once. An instance claims a callback before it sends it.

Deliveries run side by side. A slow receiver holds only a few threads, and a pass ends in time whatever receivers do.
Callbacks that a pass did not begin stay due for the next one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
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

    def run(self) -> DeliveryReport:
        with storage_deadline(self._gathering):  # silent storage must not hold the pass up
            due = self._gather()
        if len(self._unread) == len(self._workspaces):
            raise AllWorkspacesFailed(self._unread)
        outcomes = self._sending.send(due)
        report = DeliveryReport(
            due=len(due),
            delivered=outcomes[Outcome.DELIVERED],
            failed=outcomes[Outcome.FAILED],
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
        return list(
            callback_rules.take_turns(
                found, lambda delivery: delivery.owed, lambda delivery: (delivery.ws.workspace, delivery.owed.host)
            )
        )

    def _read_due(self, ws: WorkspaceServices) -> list[Delivery]:
        """What is due in one workspace, as far as it can be read in time."""
        found: list[Delivery] = []
        taken: Counter[tuple[str, bool]] = Counter()
        now, oldest_seconds = self._clock.now(), 0.0
        try:
            for callback in ws.callbacks.due(now):
                oldest_seconds = max(oldest_seconds, callback_rules.waited_seconds(callback.value, now))
                kind = callback.value.host, callback.value.tries > 0
                taken[kind] += 1
                if taken[kind] <= _BACKLOG_A_HOST:
                    found.append(Delivery(ws=ws, callback=callback))
                if self._gathering.is_over():
                    break
        except PolysyncError as error:
            _log.warning("due callbacks of workspace %s: %s", ws.workspace.name, error.detail)
            if not found:
                self._unread[ws.workspace.name] = error.detail
        metrics.note_callbacks(ws.workspace.name, taken.total(), oldest_seconds)
        return found
