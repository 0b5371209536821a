"""Which runs a sweep observes, and how: one by one, or through the listing of pipelines. Pure: times are arguments.

active runs + what is known of listings -> should_list    one by one, or through the listing of pipelines
active runs + listing                   -> LookPlan       which runs the listing settles, which need their own look

What follows for a run from what was seen is in run_transitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from polysync_core.rules.decisions.run_states import is_final
from polysync_core.rules.decisions.run_transitions import TransitionLimits
from polysync_core.values.databricks import ListedPipeline, SeenUpdate
from polysync_core.values.run import NEVER, LastSweep, ListingMemory, Run
from polysync_core.values.stored import UnreadableRow

ROUND = timedelta(minutes=10)
"""Every run gets its own GET this often, even if the list of pipelines shows it unchanged."""
SWEEPS_A_ROUND = 40
"""The number of sweeps in a ROUND, at the default of one sweep every 15 s."""
MOST_TO_CATCH_UP = 25
PAGES_KNOWN_FOR = timedelta(hours=1)
_AFTER_ALL_IDS = "~"
MOST_NAMED, MOST_SHOWN_CHARACTERS = 20, 200
MOST_NOT_SEEN, MOST_NO_ANSWER = 3_500, 400
"""Run ids that `sweep|last` keeps. Even the longest ids, 129 characters of two bytes, stay under the 1 MiB of a row."""
MOST_LOOKS_WHILE_BUSY = 40
"""Single looks of a sweep while Databricks answers listings with 429 or 503: about three a second."""
_BUSY_FOR = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepLimits:
    """What the settings say about a sweep."""

    transitions: TransitionLimits
    settle_seconds: int
    retention: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class LookPlan:
    """How a sweep observes the runs. `listed` maps run ids to their updates in the list of pipelines.

    `single` are the run ids that need their own GET, in the order of sending. `memory` is stored for the next sweep.
    """

    listed: Mapping[str, SeenUpdate]
    single: tuple[str, ...]
    memory: ListingMemory


def known_pages(memory: ListingMemory, now: datetime) -> int | None:
    """Return how many pages the list of the workspace's pipelines takes. None if the count is unknown or too old."""
    if memory.pages_counted_at is None or now - memory.pages_counted_at > PAGES_KNOWN_FOR:
        return None
    return memory.pages


def should_list(active: int, pages: int | None) -> bool:
    """Whether listing the pipelines costs fewer calls than one GET for each of `active` runs.

    `pages` is None if the number of pages is unknown. The list is then tried if there are at least two active runs.
    """
    return active > (1 if pages is None else pages)


def is_listing_busy(memory: ListingMemory, now: datetime) -> bool:
    """Whether Databricks asked to wait with listings for longer than until `now`."""
    return memory.not_before is not None and now < memory.not_before


def note_busy(memory: ListingMemory, retry_after_seconds: int | None, now: datetime) -> ListingMemory:
    """Databricks refused a listing for now: the next one begins a minute later, or when Databricks says."""
    return replace(memory, not_before=now + max(_BUSY_FOR, timedelta(seconds=retry_after_seconds or 0)))


def plan_looks(
    runs: Sequence[Run], listing: Mapping[str, ListedPipeline] | None, last: LastSweep | None, now: datetime
) -> LookPlan:
    """Divide the active runs into those observed from `listing` and those that need their own GET.

    A run needs its own GET if the list shows it finished, does not have it, or has a newer update. Every other run gets
    its own GET once in a round of 10 minutes. Without a list, every run gets its own GET.
    """
    not_seen: Mapping[str, datetime] = {} if last is None else last.not_seen
    in_order = sorted(runs, key=lambda run: (str(run.run_id) not in not_seen, seen_at(run, last)))
    listed: dict[str, SeenUpdate] = {}
    single = []
    for run in in_order:
        seen = None if listing is None else _settled_by(listing.get(run.run_id.pipeline_id), run)
        if seen is None:
            single.append(str(run.run_id))
        else:
            listed[str(run.run_id)] = seen
    memory, due = _continue_round(sorted(listed), len(runs), last, now)
    for run_id in due:
        del listed[run_id]
    return LookPlan(listed=listed, single=(*single, *due), memory=memory)


def _settled_by(pipeline: ListedPipeline | None, run: Run) -> SeenUpdate | None:
    """Return the run's update if the list shows it as the newest and not final. None: the run needs its own GET."""
    if pipeline is None or not pipeline.latest_updates:
        return None
    newest = pipeline.latest_updates[0]
    if newest.update_id != run.current_id.update_id or is_final(newest.state):
        return None
    if any(_is_newer(other, newest) for other in pipeline.latest_updates[1:]):
        return None
    return replace(newest, pipeline_name=pipeline.name)


def _is_newer(other: SeenUpdate, than: SeenUpdate) -> bool:
    return other.created_at is not None and than.created_at is not None and other.created_at > than.created_at


def _continue_round(
    listed: Sequence[str], active: int, last: LastSweep | None, now: datetime
) -> tuple[ListingMemory, Sequence[str]]:
    """Return the state of the round after this sweep, and the runs that get their own GET now, in order of run id."""
    memory = ListingMemory() if last is None else last.listing
    began_at, cursor = memory.round_began_at or now, memory.round_cursor
    if cursor == _AFTER_ALL_IDS and now - began_at >= ROUND:
        began_at, cursor = now, ""
    ahead = [run_id for run_id in listed if run_id > cursor]
    turn = ahead[: _turn_size(active, last, now)]
    cursor = turn[-1] if len(turn) < len(ahead) else _AFTER_ALL_IDS
    return replace(memory, round_began_at=began_at, round_cursor=cursor), turn


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

    A run that is new since then was seen by none; its own time, which is later, counts for it. At most 3,500 runs are
    named, the longest unseen first. Beyond them, the second value is the time that counts for every other run.
    """
    seen = {run_id: NEVER if last is None else _seen_by_sweep(run_id, last) for run_id in run_ids}
    if len(seen) <= MOST_NOT_SEEN:
        return seen, None
    ordered = sorted(seen, key=lambda run_id: (seen[run_id], run_id))
    return {run_id: seen[run_id] for run_id in ordered[:MOST_NOT_SEEN]}, seen[ordered[MOST_NOT_SEEN]]


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
