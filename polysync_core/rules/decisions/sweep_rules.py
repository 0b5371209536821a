"""Which runs a sweep observes, in which order, and what a listing of pipelines settles. Pure: times are arguments.

active runs + the last sweep   -> longest_unseen_first    the order of the looks
active runs + the last sweep   -> next_turn               runs that get their own GET in any case, once in ten minutes
a listed pipeline + its run    -> settled_by              what the listing says, or None: the run needs its own GET

Whether pipelines are listed is in listing_rules. What follows for a run from what was seen is in run_transitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

from polysync_core.rules.decisions.budgets import SWEEP_TIMES, SweepTimes
from polysync_core.rules.decisions.run_states import is_final
from polysync_core.rules.decisions.run_transitions import TransitionLimits
from polysync_core.values.databricks import ListedPipeline, SeenUpdate
from polysync_core.values.run import NEVER, LastSweep, ListingMemory, Run, SweepReport
from polysync_core.values.stored import Locked, UnreadableRow

ROUND = timedelta(minutes=10)
"""Every run gets its own GET this often, even if the list of pipelines shows it unchanged."""
SWEEPS_A_ROUND = 40
"""The number of sweeps in a ROUND, at the default of one sweep every 15 s."""
MOST_TO_CATCH_UP = 25
_AFTER_ALL_IDS = "~"
MOST_NAMED, MOST_SHOWN_CHARACTERS = 20, 200
MOST_NOT_SEEN, MOST_NO_ANSWER = 3_400, 400
"""Run ids that `sweep|last` keeps. With ids of 129 characters and a long page token, the row stays under 1 MiB."""


class SweepOutcome(StrEnum):
    """How the sweep of one workspace ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    """Some active runs were not seen."""
    FAILED = "failed"
    """Nothing answered, or the sweep did not come about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepLimits:
    """What the settings say about a sweep, and the times of its parts, which no setting changes."""

    transitions: TransitionLimits
    settle_seconds: int
    retention: timedelta
    times: SweepTimes = SWEEP_TIMES


def longest_unseen_first(active: Iterable[Locked[Run]], last: LastSweep | None) -> list[Locked[Run]]:
    """Return the runs in the order of their looks. Those that the last sweep did not see come first."""
    not_seen: Mapping[str, datetime] = {} if last is None else last.not_seen
    return sorted(active, key=lambda at: (str(at.value.run_id) not in not_seen, seen_at(at.value, last)))


def next_looks(
    active: Sequence[Locked[Run]], last: LastSweep | None, memory: ListingMemory, most: int
) -> tuple[list[Locked[Run]], ListingMemory]:
    """Return the runs that get their own GET while no listing is possible, at most `most`, and what is stored.

    The longest unseen come first. Of more runs than `sweep|last` can name, nobody knows which these are. Then the runs
    have their turns in the order of their ids.
    """
    if len(active) <= MOST_NOT_SEEN:
        return longest_unseen_first(active, last)[:most], memory
    by_id = {str(at.value.run_id): at for at in active}
    looks = in_turn(by_id, memory.round_cursor)[:most]
    return [by_id[run_id] for run_id in looks], replace(memory, round_cursor=looks[-1])


def outcome_of(report: SweepReport) -> SweepOutcome:
    if report.trouble:
        return SweepOutcome.FAILED
    return SweepOutcome.PARTIAL if report.failed else SweepOutcome.COMPLETE


def waiting_since(last: LastSweep | None) -> datetime:
    """Return since when a workspace has waited for a sweep. It waits on if its last sweep saw none of its runs."""
    if last is None:
        return NEVER
    is_unseen = last.report.active > 0 and last.report.failed == last.report.active
    return min(last.swept_at, *last.not_seen.values()) if is_unseen and last.not_seen else last.swept_at


def settled_by(pipeline: ListedPipeline, run: Run) -> SeenUpdate | None:
    """Return the run's update if the list shows it as the newest and not final. None: the run needs its own GET.

    A final state is always confirmed by that GET.
    """
    if not pipeline.latest_updates:
        return None
    newest = pipeline.latest_updates[0]
    if newest.update_id != run.current_id.update_id or is_final(newest.state):
        return None
    if any(_is_newer(other, newest) for other in pipeline.latest_updates[1:]):
        return None
    return newest


def _is_newer(other: SeenUpdate, than: SeenUpdate) -> bool:
    return other.created_at is not None and than.created_at is not None and other.created_at > than.created_at


def next_turn(run_ids: Sequence[str], last: LastSweep | None, now: datetime) -> tuple[ListingMemory, frozenset[str]]:
    """Return the runs that get their own GET in this sweep, whatever a listing shows, and the state of the round.

    `run_ids` are those of all active runs. Each of them has its turn once in a round of 10 minutes.
    """
    memory = ListingMemory() if last is None else last.listing
    began_at, cursor = memory.round_began_at or now, memory.round_cursor
    if cursor == _AFTER_ALL_IDS and now - began_at >= ROUND:
        began_at, cursor = now, ""
    ahead = sorted(run_id for run_id in run_ids if run_id > cursor)
    turn = ahead[: _turn_size(len(run_ids), last, now)]
    cursor = turn[-1] if len(turn) < len(ahead) else _AFTER_ALL_IDS
    return replace(memory, round_began_at=began_at, round_cursor=cursor), frozenset(turn)


def _turn_size(active: int, last: LastSweep | None, now: datetime) -> int:
    """Return how many runs get their own GET in this sweep: a fortieth of the active runs.

    After a longer pause it is the pause's share of the round, but at most 25. It is never less than a fortieth.
    """
    share = 0.0 if last is None else min(1.0, (now - last.swept_at) / ROUND)
    return max(ceil(active / SWEEPS_A_ROUND), min(MOST_TO_CATCH_UP, ceil(active * share)))


def seen_at(run: Run, last: LastSweep | None) -> datetime:
    """Return when the run's state was last observed, by its own row or by the last sweep that saw it unchanged."""
    if run.is_finished or last is None:
        return run.seen_at
    return max(run.seen_at, _seen_by_sweep(str(run.run_id), last))


def _seen_by_sweep(run_id: str, last: LastSweep) -> datetime:
    return last.not_seen.get(run_id, last.others_seen_at or last.swept_at)


def note_not_seen(run_ids: Iterable[str], last: LastSweep | None) -> tuple[Mapping[str, datetime], datetime | None]:
    """For each run that a sweep did not see, the last sweep that saw it, as far as the previous sweep `last` knows.

    A run that is new since then was seen by none; its own time, which is later, counts for it. At most 3,400 runs are
    named, the longest unseen first. Beyond them, the second value is the time that counts for every other run.
    """
    seen = {run_id: NEVER if last is None else _seen_by_sweep(run_id, last) for run_id in run_ids}
    if len(seen) <= MOST_NOT_SEEN:
        return seen, None
    ordered = sorted(seen, key=lambda run_id: (seen[run_id], run_id))
    return {run_id: seen[run_id] for run_id in ordered[:MOST_NOT_SEEN]}, seen[ordered[MOST_NOT_SEEN]]


def behind_seconds(not_seen: Iterable[Run], last: LastSweep | None, now: datetime) -> float:
    """Return for how long the longest unseen of these runs has not been seen. 0 if there are none."""
    return max(((now - seen_at(run, last)).total_seconds() for run in not_seen), default=0.0)


def name_pipelines(unreadable: Iterable[UnreadableRow]) -> tuple[str, ...]:
    """Return the pipeline ids of unreadable rows, for health: at most 20, each cut to 200 characters."""
    names = dict.fromkeys(row.pipeline_id[:MOST_SHOWN_CHARACTERS] for row in unreadable)
    return tuple(names)[:MOST_NAMED]


def in_turn(keys: Iterable[str], after: str) -> tuple[str, ...]:
    """Return the sorted `keys`, beginning with the first one after `after`. The others follow, so each has its turn."""
    ordered = sorted(keys)
    return (*(key for key in ordered if key > after), *(key for key in ordered if key <= after))


def is_fresh(run: Run, last: LastSweep | None, now: datetime, max_age_seconds: int) -> bool:
    return run.is_finished or now - seen_at(run, last) <= timedelta(seconds=max_age_seconds)
