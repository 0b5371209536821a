"""Reserve a pipeline for a start, or find the outcome of an earlier start with the same Idempotency-Key."""

from __future__ import annotations

import logging
from datetime import timedelta

from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets
from polysync_core.rules.decisions.parameters import resolve_full_refresh
from polysync_core.use_cases.attaching import join_tracked
from polysync_core.values.callback import Waiter
from polysync_core.values.databricks_errors import DatabricksSignInPage
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import (
    KeyInFlight,
    KeyReused,
    PolysyncError,
    RowUnreadable,
    RunNotFound,
    UpdateConflict,
)
from polysync_core.values.ids import RunId
from polysync_core.values.job import JobDefaults
from polysync_core.values.run import OnConflict, Reservation, Run, Started, StartRequest, UsedKey
from polysync_core.values.stored import Locked

_log = logging.getLogger("polysync.start")
_POLL_SECONDS = 0.5


def reserve(
    request: StartRequest, ws: WorkspaceServices, deadline: Deadline, timeout: timedelta | None
) -> Locked[Reservation] | Started:
    """Reserve the pipeline for `request`, or return the outcome of the first request with its key.

    The run is to be stopped after `timeout`. A request that wants to attach joins the pipeline's tracked active run, or
    waits for another start of the pipeline. A repeat of a key waits for the first request. Raises UpdateConflict,
    KeyReused, KeyInFlight, DatabricksSignInPage and StorageUnavailable. Raises RunNotFound when the key's run is no
    longer kept, and RowUnreadable when the row of an earlier start cannot be read. Raises TooManyCallbacks and TooBusy
    when the caller's callback cannot be stored.
    """
    return _Reserver(request, ws, deadline, timeout).reserve()


def last_post_of(start: Deadline) -> Deadline:
    """The deadline by which the POST of a start with this deadline must begin."""
    return start.earlier_by(budgets.START - budgets.START_LAST_POST)


class _Reserver:
    def __init__(
        self, request: StartRequest, ws: WorkspaceServices, deadline: Deadline, timeout: timedelta | None
    ) -> None:
        self._request = request
        self._timeout = timeout
        self._ws = ws
        self._runs = ws.runs
        self._clock = ws.clock
        self._deadline = deadline
        self._last_post = last_post_of(deadline)
        self._key_wait = deadline.earlier_by(budgets.START - budgets.START_KEY_WAIT)
        self._defaults = self._find_defaults()

    def reserve(self) -> Locked[Reservation] | Started:
        """The pipeline's reservation, or the outcome of the first request with this key."""
        may_join = self._request.on_conflict is OnConflict.ATTACH
        while True:
            # Storage refuses the reservation of a used key, so only a request that may join needs to look before.
            used = self._find_used_key() if may_join else None
            if used is not None:
                return self._repeat(used)
            now = self._clock.now()
            callback_id, address = self._ws.new_id(), self._request.callback
            reservation = Reservation(
                pipeline_id=self._request.pipeline_id,
                owner=self._ws.new_id(),
                reserved_at=now,
                full_refresh=resolve_full_refresh(
                    self._request.full_refresh, self._defaults.full_refresh, self._request.options
                ),
                options=self._request.options,
                ignored_parameters=self._request.ignored_parameters,
                timeout_at=None if self._timeout is None else now + self._timeout,
                follow_retries=self._request.follow_retries,
                waiter=None if address is None else Waiter(callback_id=callback_id, address=address),
                pipeline_name=self._defaults.name,
                started_by=self._request.caller,
            )
            key = UsedKey(
                fingerprint=self._request.fingerprint, owner=reservation.owner, used_at=now, callback_id=callback_id
            )
            joined = self._join_tracked(reservation, key) if may_join else None
            if joined is not None:
                return joined
            held, unreadable = None, None
            try:
                held = self._runs.reserve(reservation, self._request.idempotency_key, key)
            except RowUnreadable as error:  # of another start: a key that was used before still has its run
                unreadable = error
            if held is not None:
                return held
            used = self._find_used_key()
            if used is None and unreadable is not None:
                raise unreadable
            if used is not None:
                return self._repeat(used)
            self._wait_for_the_other_start()

    def _join_tracked(self, reservation: Reservation, key: UsedKey) -> Started | None:
        client = self._ws.databricks.client(self._deadline.within(budgets.START_ATTACH_LOOK))
        return join_tracked(self._request, reservation, key, self._ws, client)

    def _repeat(self, used: UsedKey) -> Started:
        """The outcome of the first request with this key, for a repeat of it.

        Waits while the first request is in flight. Raises KeyReused, KeyInFlight, RunNotFound.
        """
        found: UsedKey | None = used
        while found is not None:
            if found.fingerprint != self._request.fingerprint:
                holder = "" if found.run_id is None else f" (its run is {found.run_id})"
                raise KeyReused(
                    f"This Idempotency-Key came with another request before{holder}; use a new key for a new start."
                )
            if found.run_id is not None:
                run = self._rejoin(found.run_id, found.callback_id)
                if run is None:
                    raise RunNotFound(f"The run {found.run_id} that this key started is no longer kept.")
                return Started(run=run, attached=found.attached)
            if self._key_wait.seconds_left() <= 0:
                self._check_for_sign_in_page()
                raise KeyInFlight(
                    "The first request with this Idempotency-Key is still being handled; repeat it with the same key.",
                    retry_after_seconds=15,
                )
            self._clock.sleep(_POLL_SECONDS)
            found = self._find_used_key()
        raise KeyInFlight(
            "The first request with this Idempotency-Key did not start anything; repeat it.", retry_after_seconds=1
        )

    def _find_used_key(self) -> UsedKey | None:
        key = self._request.idempotency_key
        return None if key is None else self._runs.find_used_key(self._request.pipeline_id, key)

    def _rejoin(self, run_id: RunId, callback_id: str | None) -> Run | None:
        """The run of a used key. A callback address that comes with the repeat replaces the earlier one."""
        address = self._request.callback
        if address is None:
            return self._runs.find(run_id)
        waiter = Waiter(callback_id=callback_id or self._ws.new_id(), address=address)
        return self._ws.callbacks.join(run_id, waiter, self._clock.now())

    def _wait_for_the_other_start(self) -> None:
        """Wait a moment for another start of this pipeline. Raises UpdateConflict when the request may not wait."""
        may_wait = self._last_post.seconds_left() > _POLL_SECONDS
        if self._request.on_conflict is OnConflict.FAIL or not may_wait:
            self._check_for_sign_in_page()
            raise UpdateConflict(
                f"Another start of pipeline {self._request.pipeline_id} is in flight; its outcome is not known yet.",
                retry_after_seconds=15,
            )
        self._clock.sleep(_POLL_SECONDS)

    def _check_for_sign_in_page(self) -> None:
        """Raise DatabricksSignInPage if the workspace's address answers with a sign-in page.

        While it does so, no start of the pipeline can end.
        """
        client = self._ws.databricks.client(self._deadline.within(budgets.START_SIGN_IN_LOOK))
        try:
            client.fetch_updates_page(self._request.pipeline_id)
        except DatabricksSignInPage:
            raise
        except PolysyncError as error:
            _log.info("look for a sign-in page failed: %s", error.code, extra={"action": "start"})

    def _find_defaults(self) -> JobDefaults:
        """The job's name and stored full_refresh.

        An unreadable row counts as no row, because it must not prevent starts for ever. The stored full_refresh then
        counts as not set, because an update without a full refresh destroys nothing.
        """
        try:
            return self._ws.jobs.find_defaults(self._request.pipeline_id)
        except RowUnreadable as error:
            _log.error(
                "the stored full_refresh of pipeline %s counts as not set: %s",
                self._request.pipeline_id,
                error.detail,
                extra={"pipeline_id": self._request.pipeline_id, "action": "start"},
            )
            return JobDefaults()
