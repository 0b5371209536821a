"""Start an update: reserve the pipeline, POST, track the run. No path here starts the same update twice.

reserve ── key used before ──> return the same run again
   │
 POST ── refused ──> release, raise the error
   │  ── busy ─────> (a 503: look it up first) POST again after a pause
   │  ── conflict ─> release and raise (fail), or join the active update (attach)
   │  ── unknown ──> look it up; found: track it; else 504, and the sweep settles it
   │
 track
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import NoReturn

from polysync_core.adapters import metrics
from polysync_core.adapters.storage.tables import storage_deadline
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, start_rules
from polysync_core.rules.decisions.retry_rules import is_continuation
from polysync_core.rules.decisions.run_states import is_final
from polysync_core.rules.decisions.run_transitions import is_given_up
from polysync_core.rules.decisions.start_rules import NextStep
from polysync_core.rules.wire.addresses import update_url
from polysync_core.rules.wire.pipelines_api import START_HINTS
from polysync_core.use_cases.observing import find_run_continued_by
from polysync_core.use_cases.reserving import last_post_of, reserve
from polysync_core.use_cases.resolving_starts import find_started, new_run
from polysync_core.use_cases.retrying import retried
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.databricks_errors import DatabricksError, DatabricksSignInPage, PipelineNotFound
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import (
    PolysyncError,
    RunGivenUp,
    StartUnknown,
    StorageUnavailable,
    TooBusy,
    TooManyCallbacks,
    UpdateConflict,
)
from polysync_core.values.ids import RunId
from polysync_core.values.run import OnConflict, Reservation, Run, Started, StartRequest
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.start")
_NOT_KNOWN_YET = (
    "Whether the update was started is not known yet; it was not repeated. The app keeps looking: repeat the request "
    "with the same Idempotency-Key, or look at the pipeline's runs."
)


def start_update(
    request: StartRequest,
    ws: WorkspaceServices,
    deadline: Deadline,
    *,
    default_timeout_minutes: float | None = None,
) -> Started:
    """Start an update of a pipeline, or return the outcome of an earlier request with the same key.

    `deadline` is `budgets.START` after the request arrived. full_refresh comes from the request, or else from the
    stored job if its direction allows sending. If neither sets it, it is false. Raises DatabricksError and its
    subclasses when Databricks refused the start, UpdateConflict when the pipeline is busy, and StartUnknown when the
    outcome is unknown. Raises DatabricksUnreachable and TokenUnavailable when nothing was sent. Raises what `reserve`
    raises.
    """
    minutes = request.timeout_minutes if request.timeout_minutes is not None else default_timeout_minutes
    with storage_deadline(deadline.earlier_by(budgets.START - budgets.START_STORAGE)):
        held = reserve(request, ws, deadline, None if minutes is None else timedelta(minutes=minutes))
        started = held if isinstance(held, Started) else _Start(request, ws, deadline).post(held)
    _log.info(
        "start of pipeline %s by %s: %srun %s",
        request.pipeline_id,
        request.caller,
        "joined " if started.attached else "",
        started.run.run_id,
        extra={"run_id": str(started.run.run_id), "action": "start"},
    )
    return started


class _Start:
    def __init__(self, request: StartRequest, ws: WorkspaceServices, deadline: Deadline) -> None:
        self._request = request
        self._ws = ws
        self._runs = ws.runs
        self._clock = ws.clock
        self._last_post = last_post_of(deadline)
        self._last_try_to_track = deadline.earlier_by(budgets.START - budgets.START_TRACK)
        self._client = ws.databricks.client(deadline)

    def post(self, held: Locked[Reservation]) -> Started:
        repeats = conflicts = 0
        may_be_started = False
        if self._last_post.is_over():
            self._refuse(held, StorageUnavailable("Table Storage was too slow to begin the start in time."))
        while True:
            try:
                update_id = self._client.start_update(
                    self._request.pipeline_id, held.value.full_refresh, held.value.options, begins_by=self._last_post
                )
            except PolysyncError as error:
                step = start_rules.decide_after_failed_post(error)
                self._log_failed_post(error, step)
                # A gateway may answer 503 to a POST that Databricks executed. From then on, each further step is taken
                # only after a look-up that found nothing: another POST could start the pipeline a second time.
                may_be_started = may_be_started or start_rules.may_be_executed(error)
                if step is NextStep.LOOK_UP or may_be_started:
                    found = self._look_up(held, error, believes_empty=step is not NextStep.LOOK_UP)
                    if found is not None:
                        return self._track(held, found)
                if step is NextStep.REFUSE:
                    self._refuse(held, error)
                elif step is NextStep.REPEAT:
                    self._pause_before_repeat(held, error, repeats)
                    repeats += 1
                else:
                    # The active update may end between the 409 and our look, so one more POST is fair; two 409s in a
                    # row without an active update are Databricks' own last word.
                    joined = self._meet_conflict(held, error, last=conflicts > 0)
                    if joined is not None:
                        return joined
                    conflicts += 1
            else:
                return self._track(held, SeenUpdate(update_id=update_id, state=None))

    def _pause_before_repeat(self, held: Locked[Reservation], error: PolysyncError, repeats: int) -> None:
        pause = start_rules.post_pause_seconds(error.retry_after_seconds, repeats)
        if self._last_post.seconds_left() < pause:
            self._refuse(held, error)
        self._clock.sleep(pause)

    def _refuse(self, held: Locked[Reservation], error: PolysyncError) -> NoReturn:
        """Release the pipeline and the key, because nothing was started. Then raise the error for the caller."""
        self._runs.release(held)
        if isinstance(error, DatabricksError) and error.does_not_exist:
            error = PipelineNotFound.of(error)
        if isinstance(error, DatabricksError) and not error.hint and error.databricks_status in START_HINTS:
            raise error.with_hint(START_HINTS[error.databricks_status])
        raise error

    def _log_failed_post(self, error: PolysyncError, step: NextStep) -> None:
        _log.warning(
            "start of pipeline %s: %s -> %s",
            self._request.pipeline_id,
            error.code,
            step.name.lower(),
            extra={"pipeline_id": self._request.pipeline_id, "action": "start"},
        )

    # --- an outcome that nobody knows

    def _look_up(self, held: Locked[Reservation], error: PolysyncError, *, believes_empty: bool) -> SeenUpdate | None:
        """Find the update of a POST without a clear answer. Raises StartUnknown if the outcome stays unknown.

        Raises DatabricksSignInPage instead if such a page came. The reservation then stays, and the sweep settles it.
        `believes_empty` says that Databricks did not accept the POST. None is then returned when a listing lacks it.
        """
        page = error if isinstance(error, DatabricksSignInPage) else None
        for pause in start_rules.LOOK_UP_PAUSES_SECONDS:
            self._clock.sleep(pause)
            try:
                found = find_started(held.value, self._ws, self._client)
            except PolysyncError as trouble:
                _log.warning("look-up of a start failed: %s", trouble.code, extra={"action": "start"})
                page = trouble if isinstance(trouble, DatabricksSignInPage) else page
                continue
            if found is not None or believes_empty:
                return found
        metrics.note_unknown_start(self._ws.workspace.name, "databricks")
        if page is not None:  # it proves nothing about the start, but it has a remedy
            raise page.with_hint(_NOT_KNOWN_YET)
        raise StartUnknown(f"{error.detail} {_NOT_KNOWN_YET}", retry_after_seconds=30, databricks=_said(error))

    # --- an active update in the way

    def _meet_conflict(self, held: Locked[Reservation], error: PolysyncError, *, last: bool) -> Started | None:
        """Handle a 409. Returns None when no active update was found, so the POST may be repeated once.

        Returns the joined run, or raises why it cannot be joined.
        """
        active, trouble = self._find_active()
        if active is None and not last:
            return None
        if trouble is not None and self._request.on_conflict is OnConflict.ATTACH:
            self._refuse(held, trouble)  # a repeat may join the update, once Databricks shows it
        said = _said(error)
        if active is None:
            self._refuse(held, UpdateConflict(error.detail, databricks=said))
        run_id = RunId(self._request.pipeline_id, active.update_id)
        tracked = self._runs.find(run_id)
        shown = {
            "updateId": active.update_id,
            "state": active.state,
            "updateUrl": update_url(self._ws.workspace.url, run_id),
            "runId": None if tracked is None else str(tracked.run_id),
        }
        busy = f"Update {active.update_id} of pipeline {self._request.pipeline_id} is active"
        if self._request.on_conflict is OnConflict.FAIL:
            self._refuse(
                held,
                UpdateConflict(
                    f'{busy}. Wait for it, cancel it, or send "onConflict": "attach" to join it.',
                    active=shown,
                    databricks=said,
                ),
            )
        return self._attach(held, active, tracked, UpdateConflict(busy, active=shown, databricks=said))

    def _attach(
        self, held: Locked[Reservation], active: SeenUpdate, tracked: Run | None, conflict: UpdateConflict
    ) -> Started:
        """Join the active update. An update that was started elsewhere gets a run now."""
        try:
            if tracked is None and is_continuation(active.cause):
                retry = RunId(self._request.pipeline_id, active.update_id)
                tracked = find_run_continued_by(retry, self._ws, self._client)
            shown = {**(conflict.active or {}), "runId": None if tracked is None else str(tracked.run_id)}
            if not start_rules.is_joinable(active, held.value, tracked):
                kind = start_rules.kind_of(active, held.value, tracked)
                detail = f"{conflict.detail}, but it is {kind}. It cannot be joined."
                raise UpdateConflict(detail, active=shown, databricks=conflict.databricks)
            if tracked is None:
                return self._track(held, active, attached=True)
            if tracked.error is not None and is_given_up(tracked):
                raise RunGivenUp(
                    f"Update {active.update_id} is active, but its run {tracked.run_id} was given up "
                    f"({tracked.error.code}), so it cannot be joined. Wait for its end, or stop it in Databricks.",
                    code=tracked.error.code,
                    active=shown,
                )
            run = self._runs.complete(held, tracked.run_id, attached=True)
        except (TooManyCallbacks, UpdateConflict) as refused:
            self._refuse(held, refused)
        return Started(run=run or tracked, attached=True)

    def _find_active(self) -> tuple[SeenUpdate | None, PolysyncError | None]:
        """The pipeline's active update as its own GET shows it, and the error if Databricks could not be asked."""
        try:
            listed = start_rules.find_active(self._client.fetch_newest_updates(self._request.pipeline_id))
            if listed is None:
                return None, None
            active = self._client.fetch_update(RunId(self._request.pipeline_id, listed.update_id))
            return (None if is_final(active.state) else active), None
        except PolysyncError as error:
            _log.warning("look for the active update failed: %s", error.code, extra={"action": "start"})
            return None, error

    # --- the run

    def _track(self, held: Locked[Reservation], seen: SeenUpdate, *, attached: bool = False) -> Started:
        run = new_run(held.value, seen, self._ws, attached=attached)

        def pause_after(error: PolysyncError, tries: int) -> float | None:
            pause = 0.5 * 2 ** (tries - 1)
            may_pass = isinstance(error, StorageUnavailable | TooBusy)
            return pause if may_pass and self._last_try_to_track.seconds_left() >= pause else None

        try:
            tracked = retried(lambda: self._runs.track(run, held, attached=attached), pause_after, self._clock)
        except (StorageUnavailable, TooBusy) as error:
            metrics.note_unknown_start(self._ws.workspace.name, "storage")
            # The update runs, so the reservation stays: the sweep finds the update by it and tracks it then.
            raise StartUnknown(
                f"Databricks runs update {seen.update_id}, but storage did not take its run: {error.detail} "
                "The sweep will; repeat the request with the same Idempotency-Key.",
                retry_after_seconds=30,
            ) from error
        return Started(run=tracked, attached=attached)


def _said(error: PolysyncError) -> Mapping[str, object] | None:
    return error.as_member() if isinstance(error, DatabricksError) else None
