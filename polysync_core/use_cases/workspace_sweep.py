"""The sweep of one workspace: gather what Databricks shows of its active runs, decide, apply.

No call is repeated in a sweep, because the next sweep is the retry. A run that cannot be observed keeps its state and
is counted as failed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from polysync_core import __version__
from polysync_core.adapters.storage.unreadable import MOST_LOGGED, log_unreadable
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import listing_rules, sweep_rules
from polysync_core.rules.decisions.sweep_rules import SweepLimits
from polysync_core.use_cases.pipeline_listing import Listing
from polysync_core.use_cases.run_sweeper import NOT_SEEN, Outcome, RunSweeper
from polysync_core.use_cases.upkeep import Upkeep
from polysync_core.values.databricks_errors import DatabricksUnreachable
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import PolysyncError
from polysync_core.values.run import LastSweep, ListingMemory, Reservation, Run, SweepReport, UpkeepCursor
from polysync_core.values.stored import Locked, Scan, UnreadableRow

_log = logging.getLogger("polysync.sweep")
_NOTHING_ANSWERED = "no request was answered: Entra ID gave no token, or Databricks did not answer or refused the app"
_MOST_UNREADABLE_NOTED = 1_000
"""At most this many unreadable `active` rows are saved as not seen, because a row holds at most 1 MiB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gathered:
    """What storage holds of a workspace when its sweep begins."""

    active: Scan[Locked[Run]]
    starts: Scan[Locked[Reservation]]

    @property
    def unreadable(self) -> tuple[UnreadableRow, ...]:
        return (*self.active.unreadable, *self.starts.unreadable)


class WorkspaceSweep:
    """One sweep of one workspace. `last` is the one before. `began` is when the sweep of all workspaces began.

    `began` is in seconds on the clock's monotonic time. All time budgets of a sweep are counted from there.
    """

    def __init__(self, ws: WorkspaceServices, limits: SweepLimits, last: LastSweep | None, began: float) -> None:
        self._ws = ws
        self._limits = limits
        self._last = last
        self._began_at = ws.clock.now()
        self._began = ws.clock.monotonic()
        self._had_trouble = False
        times = limits.times
        self._deadline = Deadline(ws.clock, began + times.work)
        self._client = ws.databricks.client(Deadline(ws.clock, began + times.databricks))
        self._listing_client = ws.databricks.client(Deadline(ws.clock, began + times.listing))
        # Upkeep has a client of its own: its calls must not use up the time of the observations.
        settling_client = ws.databricks.client(Deadline(ws.clock, began + times.databricks))
        self._upkeep = Upkeep(ws=ws, client=settling_client, began_at=self._began_at, deadline=self._deadline)

    def run(self, *, stood_in: bool = False) -> SweepReport:
        """Sweep, and save the `sweep|last` row. `stood_in` is stored in it. Raises StorageUnavailable."""
        rows = self._gather()
        memory = ListingMemory() if self._last is None else self._last.listing
        cursor = UpkeepCursor() if self._last is None else self._last.upkeep
        settling = self._upkeep.begin_settling(rows.starts.rows, cursor.settled_after, self._limits.settle_seconds)
        silent = frozenset(() if self._last is None else self._last.no_answer)
        outcomes: Mapping[str, Outcome] = {}
        try:
            with RunSweeper(self._ws, self._limits.transitions, self._client, self._deadline, silent) as sweeper:
                try:
                    memory = self._observe(rows.active.rows, memory, sweeper)
                except PolysyncError as error:
                    name = self._ws.workspace.name
                    _log.warning("workspace %s does not answer: %s", name, error.detail, extra={"action": "sweep"})
                    self._had_trouble = True
                    if isinstance(error, DatabricksUnreachable):
                        self._ws.gate.note(answered=False)
                outcomes = sweeper.finish()
            self._note_answers({*outcomes.values()})
            cursor = self._upkeep.clean(cursor, self._limits.retention)
        finally:
            cursor = replace(cursor, settled_after=settling.finish(self._deadline))
        return self._save(rows, outcomes, memory, cursor, stood_in=stood_in)

    def _gather(self) -> _Gathered:
        rows = _Gathered(active=self._ws.runs.list_active(), starts=self._ws.runs.list_reservations())
        for row in rows.unreadable[:MOST_LOGGED]:
            log_unreadable(row.partition, row.key, "sweep")
        return rows

    # --- observe

    def _observe(self, active: Sequence[Locked[Run]], memory: ListingMemory, sweeper: RunSweeper) -> ListingMemory:
        """Observe the active runs, through a listing or singly. Returns what is known of listings afterwards."""
        if not listing_rules.should_list(len(active), listing_rules.known_pages(memory, self._began_at)):
            self._look_at(active, sweeper)
            return memory
        if listing_rules.is_refused(memory, self._began_at):
            return self._look_at_some(active, sweeper, memory)
        return self._list(active, memory, sweeper)

    def _look_at(self, active: Sequence[Locked[Run]], sweeper: RunSweeper) -> None:
        """Look at runs singly, the longest unseen first."""
        for locked in sweep_rules.longest_unseen_first(active, self._last):
            sweeper.look(locked)

    def _look_at_some(self, active: Sequence[Locked[Run]], sweeper: RunSweeper, memory: ListingMemory) -> ListingMemory:
        """Look at as many runs as a listing has pages. Returns what is known of listings afterwards."""
        most = listing_rules.most_looks_when_refused(memory)
        looks, memory = sweep_rules.next_looks(active, self._last, memory, most)
        for locked in looks:
            sweeper.look(locked)
        return memory

    def _list(self, active: Sequence[Locked[Run]], before: ListingMemory, sweeper: RunSweeper) -> ListingMemory:
        """Observe runs through the listing. Each page is used when it comes.

        A run gets its own GET where the listing does not settle it, where it is its turn in the round, and where a
        whole listing has not shown it.
        """
        unseen = {str(locked.value.run_id): locked for locked in active}
        memory, turn = sweep_rules.next_turn([*unseen], self._last, self._began_at)
        by_pipeline: dict[str, list[str]] = {}
        for run_id, locked in unseen.items():
            by_pipeline.setdefault(locked.value.run_id.pipeline_id, []).append(run_id)
        most_seconds = self._limits.times.page
        listing = Listing(self._listing_client, memory, len(active), self._began_at, most_seconds_a_page=most_seconds)
        pages = 0
        for page in listing.pages():
            pages += 1
            for run_id in turn & unseen.keys():
                sweeper.look(unseen.pop(run_id))
            for pipeline in page.pipelines:
                for run_id in by_pipeline.get(pipeline.pipeline_id, ()):
                    if run_id in unseen:
                        seen = sweep_rules.settled_by(pipeline, unseen[run_id].value)
                        if seen is None:
                            sweeper.look(unseen.pop(run_id))
                        else:
                            sweeper.take(unseen.pop(run_id), seen)
        after, left = listing.memory, [*unseen.values()]
        if not pages:  # nobody had a turn
            after = replace(after, round_began_at=before.round_began_at, round_cursor=before.round_cursor)
        if listing.is_refused:
            self._had_trouble = True
            return self._look_at_some(left, sweeper, after)
        if listing.is_dear or (listing.is_complete and listing.began_at == self._began_at):
            self._look_at(left, sweeper)
        elif listing.is_complete:
            after = self._look_at_some([at for at in left if self._was_not_listed(at.value, listing)], sweeper, after)
        return after

    def _was_not_listed(self, run: Run, listing: Listing) -> bool:
        """Whether a listing that began in an earlier sweep has not shown the run."""
        return sweep_rules.seen_at(run, self._last) < listing.began_at

    def _note_answers(self, outcomes: set[Outcome]) -> None:
        """Tell the readers whether the workspace answers. A run that was not reached in time proves nothing."""
        if outcomes - NOT_SEEN:
            self._ws.gate.note(answered=True)
        elif Outcome.NO_ANSWER in outcomes:
            self._ws.gate.note(answered=False)

    # --- report

    def _save(
        self,
        rows: _Gathered,
        outcomes: Mapping[str, Outcome],
        memory: ListingMemory,
        cursor: UpkeepCursor,
        *,
        stood_in: bool,
    ) -> SweepReport:
        """Write the `sweep|last` row. Returns the report."""
        ended = [*outcomes.values()]
        not_seen = [at.value for at in rows.active.rows if _outcome_of(at.value, outcomes) in NOT_SEEN]
        failed = [str(run.run_id) for run in not_seen]
        overtaken = [run_id for run_id, outcome in outcomes.items() if outcome is Outcome.OVERTAKEN]
        no_answer = [run_id for run_id, outcome in outcomes.items() if outcome is Outcome.NO_ANSWER]
        not_read = [row.subject for row in rows.active.unreadable[:_MOST_UNREADABLE_NOTED]]
        active = len(rows.active.rows)
        clients = self._client, self._listing_client, self._upkeep.client
        is_mute = any(client.asked for client in clients) and not any(client.answered for client in clients)
        report = SweepReport(
            workspace=self._ws.workspace.name,
            active=active,
            changed=ended.count(Outcome.CHANGED),
            finished=ended.count(Outcome.FINISHED),
            failed=len(failed),
            unreadable=len(rows.unreadable),
            calls=sum(client.calls for client in clients),
            seconds=round(self._ws.clock.monotonic() - self._began, 3),
            behind_seconds=round(sweep_rules.behind_seconds(not_seen, self._last, self._ws.clock.now()), 3),
            trouble=_NOTHING_ANSWERED if is_mute else "",
        )
        unseen, others_seen_at = sweep_rules.note_not_seen([*failed, *overtaken, *not_read], self._last)
        self._ws.runs.save_last_sweep(
            LastSweep(
                swept_at=self._began_at,
                report=report,
                not_seen=unseen,
                others_seen_at=others_seen_at,
                no_answer=tuple(no_answer[: sweep_rules.MOST_NO_ANSWER]),
                unreadable_pipelines=sweep_rules.name_pipelines(rows.unreadable),
                blind_since=self._blind_since(active, len(failed), has_tried=bool(outcomes)),
                stood_in=stood_in,
                version=__version__,
                listing=memory,
                upkeep=cursor,
            )
        )
        return report

    def _blind_since(self, active: int, failed: int, *, has_tried: bool) -> datetime | None:
        """Since when sweeps see none of the active runs. A sweep that asked for none of them says nothing about it."""
        before = None if self._last is None else self._last.blind_since
        if not active or failed < active:
            return None
        return (before or self._began_at) if has_tried or self._had_trouble else before


def _outcome_of(run: Run, outcomes: Mapping[str, Outcome]) -> Outcome:
    return outcomes.get(str(run.run_id), Outcome.FAILED)
