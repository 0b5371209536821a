"""Runs, starts and sweeps as frozen values. Times are aware UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from polysync_core.values.callback import Callback, CallbackAddress, Waiter
from polysync_core.values.caller import KEY_ID, CallerId
from polysync_core.values.ids import RunId
from polysync_core.values.start_options import NO_OPTIONS, StartOptions
from polysync_core.values.stored import Kept


class Status(StrEnum):
    """The mission's five words for the status of a run."""

    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    UNKNOWN = "Unknown"


class OnConflict(StrEnum):
    """What a start does when the pipeline already has an active update."""

    FAIL = "fail"
    ATTACH = "attach"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt(Kept):
    """One update of a run."""

    update_id: str
    state: str | None
    cause: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunError(Kept):
    """Why a run did not end well: `code` for programs, `message` one line for a person."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Run(Kept):
    """Our record of one update, from acceptance until its last callback is delivered or given up.

    `seen_at` is the last time that an answer of Databricks was stored in this run. A sweep that finds the run unchanged
    stores nothing in it. `state_since` is when its present state was first seen. `missing_since` is the first of an
    unbroken series of "does not exist" answers. The run is finished exactly when `finished_at` is set.

    At `timeout_at` the app asks for a stop. If `follow_retries` is true, Databricks' automatic retries become further
    attempts. Since `retry_awaited_since`, the last attempt has ended and the app waits for a retry. `retried_as` is the
    update id of a retry that is not followed. Since `superseded_since`, the pipeline has had a newer update, while this
    one stayed in a state that Polysync does not know. `options` are those of the first attempt; Databricks chooses what
    its retries refresh. `started_by` is None if the update was started elsewhere or by an older version, and
    `cancelled_by` is None if nobody has asked the app for a stop.
    """

    run_id: RunId
    full_refresh: bool | None
    accepted_at: datetime
    seen_at: datetime
    updated_at: datetime
    attempts: tuple[Attempt, ...]
    pipeline_name: str | None = None
    ignored_parameters: tuple[str, ...] = ()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    missing_since: datetime | None = None
    cancel_requested_at: datetime | None = None
    attached: bool = False
    error: RunError | None = None
    callbacks: tuple[Callback, ...] = ()
    state_since: datetime | None = None
    timeout_at: datetime | None = None
    follow_retries: bool = False
    retry_awaited_since: datetime | None = None
    retried_as: str | None = None
    superseded_since: datetime | None = None
    options: StartOptions = NO_OPTIONS
    started_by: CallerId | None = None
    cancelled_by: CallerId | None = None

    @property
    def state(self) -> str | None:
        """Databricks' state of the last attempt. None if no state was seen yet, or the run was given up."""
        return self.attempts[-1].state

    @property
    def current_id(self) -> RunId:
        """The run's current update: its last attempt."""
        return RunId(self.run_id.pipeline_id, self.attempts[-1].update_id)

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """The result of a start: its run, and whether this caller joined an update that was already active."""

    run: Run
    attached: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StartRequest:
    """A start as the caller asked for it. `full_refresh` is None when the request does not say."""

    workspace: str
    pipeline_id: str
    full_refresh: bool | None = None
    options: StartOptions = NO_OPTIONS
    ignored_parameters: tuple[str, ...] = ()
    on_conflict: OnConflict = OnConflict.FAIL
    timeout_minutes: float | None = None
    follow_retries: bool = False
    idempotency_key: str | None = field(default=None, repr=False)
    fingerprint: str = ""
    callback: CallbackAddress | None = None
    caller: CallerId = KEY_ID


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """A start in flight, as its `starting` row stores it. `owner` is a random token of the call that made it.

    `start_row` is the key of the row for its Idempotency-Key. The store sets it.
    """

    pipeline_id: str
    owner: str
    reserved_at: datetime
    full_refresh: bool
    options: StartOptions = NO_OPTIONS
    ignored_parameters: tuple[str, ...] = ()
    timeout_at: datetime | None = None
    follow_retries: bool = False
    start_row: str | None = None
    waiter: Waiter | None = None
    pipeline_name: str | None = None
    started_by: CallerId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UsedKey:
    """A used Idempotency-Key and its outcome. `run_id` is None while its start is in flight.

    `attached` is true if its caller joined an active update instead of starting one. `callback_id` is the id of this
    caller's callback, if the caller asks for one.
    """

    fingerprint: str
    owner: str
    used_at: datetime
    run_id: RunId | None = None
    attached: bool = False
    callback_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepReport:
    """The counts of one sweep of one workspace. `seconds` is measured before the row `sweep|last` is written.

    The run that was not seen for the longest was last seen `behind_seconds` before the sweep's end; 0 if all were seen.
    `trouble` says why the workspace as a whole could not be swept ("": it was).
    """

    workspace: str
    active: int = 0
    changed: int = 0
    finished: int = 0
    failed: int = 0
    unreadable: int = 0
    calls: int = 0
    seconds: float = 0.0
    behind_seconds: float = 0.0
    trouble: str = ""


NEVER = datetime.fromtimestamp(0, UTC)
"""The time that stands for "no sweep has seen this run"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListingMemory:
    """What sweeps know about listing a workspace's pipelines.

    The pipelines took `pages` pages of 100 when they were last counted (None: never). While listings are used, each
    run is still fetched by its own request once a round. The round began at `round_began_at`. `round_cursor` is the
    last run id that the round has reached. A listing was refused, and none begins until `not_before` (None: no).

    A listing that was cut short goes on at `page_token` (None: the next one begins at the first page). It began at
    `listing_began_at` and has taken `pages_listed` pages so far.
    """

    pages: int | None = None
    pages_counted_at: datetime | None = None
    round_began_at: datetime | None = None
    round_cursor: str = ""
    not_before: datetime | None = None
    page_token: str | None = None
    listing_began_at: datetime | None = None
    pages_listed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class UpkeepCursor:
    """How far the upkeep of a workspace has come.

    `settled_after` is the pipeline id of the last start that had its turn to be settled. `cleaned_keys_after` is the
    last row key of a used key whose age was checked. Old rows were last deleted at `cleaned_at` (None: never).
    """

    settled_after: str = ""
    cleaned_at: datetime | None = None
    cleaned_keys_after: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LastSweep:
    """The `sweep|last` row of a workspace: what its last sweep saw, and where the next one continues.

    The sweep began to read at `swept_at`. `not_seen` maps each run id that it got no answer for to the last sweep that
    saw the run. A run that is not named there was seen at `others_seen_at` (None: at `swept_at`). For the runs in
    `no_answer`, Databricks accepted the request and did not answer. `unreadable_pipelines` names the pipelines of
    unreadable rows, at most 20. Since `blind_since`, sweeps have seen none of the active runs (None: the last sweep saw
    one). `stood_in`: the timer swept the workspace itself, because nobody had taken its group from the queue. `version`
    is that of the app that made the sweep (None: one before 1.0.0).
    """

    swept_at: datetime
    report: SweepReport
    not_seen: Mapping[str, datetime] = field(default_factory=dict)
    others_seen_at: datetime | None = None
    no_answer: tuple[str, ...] = ()
    unreadable_pipelines: tuple[str, ...] = ()
    blind_since: datetime | None = None
    stood_in: bool = False
    version: str | None = None
    listing: ListingMemory = ListingMemory()
    upkeep: UpkeepCursor = UpkeepCursor()


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepClaim:
    """The right to sweep a workspace, which one process has at a time. `last` is its last sweep."""

    last: LastSweep | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepGroup:
    """Workspaces, by name, that one message on the queue asks to sweep. It was sent at `sent_at`."""

    sent_at: datetime
    workspaces: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFilter:
    """Which runs a list returns. None means all. If `active` is true, finished runs are left out.

    The runs were accepted at `since` or later, and before `until`. They finished at `finished_since` or later.
    """

    status: Status | None = None
    pipeline_id: str | None = None
    active: bool = False
    since: datetime | None = None
    until: datetime | None = None
    finished_since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPage:
    """One page of runs, newest first. `continuation` is opaque text for the next page, or None at the end.

    When its time is over, a page holds fewer runs than the limit, or none.
    """

    runs: tuple[Run, ...]
    continuation: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One line of the health answer."""

    name: str
    ok: bool
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What health found. `last_sweeps` holds each workspace by its name (None: no sweep yet, or no answer)."""

    checks: tuple[Check, ...]
    last_sweeps: Mapping[str, LastSweep | None] = field(default_factory=dict)


JsonObject = Mapping[str, object]
