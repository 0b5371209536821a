"""Sweeps of very many workspaces: the timer hands out groups of them, and each group is swept by a queue's message.

A message may come late, twice or never. A sweep of a workspace therefore begins with a claim. A message that is older
than one interval is dropped. What no message has swept for two intervals, the timer sweeps itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import sweep_groups
from polysync_core.rules.decisions.sweep_rules import SweepLimits
from polysync_core.rules.wire.sweep_message import QUEUE, decode_group
from polysync_core.use_cases.sweeping import Claiming, check_not_all_failed, read_last_sweeps, sweep_workspaces
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import AllWorkspacesFailed, StorageUnavailable
from polysync_core.values.run import SweepGroup

_log = logging.getLogger("polysync.sweep")
_MOST_SHOWN_CHARACTERS = 200


def hand_out(
    workspaces: Mapping[str, WorkspaceServices], limits: SweepLimits, *, most: int, interval: timedelta
) -> tuple[SweepGroup, ...]:
    """Return all workspaces, by name, in groups of at most `most`. First sweep those that no message has swept.

    Raises StorageUnavailable if no row of a last sweep can be read. Raises AllWorkspacesFailed if every workspace had
    to be swept here and none could be, or if all sweeps failed that the tick before has asked for. A timer that raises
    sends no message. The next tick then finds no new failure, and sends them: so a failure costs every second round.
    """
    clock = next(iter(workspaces.values())).clock
    last_sweeps = read_last_sweeps([*workspaces.values()], Deadline.after(clock, limits.times.listing))
    if not last_sweeps:
        raise StorageUnavailable("Table Storage gave no answer to the read of any workspace's last sweep.")
    now = clock.now()
    late = [name for name, last in last_sweeps.items() if sweep_groups.is_late(last, interval, now)]
    if late:
        was_swept = any(last_sweeps[name] is not None for name in late)
        if was_swept:
            _log.warning("%d workspaces wait on the queue %s for too long; the timer sweeps them", len(late), QUEUE)
        since = now - sweep_groups.LATE_AFTER * interval
        claiming = Claiming(unless_swept_since=since, stands_in=was_swept)
        reports = sweep_workspaces([workspaces[name] for name in late], limits, claiming)
        check_not_all_failed(reports, len(workspaces))
    elif failures := sweep_groups.failures(last_sweeps, len(workspaces), interval, now):
        raise AllWorkspacesFailed(failures)
    costs = {name: sweep_groups.cost_of(last_sweeps.get(name)) for name in workspaces}
    sent_at = clock.now()
    return tuple(SweepGroup(sent_at=sent_at, workspaces=names) for names in sweep_groups.divide(costs, most))


def sweep_group(
    body: bytes, workspaces: Mapping[str, WorkspaceServices], limits: SweepLimits, *, interval: timedelta
) -> None:
    """Sweep the workspaces that a message names. A message that makes no sense, or is too old, is logged and dropped.

    It never raises: the host would deliver the message again, and the next tick sends another one anyway.
    """
    try:
        group = decode_group(body)
    except ValueError:
        group = None
    known = [] if group is None else [workspaces[name] for name in group.workspaces if name in workspaces]
    if group is None or len(known) < len(group.workspaces) or not known:
        shown = body[:_MOST_SHOWN_CHARACTERS].decode(errors="replace")
        _log.error("a message on the queue %s names workspaces that are not known: %r", QUEUE, shown)
    if group is None or not known:
        return
    now = known[0].clock.now()
    if sweep_groups.is_outdated(group, interval, now):
        age = (now - group.sent_at).total_seconds()
        _log.warning("a message on the queue %s is %.0f s old and is dropped", QUEUE, age)
        return
    sweep_workspaces(known, limits, Claiming(unless_swept_since=group.sent_at))
