"""The sweep's thinking: which runs to look at and how, and what follows from what was seen. Pure: all times come in.

active runs + the last sweep -> View        how to look: one by one, or through the listing of pipelines
active runs + listing        -> LookPlan    which runs the listing settles, which need a look of their own
run + what was seen + now    -> Decision    the run as it stands now, what to write, whether to ask for a stop
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from polysync_core.model import LastSweep, Run, RunError, SeenUpdate
from polysync_core.rules.pipelines_api import ListedPipeline
from polysync_core.rules.run_states import is_final

DEADLINE_SECONDS = 12.0
ROUND = timedelta(minutes=10)
"""Every run is looked at singly this often, even when the listing shows it unchanged."""
SWEEPS_A_ROUND = 40
"""At the default of a sweep every 15 s."""
LEAST_LOOKS = 25
FEW_RUNS = 3
"""Up to so many runs are looked at singly while nobody knows how many pages a listing takes."""
PAGES_KNOWN_FOR = timedelta(hours=1)
_AFTER_ALL_IDS = "~"


class Missing(Enum):
    """Databricks answered that the update (or its whole pipeline) does not exist."""

    MISSING = "missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class LookPlan:
    """`listed` runs are settled by the listing; `single` run ids need a GET of their own, the longest unseen first."""

    listed: Mapping[str, SeenUpdate]
    single: tuple[str, ...]
    round_began_at: datetime
    round_cursor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """`run` as it stands now; `write` when that differs enough to be stored; `stop` when a stop is to be asked for."""

    run: Run
    write: bool
    stop: bool

    @property
    def finishes(self) -> bool:
        return self.write and self.run.is_finished


def known_pages(last: LastSweep | None, now: datetime) -> int | None:
    """How many pages a listing of the workspace's pipelines takes, as far as that is still known."""
    if last is None or last.pages_counted_at is None or now - last.pages_counted_at > PAGES_KNOWN_FOR:
        return None
    return last.pages


def should_list(active: int, pages: int | None) -> bool:
    """Whether listing the pipelines costs fewer calls than one GET for each of `active` runs."""
    return active > (FEW_RUNS if pages is None else pages)


def plan_looks(
    runs: Sequence[Run], listing: Mapping[str, ListedPipeline] | None, last: LastSweep | None, now: datetime
) -> LookPlan:
    """Sort the active runs into those that `listing` settles and those that need a look of their own.

    Singly: those that look finished, are missing in the listing, or have a newer update beside them; and, in rounds of
    10 minutes, every other. Without a listing all of them.
    """
    not_seen = frozenset[str]() if last is None else last.not_seen
    in_order = sorted(runs, key=lambda run: (str(run.run_id) not in not_seen, run.seen_at))
    listed: dict[str, SeenUpdate] = {}
    single = []
    for run in in_order:
        seen = None if listing is None else _settled_by(listing.get(run.run_id.pipeline_id), run)
        if seen is None:
            single.append(str(run.run_id))
        else:
            listed[str(run.run_id)] = seen
    began_at, cursor, due = _continue_round(sorted(listed), len(runs), last, now)
    for run_id in due:
        del listed[run_id]
    return LookPlan(listed=listed, single=(*single, *due), round_began_at=began_at, round_cursor=cursor)


def _settled_by(pipeline: ListedPipeline | None, run: Run) -> SeenUpdate | None:
    """The run's update in the listing when it is the pipeline's newest and not final; else a look of its own is due."""
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
) -> tuple[datetime, str, Sequence[str]]:
    """The round's begin, its new cursor, and whose turn it is: in order of run id, a fortieth of the runs a sweep."""
    began_at, cursor = now, ""
    if last is not None and last.round_began_at is not None:
        began_at, cursor = last.round_began_at, last.round_cursor
        if cursor == _AFTER_ALL_IDS and now - began_at >= ROUND:
            began_at, cursor = now, ""
    ahead = [run_id for run_id in listed if run_id > cursor]
    turn = ahead[: max(LEAST_LOOKS, -(-active // SWEEPS_A_ROUND))]
    return began_at, turn[-1] if len(turn) < len(ahead) else _AFTER_ALL_IDS, turn


def decide(run: Run, seen: SeenUpdate | Missing, now: datetime, lost_after: timedelta) -> Decision:
    """What follows for an active `run` from one answer of Databricks. The only place where a run's story goes on."""
    if isinstance(seen, Missing):
        return _decide_missing(run, now, lost_after)
    after = _with_seen(run, seen)
    write = (
        after.state != run.state
        or after.started_at != run.started_at
        or run.missing_since is not None
        or is_final(after.state)
    )
    if is_final(after.state):
        after = replace(after, finished_at=now, error=_error_of(after))
    stop = after.cancel_requested_at is not None and after.state != "STOPPING" and not is_final(after.state)
    return Decision(run=replace(after, seen_at=now, updated_at=now) if write else run, write=write, stop=stop)


def _with_seen(run: Run, seen: SeenUpdate) -> Run:
    current = run.attempts[-1]
    attempt = replace(
        current,
        state=seen.state,
        cause=seen.cause or current.cause,
        created_at=seen.created_at or current.created_at,
    )
    attempts = (*run.attempts[:-1], attempt)
    return replace(
        run,
        attempts=attempts,
        started_at=attempts[0].created_at,
        full_refresh=seen.full_refresh if run.full_refresh is None else run.full_refresh,
        pipeline_name=seen.pipeline_name or run.pipeline_name,
        missing_since=None,
    )


def _error_of(run: Run) -> RunError | None:
    if run.state != "FAILED":
        return None
    return RunError(code="UpdateFailed", message="The update failed; its page in Databricks shows the events.")


def _decide_missing(run: Run, now: datetime, lost_after: timedelta) -> Decision:
    """Count from the first such answer; given up after `lost_after`. A stop would have nothing to stop."""
    missing_since = run.missing_since or now
    after = replace(run, missing_since=missing_since, seen_at=now, updated_at=now)
    if now - missing_since >= lost_after:
        return Decision(run=_given_up(after, now), write=True, stop=False)
    return Decision(run=after if run.missing_since is None else run, write=run.missing_since is None, stop=False)


def _given_up(run: Run, now: datetime) -> Run:
    last_word = "no state was ever seen" if run.state is None else f"its last state was {run.state}"
    since = (run.missing_since or now).strftime("%Y-%m-%d %H:%M UTC")
    lost = RunError(
        code="RunLost",
        message=f"Given up: Databricks has answered since {since} that this update does not exist; {last_word}.",
    )
    unknown = replace(run.attempts[-1], state=None)
    return replace(run, attempts=(*run.attempts[:-1], unknown), finished_at=now, error=lost)


def seen_at(run: Run, last: LastSweep | None) -> datetime:
    """As of when the run's state is known: its own look, or the last sweep that saw it unchanged."""
    if run.is_finished or last is None or str(run.run_id) in last.not_seen:
        return run.seen_at
    return max(run.seen_at, last.swept_at)


def is_fresh(run: Run, last: LastSweep | None, now: datetime, max_age_seconds: int) -> bool:
    return run.is_finished or now - seen_at(run, last) <= timedelta(seconds=max_age_seconds)
