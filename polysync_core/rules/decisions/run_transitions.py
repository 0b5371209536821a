"""Decide how a run changes after one observation. No other module does. Pure: the time is an argument.

`decide` takes the run, the response of Databricks and the time. It returns a Decision: the new run, whether to write
it, and whether to ask for a stop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from polysync_core.rules.decisions.failure_reasons import UNKNOWN_FAILURE
from polysync_core.rules.decisions.retry_rules import is_continuation, may_have_successor, next_update
from polysync_core.rules.decisions.run_states import is_final, is_known
from polysync_core.values.databricks import Absent, Gone, SeenUpdate
from polysync_core.values.run import Attempt, Run, RunError

MOST_ATTEMPTS = 50
"""A run keeps at most this many attempts: the first and the latest. A column holds only 32K characters."""
TIMED_OUT = "RunTimedOut"
LOST = "RunLost"
ABANDONED = "RunAbandoned"
SUPERSEDED = "RunSuperseded"
SUPERSEDED_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class TransitionLimits:
    """The time-outs of a run.

    A run is given up when Databricks has answered "does not exist" for `lost_after`. The app waits `retry_grace` for a
    retry by Databricks.
    """

    lost_after: timedelta
    retry_grace: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureContext:
    """What was read in addition to the final state of an update. Parts that could not be read are missing.

    `reason` is the innermost error. `updates` are the pipeline's latest updates, newest first. `updates` is None if
    they could not be listed back to this update. `taken` are ids in `updates` that already belong to another run.
    """

    reason: RunError | None = None
    updates: tuple[SeenUpdate, ...] | None = None
    taken: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The new run. If `write` is true, store it. If `stop` is true, ask Databricks to stop the update."""

    run: Run
    write: bool
    stop: bool = False


NO_FAILURE_CONTEXT = FailureContext()


def wants_failure_context(run: Run, seen: SeenUpdate | Gone) -> bool:
    """Whether to read more: the reason of a failure, or whether the pipeline went on with another update."""
    if seen is Absent.GONE:
        return False
    return seen.state == "FAILED" or may_have_successor(run, seen.state) or _is_unknown(seen.state)


def knows_reason(run: Run) -> bool:
    """Whether the app waits for a retry and has already read why the last attempt failed."""
    return run.retry_awaited_since is not None and run.error is not None


def decide(
    run: Run,
    seen: SeenUpdate | Gone,
    now: datetime,
    limits: TransitionLimits,
    failure_context: FailureContext = NO_FAILURE_CONTEXT,
) -> Decision:
    """Return how an active `run` changes after one response of Databricks (`seen`)."""
    if seen is Absent.GONE:
        return _decide_missing(run, now, limits)
    after = _with_seen(run, seen, now)
    if is_final(after.state):
        return _decide_final(run, after, now, limits, failure_context)
    after = _with_timeout(_with_newer_update(run, after, now, failure_context), now)
    if after.superseded_since is not None and now - after.superseded_since >= SUPERSEDED_AFTER:
        return Decision(run=_superseded(after, now), write=True)
    write = (
        after.state != run.state
        or after.started_at != run.started_at
        or run.missing_since is not None
        or after.superseded_since != run.superseded_since
        or after.cancel_requested_at != run.cancel_requested_at
    )
    stop = after.cancel_requested_at is not None and after.state != "STOPPING"
    return Decision(run=_written(after, now) if write else run, write=write, stop=stop)


def decide_unseen(run: Run, now: datetime) -> Decision:
    """What follows for an active `run` when Databricks answers, but does not show the update.

    The run stays active. Its time-out is kept all the same, and a stop that was requested is asked for again.
    """
    after = _with_timeout(run, now)
    write = after != run
    stop = after.cancel_requested_at is not None and after.state != "STOPPING"
    return Decision(run=replace(after, updated_at=now) if write else run, write=write, stop=stop)


def abandon(run: Run, now: datetime) -> Run:
    """An active `run`, finished as Unknown at an operator's request. Nothing is said about its update."""
    message = (
        f"Abandoned at an operator's request; {_last_word(run)}. "
        "Databricks was asked for nothing, so the update may go on."
    )
    return _given_up(run, now, ABANDONED, message)


def is_given_up(run: Run) -> bool:
    """Whether the run is finished although its update may go on."""
    return run.is_finished and run.error is not None and run.error.code in {LOST, ABANDONED, SUPERSEDED}


def _with_seen(run: Run, seen: SeenUpdate, now: datetime) -> Run:
    current = run.attempts[-1]
    if _shows_nothing_new(run, current, seen):
        return run
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
        state_since=run.state_since if seen.state == current.state else now,
        full_refresh=seen.full_refresh if run.full_refresh is None else run.full_refresh,
        pipeline_name=seen.pipeline_name or run.pipeline_name,
        missing_since=None,
    )


def _shows_nothing_new(run: Run, current: Attempt, seen: SeenUpdate) -> bool:
    """Whether `_with_seen` would return an equal run. Nearly every look of a sweep is such a one."""
    return (
        seen.state == current.state
        and seen.cause in {None, current.cause}
        and seen.created_at in {None, current.created_at}
        and seen.pipeline_name in {None, run.pipeline_name}
        and run.started_at == run.attempts[0].created_at
        and run.full_refresh is not None
        and run.missing_since is None
    )


def _written(run: Run, now: datetime) -> Run:
    return replace(run, seen_at=now, updated_at=now)


def _with_timeout(run: Run, now: datetime) -> Run:
    """Request a stop when the run is past its time-out. An earlier request is kept as it is."""
    if run.timeout_at is None or now < run.timeout_at or run.cancel_requested_at is not None:
        return run
    limit = run.timeout_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    error = RunError(code=TIMED_OUT, message=f"Timed out: not finished by {limit}.")
    return replace(run, cancel_requested_at=now, error=error)


# --- a state that Polysync does not know


def _is_unknown(state: str | None) -> bool:
    return state is not None and not is_known(state)


def _with_newer_update(run: Run, after: Run, now: datetime, failure_context: FailureContext) -> Run:
    """Note since when an update in an unknown, unchanged state has had a newer update beside it.

    Databricks runs one update of a pipeline at a time, so such an update has ended under a word of its own.
    """
    if not _is_unknown(after.state):
        return after if after.superseded_since is None else replace(after, superseded_since=None)
    since = run.superseded_since if after.state == run.state else None
    if failure_context.updates is not None:
        newer = next_update(after.attempts[-1], failure_context.updates)
        since = None if newer is None else (since or now)
    return replace(after, superseded_since=since)


def _superseded(run: Run, now: datetime) -> Run:
    message = (
        f"Databricks reports the state {run.state}, which Polysync does not know, and the pipeline has gone on with a "
        f"newer update since {run.superseded_since:%Y-%m-%d %H:%M UTC}; the app stopped tracking this one."
    )
    return replace(_written(run, now), finished_at=now, error=RunError(code=SUPERSEDED, message=message))


# --- the end of an update


def _decide_final(
    run: Run, after: Run, now: datetime, limits: TransitionLimits, failure_context: FailureContext
) -> Decision:
    if not may_have_successor(run, after.state):
        return Decision(run=_finished(after, now, failure_context), write=True)
    following = None if failure_context.updates is None else next_update(after.attempts[-1], failure_context.updates)
    retry = following if following is not None and is_continuation(following.cause) else None
    if not run.follow_retries:
        retried_as = None if retry is None else retry.update_id
        return Decision(run=_finished(replace(after, retried_as=retried_as), now, failure_context), write=True)
    is_to_stop = run.cancel_requested_at is not None
    if retry is not None and retry.update_id not in failure_context.taken:
        return Decision(run=_written(_followed(after, retry, now), now), write=True, stop=is_to_stop)
    awaited_since = run.retry_awaited_since or now
    if _is_waited_enough(after, now - awaited_since, limits, failure_context, is_over=following is not None):
        return Decision(run=_finished(after, now, failure_context), write=True)
    waiting = replace(after, retry_awaited_since=awaited_since, error=_error_of(after, failure_context))
    write = after.state != run.state or run.retry_awaited_since is None
    return Decision(run=_written(waiting, now) if write else run, write=write)


def _is_waited_enough(
    run: Run, waited: timedelta, limits: TransitionLimits, failure_context: FailureContext, *, is_over: bool
) -> bool:
    """Whether the app no longer expects a retry of the ended attempt. `is_over`: another update followed already.

    A stop ends the wait only if it cancelled the attempt. An attempt that failed may still be retried after a stop
    request, and that retry must be stopped too. If the updates cannot be listed, a retry could be missed, so the wait
    is longer.
    """
    if failure_context.updates is None:
        return waited >= max(limits.lost_after, limits.retry_grace)
    was_stopped = run.cancel_requested_at is not None and run.state == "CANCELED"
    return is_over or was_stopped or waited >= limits.retry_grace


def _followed(run: Run, retry: SeenUpdate, now: datetime) -> Run:
    """Return the run with Databricks' retry as its next attempt. A time-out error is kept."""
    attempt = Attempt(update_id=retry.update_id, state=retry.state, cause=retry.cause, created_at=retry.created_at)
    first, *later = run.attempts
    attempts = (first, *later[-(MOST_ATTEMPTS - 2) :], attempt)
    error = run.error if _is_timed_out(run) else None
    return replace(run, attempts=attempts, state_since=now, retry_awaited_since=None, error=error)


def _finished(run: Run, now: datetime, failure_context: FailureContext) -> Run:
    return replace(_written(run, now), finished_at=now, retry_awaited_since=None, error=_error_of(run, failure_context))


def _error_of(run: Run, failure_context: FailureContext) -> RunError | None:
    """Return the error of an ended run, or None. A time-out stays the error in every final state except COMPLETED."""
    if run.state == "COMPLETED":
        return None
    if _is_timed_out(run):
        return run.error
    return (failure_context.reason or run.error or UNKNOWN_FAILURE) if run.state == "FAILED" else None


def _is_timed_out(run: Run) -> bool:
    return run.error is not None and run.error.code == TIMED_OUT


# --- an update that does not exist


def _decide_missing(run: Run, now: datetime, limits: TransitionLimits) -> Decision:
    """Give the run up when "does not exist" has lasted for `lost_after`. No stop is asked for.

    If the final state was seen before, the update is not lost. Such a run waits for a retry. When the wait is over, the
    run finishes with that state.
    """
    if run.retry_awaited_since is not None:
        if now - run.retry_awaited_since < limits.retry_grace:
            return Decision(run=run, write=False)
        return Decision(run=_finished(run, now, NO_FAILURE_CONTEXT), write=True)
    missing_since = run.missing_since or now
    after = _written(replace(run, missing_since=missing_since), now)
    if now - missing_since >= limits.lost_after:
        since = missing_since.strftime("%Y-%m-%d %H:%M UTC")
        message = f"Given up: Databricks has answered since {since} that this update does not exist; {_last_word(run)}."
        return Decision(run=_given_up(after, now, LOST, message), write=True)
    return Decision(run=after if run.missing_since is None else run, write=run.missing_since is None)


def _last_word(run: Run) -> str:
    return "no state was ever seen" if run.state is None else f"its last state was {run.state}"


def _given_up(run: Run, now: datetime, code: str, message: str) -> Run:
    """The run, finished without a state, so that its status is Unknown."""
    unknown = replace(run.attempts[-1], state=None)
    return replace(
        _written(run, now),
        attempts=(*run.attempts[:-1], unknown),
        finished_at=now,
        retry_awaited_since=None,
        error=RunError(code=code, message=message),
    )
