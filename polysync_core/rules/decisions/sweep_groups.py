"""Groups of workspaces that are swept by one message on the queue. Pure: times are arguments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil

from polysync_core.values.run import LastSweep, SweepGroup

LATE_AFTER = 2
"""A workspace that no message has swept for this many intervals is swept by the timer itself."""


def divide(costs: Mapping[str, float], most: int) -> tuple[tuple[str, ...], ...]:
    """Divide workspaces into as few groups of at most `most` as possible, of about equal cost.

    `costs` are the costs of the workspaces by name. The dearest ones are placed first, each into the cheapest group
    that has room.
    """
    groups: list[list[str]] = [[] for _ in range(ceil(len(costs) / most))]
    totals = [0.0] * len(groups)
    for name in sorted(costs, key=lambda each: (-costs[each], each)):
        place = min((at for at, group in enumerate(groups) if len(group) < most), key=lambda at: (totals[at], at))
        groups[place].append(name)
        totals[place] += costs[name]
    return tuple(tuple(sorted(group)) for group in groups)


def cost_of(last: LastSweep | None) -> float:
    """Return what a sweep of a workspace is expected to cost, in calls: those of the last one, and one for itself."""
    return 1.0 if last is None else 1.0 + last.report.calls


def is_late(last: LastSweep | None, interval: timedelta, now: datetime) -> bool:
    """Whether a workspace has waited so long that its group cannot have been taken from the queue."""
    return last is None or now - last.swept_at > LATE_AFTER * interval


def failures(
    last_sweeps: Mapping[str, LastSweep | None], workspaces: int, interval: timedelta, now: datetime
) -> Mapping[str, str]:
    """Why the sweeps that the tick before has asked for have failed, by workspace. Empty unless all of them did.

    Each of the app's `workspaces` has failed, and at least one of them since the tick before. So one failure is found
    in one tick only: a timer that fails sends no messages, and at the next tick its evidence is too old.
    """
    troubles = {name: last.report.trouble for name, last in last_sweeps.items() if last is not None}
    are_new = any(last is not None and now - last.swept_at < interval for last in last_sweeps.values())
    return troubles if are_new and len(troubles) == workspaces and all(troubles.values()) else {}


def is_outdated(group: SweepGroup, interval: timedelta, now: datetime) -> bool:
    """Whether a message is so old that the next tick has sent another one. So no backlog can build up."""
    return now - group.sent_at > interval
