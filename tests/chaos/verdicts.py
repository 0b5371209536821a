"""Compares requests and ledger. The verdict holds the counts of the table, and each finding in words."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields

from local.workspace import UpdateRecord
from tests.chaos.ledger import FINAL_STATES, Delivered, Entries, Ledger, StoredRun
from tests.chaos.reads import STATUS_OF, Updates, untrue_readings
from tests.chaos.requests import Trial, WantedCancel, WantedStart

RETRY_CAUSES = frozenset({"RETRY_ON_FAILURE", "SCHEMA_CHANGE", "SERVICE_UPGRADE", "INFRASTRUCTURE_MAINTENANCE"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The counts of a case. All counts from `doubled` on must be 0, and `delivered` must equal `owed`.

    owed: callbacks wanted by starts that made or joined an update, whether or not their callers learned of it.
    delivered: the owed callbacks that came at least once. Each of them named the right run and its right end.
    doubled: updates that no caller was told of, beyond one for each start without a response.
    lost: updates of ours, and retries that must be followed, that no run tracks.
    twice: updates that are tracked by two runs, or runs that are not listed exactly once.
    wrong: runs that do not end as their update did, or that track an update which nobody here wanted.
    untrue: callers that got a false response, no response ever, a refusal without a reason, or too many callbacks.
    left: reservations and keys without an outcome that nothing clears. Also callbacks that stay in the queue, and
        rows of runs that are deleted or should be.
    bugs: exceptions that nobody raised on purpose.
    """

    cases: int = 1
    starts: int = 0
    updates: int = 0
    tracked: int = 0
    owed: int = 0
    delivered: int = 0
    doubled: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    untrue: int = 0
    left: int = 0
    bugs: int = 0
    findings: tuple[str, ...] = ()

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def counts(self) -> dict[str, int]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "findings"}

    @property
    def is_good(self) -> bool:
        return not self.findings and self.owed == self.delivered


NOTHING = Verdict(cases=0)


def judge(trial: Trial, ledger: Ledger, bugs: list[str]) -> Verdict:
    """Read the records of all sides and return the verdict."""
    updates, entries = ledger.updates(trial.pipeline_ids), ledger.entries(trial.partition)
    return compare(trial, updates, entries, ledger.deliveries(), bugs)


def compare(
    trial: Trial,
    updates: Mapping[str, list[UpdateRecord]],
    entries: Entries,
    deliveries: Mapping[str, list[Delivered]],
    bugs: list[str],
) -> Verdict:
    """Return the verdict. `updates` are Databricks', by pipeline. `deliveries` are the receiver's, by callback id."""
    all_updates = {(pid, update.update_id): update for pid, known in updates.items() for update in known}
    ours = {named: update for named, update in all_updates.items() if update.body}
    tracking = Counter(
        (run.run_id.partition(":")[0], update_id) for run in entries.runs.values() for update_id in run.update_ids
    )
    told = {(request.pipeline_id, update_id) for request in trial.starts for update_id in request.told}
    old = {(request.pipeline_id, update_id) for request in trial.starts if request.is_old for update_id in request.told}
    retries = _retries_to_follow(entries, updates)
    untold = ours.keys() - told
    doubled = _doubled(trial, untold)
    lost = [f"no run tracks update {uid} of {pid}"
            for pid, uid in (ours.keys() | (told & all_updates.keys()) | retries) - old
            if not tracking[pid, uid]]  # fmt: skip
    lost += [f"nothing leads from retry {uid} of {pid} to its run" for pid, uid in retries
             if f"{pid}:{uid}" not in entries.aliases]  # fmt: skip
    twice = [f"{count} runs track update {update}" for update, count in tracking.items() if count > 1]
    twice += [f"run {run.run_id} is listed {len(run.listed)} times" for run in entries.runs.values()
              if len(run.listed) != 1]  # fmt: skip
    wrong = [found for run in entries.runs.values() if (found := _wrong(run, all_updates)) is not None]
    wrong += [f"run {run.run_id} is of an update that nobody here wanted" for run in entries.runs.values()
              if (named := _name_of(run)) not in ours and named not in told]  # fmt: skip
    untrue = [found for request in trial.starts if (found := _untrue(request, all_updates)) is not None]
    untrue += [found for request in trial.cancels if (found := _not_stopped(request, all_updates)) is not None]
    untrue += [*_shared(trial), *untrue_readings(trial, all_updates, entries), *_sent_too_often(trial, deliveries)]
    left = [f"a reservation of {pid} is left" for pid in entries.reserved] + ["a key has no outcome"] * (
        entries.open_keys
    )
    left += ["a callback stays in the queue"] * entries.queued
    left += [f"row {key} is about no run" for key in entries.strays]
    left += [f"run {pid}:{uid} is kept too long" for pid, uid in old if tracking[pid, uid]]
    waiting = {
        request.callback_id: ids
        for request in trial.starts
        if request.callback_id and (ids := _update_ids(request, untold))
    }
    ends = _ends(entries) | {
        uid: Delivered(run_id=f"{pid}:{uid}", status=STATUS_OF.get(all_updates[pid, uid].state, "Unknown"))
        for pid, uid in old & all_updates.keys()
    }
    undelivered = [found for callback_id, update_ids in waiting.items()
                   if (found := _undelivered(callback_id, update_ids, deliveries, ends)) is not None]  # fmt: skip
    return Verdict(
        owed=len(waiting),
        delivered=len(waiting) - len(undelivered),
        starts=len(trial.starts),
        updates=len(ours),
        tracked=sum(tracking[update] > 0 for update in ours),
        doubled=len(doubled),
        lost=len(lost),
        twice=len(twice),
        wrong=len(wrong),
        untrue=len(untrue),
        left=len(left),
        bugs=len(bugs),
        findings=(*doubled, *lost, *twice, *wrong, *untrue, *left, *undelivered, *(f"bug: {bug}" for bug in bugs)),
    )


def _doubled(trial: Trial, untold: Collection[tuple[str, str]]) -> list[str]:
    """Return the updates that no caller was told of, beyond one for each start without a response."""
    unanswered = Counter(request.pipeline_id for request in trial.starts if not request.is_answered)
    return [
        f"{count} updates of {pid} that nobody was told of, for {unanswered[pid]} starts without an answer"
        for pid, count in Counter(pid for pid, _ in untold).items()
        for _ in range(count - unanswered[pid])
    ]


def _name_of(run: StoredRun) -> tuple[str, str]:
    pipeline_id, _, update_id = run.run_id.partition(":")
    return pipeline_id, update_id


def _retries_to_follow(entries: Entries, updates: Mapping[str, list[UpdateRecord]]) -> set[tuple[str, str]]:
    """Return the retries by Databricks that a run with followRetries must follow."""
    followed = set()
    for run in entries.runs.values():
        pipeline_id, first_id = _name_of(run)
        later = itertools.dropwhile(lambda update: update.update_id != first_id, updates.get(pipeline_id, ()))  # noqa: B023
        if run.follows_retries:
            chain = itertools.takewhile(lambda update: update.cause in RETRY_CAUSES, itertools.islice(later, 1, None))
            followed |= {(pipeline_id, update.update_id) for update in chain}
    return followed


def _wrong(run: StoredRun, updates: Updates) -> str | None:
    update = updates.get((run.run_id.partition(":")[0], run.update_ids[-1]))
    if update is None:
        return f"run {run.run_id} is of no update"
    if update.state not in FINAL_STATES:
        return f"update {update.update_id} did not end: {update.state}"
    if not run.is_finished or run.is_active or run.status != STATUS_OF[update.state] or set(run.listed) != {run.status}:
        return f"{run} does not agree with its update, which is {update.state}"
    return None


def _untrue(request: WantedStart, updates: Updates) -> str | None:
    if request.is_open:
        return f"the start of {request.pipeline_id} was never answered, asked {request.asked} times"
    if len(request.told) > 1 or (request.told and request.refusal):
        return f"the start of {request.pipeline_id} had several answers: {request.told} {request.refusal}"
    if any((request.pipeline_id, update_id) not in updates for update_id in request.told):
        return f"the start of {request.pipeline_id} was answered with update {request.told}, which is none"
    if not request.joins and any(updates[request.pipeline_id, update_id].body is None for update_id in request.told):
        return f"the start of {request.pipeline_id} was answered with update {request.told}, which is somebody else's"
    if request.refusal is not None and request.refusal.status not in request.may_be_refused:
        refusal = f"{request.refusal.status} {request.refusal.body.get('detail')}"
        return f"the start of {request.pipeline_id} was refused: {refusal}"
    return None


def _shared(trial: Trial) -> list[str]:
    """Starts that do not join each other must have different updates."""
    own = Counter(update_id for request in trial.starts if not request.joins for update_id in request.told)
    return [f"{count} starts were answered with update {update_id}" for update_id, count in own.items() if count > 1]


def _not_stopped(request: WantedCancel, updates: Updates) -> str | None:
    """Return a finding if a cancel has no response, or if it was accepted and the update is not CANCELED."""
    if request.is_open:
        return f"the cancel of {request.start.run_id} was never answered"
    if request.answer is None or request.answer.status != 202:
        return None
    states = [updates[request.start.pipeline_id, update_id].state for update_id in request.start.told]
    return None if states == ["CANCELED"] else f"update {request.start.run_id} was to be stopped, it is {states}"


def _update_ids(request: WantedStart, untold: Collection[tuple[str, str]]) -> set[str]:
    """Return the update that the caller was told of, else those of its pipeline that no caller was told of."""
    if request.is_answered:
        return request.told
    return {update_id for pipeline_id, update_id in untold if pipeline_id == request.pipeline_id}


def _sent_too_often(trial: Trial, deliveries: Mapping[str, list[Delivered]]) -> Iterator[str]:
    for callback_id, told in deliveries.items():
        if trial.most_deliveries is not None and len(told) > trial.most_deliveries:
            yield f"{callback_id} was sent {len(told)} times, {trial.most_deliveries} at the most were owed"


def _ends(entries: Entries) -> dict[str, Delivered]:
    """Return what the callback of each update must say: its run and the final status."""
    return {
        update_id: Delivered(run_id=run.run_id, status=run.status)
        for run in entries.runs.values()
        for update_id in run.update_ids
    }


def _undelivered(
    callback_id: str,
    update_ids: set[str],
    deliveries: Mapping[str, list[Delivered]],
    ends: Mapping[str, Delivered],
) -> str | None:
    """Return a finding unless the callback came at least once, and said the same true thing each time."""
    told = set(deliveries.get(callback_id, ()))
    expected = {ends[update_id] for update_id in update_ids if update_id in ends}
    return None if len(told) == 1 and told <= expected else f"{callback_id} was told {told}, it is {expected}"
