"""The examples of the OpenAPI document: example values, encoded by the encoders of real responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from polysync_core import __version__
from polysync_core.rules.wire.addresses import Addresses, await_token, update_url
from polysync_core.rules.wire.event_document import continuation_key, encode_events
from polysync_core.rules.wire.health_document import encode_health
from polysync_core.rules.wire.job_document import encode_job_document, encode_report
from polysync_core.rules.wire.rotation_contract import encode_rotation
from polysync_core.rules.wire.run_document import RunDocument, encode_document, encode_outcome
from polysync_core.values.await_keys import Rotation
from polysync_core.values.callback import Callback, CallbackKind, CallbackState
from polysync_core.values.databricks import EventsPage, Failure, LogEvent
from polysync_core.values.databricks_errors import (
    DatabricksError,
    DatabricksNetworkRefused,
    DatabricksSignInPage,
    DatabricksUnreachable,
    PermissionRefused,
    PipelineNotFound,
    TokenUnavailable,
)
from polysync_core.values.errors import (
    BodyTooLarge,
    CallbacksNotOwed,
    ContinuationExpired,
    FieldProblem,
    InvalidRequest,
    JobNotFound,
    JobTooLarge,
    KeyInFlight,
    KeyReused,
    NotSignedIn,
    ParameterReadOnly,
    RoleMissing,
    RowUnreadable,
    RunFinished,
    RunGivenUp,
    RunNotFound,
    SettingsError,
    SignInUnavailable,
    StartUnknown,
    StorageUnavailable,
    TooBusy,
    TooManyAwaitKeys,
    TooManyCallbacks,
    UpdateConflict,
    WorkspaceNotFound,
)
from polysync_core.values.ids import RunId
from polysync_core.values.job import (
    Change,
    ChangeKind,
    Counts,
    Direction,
    DiscoveryReport,
    FullRefresh,
    HiddenValue,
    Job,
    Tally,
)
from polysync_core.values.run import Attempt, Check, Health, JsonObject, LastSweep, Run, RunError, SweepReport
from polysync_core.values.workspace import Workspace

_DATABRICKS_PAGE = "CAIQ"
RUN_ID = RunId("8279d543-063c-4d63-9926-dae38e35ce8b", "557aafb1-3ba0-4a2f-9b2c-6f4b2d2a3f10")
AWAIT_TOKEN = await_token(b"an example", RUN_ID)
KEY = "nightly-orders-2026-11-22"
CONTINUATION = "cmVjZW50fDI1MTY4MTA1NjQwMDAwMDB8"
_WORKSPACE = Workspace(name="default", url="https://adb-1234567890123456.7.azuredatabricks.net")
_ADDRESSES = Addresses("https://polysync.example.com")
_BEGAN = datetime(2026, 11, 22, 2, 0, 4, 312_000, tzinfo=UTC)
_ENDED = _BEGAN + timedelta(minutes=14, seconds=8)
_CALLBACK = Callback(callback_id="1", kind=CallbackKind.WEBHOOK, host="prod-01.westeurope.logic.azure.com")
_REASON = "Table orders_raw was not found: [TABLE_OR_VIEW_NOT_FOUND]."


def _attempt(state: str | None) -> Attempt:
    return Attempt(update_id=RUN_ID.update_id, state=state, cause="API_CALL", created_at=_BEGAN)


_RUNNING = Run(
    run_id=RUN_ID,
    full_refresh=True,
    accepted_at=_BEGAN,
    seen_at=_ENDED,
    updated_at=_BEGAN + timedelta(seconds=41),
    attempts=(_attempt("RUNNING"),),
    pipeline_name="Orders",
    ignored_parameters=("region",),
    started_at=_BEGAN,
    callbacks=(_CALLBACK,),
)
_ACCEPTED = replace(_RUNNING, attempts=(Attempt(update_id=RUN_ID.update_id, state=None),), started_at=None)


def _ended(state: str | None, error: RunError | None = None) -> Run:
    return replace(
        _RUNNING,
        attempts=(_attempt(state),),
        updated_at=_ENDED,
        finished_at=_ENDED,
        error=error,
        callbacks=(replace(_CALLBACK, state=CallbackState.DELIVERED, tries=1),),
    )


def _document(run: Run) -> RunDocument:
    return encode_document(run, workspace=_WORKSPACE, addresses=_ADDRESSES, now=_ENDED, stale_since=None)


def _outcome(run: Run) -> object:
    return encode_outcome(run, _document(run), f"/api/runs/{RUN_ID}/result").body


RUNNING, SUCCEEDED = _document(_RUNNING), _document(_ended("COMPLETED"))
REDELIVERED = _document(
    replace(_ended("COMPLETED"), callbacks=(replace(_CALLBACK, state=CallbackState.DUE, next_attempt_at=_ENDED),))
)
STARTED = _document(_ACCEPTED) | {"resultUrl": _ADDRESSES.result_url(RUN_ID, AWAIT_TOKEN)}
STOPPING = _document(replace(_RUNNING, attempts=(_attempt("STOPPING"),), cancel_requested_at=_ENDED))
FAILED = _outcome(_ended("FAILED", RunError(code="Failed", message=_REASON)))
CANCELLED = _outcome(_ended("CANCELED"))
GIVEN_UP = _outcome(
    _ended(None, RunError(code="RunLost", message="Given up: Databricks answers that this update does not exist."))
)
ABANDONED = _document(
    _ended(
        None,
        RunError(
            code="RunAbandoned",
            message="Abandoned at an operator's request; its last state was RUNNING. "
            "Databricks was asked for nothing, so the update may go on.",
        ),
    )
)
RUNS = {"items": [RUNNING], "continuation": CONTINUATION}


def _event(state: str, level: str, at: datetime, *failures: Failure) -> LogEvent:
    return LogEvent(
        update_id=RUN_ID.update_id,
        at=at,
        level=level,
        event_type="update_progress",
        message=f"Update {RUN_ID.update_id[:6]} is {state}.",
        failures=failures,
    )


EVENTS = encode_events(
    EventsPage(
        events=(
            _event("FAILED", "ERROR", _ENDED, Failure(class_name="AnalysisException", message=_REASON)),
            _event("RUNNING", "INFO", _BEGAN + timedelta(minutes=4)),
        ),
        next_page_token=_DATABRICKS_PAGE,
    ),
    RUN_ID,
    continuation_key(b"an example"),
)

_JOB = Job(
    pipeline_id=RUN_ID.pipeline_id,
    name="Orders",
    imported_at=_BEGAN - timedelta(days=3),
    synced_at=_BEGAN,
    parameters={
        "photon": True,
        "spark.hadoop.fs.azure.account.key.lake.dfs.core.windows.net": HiddenValue("1f0c"),
        "spark.sql.shuffle.partitions": 200,
    },
    full_refresh=FullRefresh(value=True, direction=Direction.INPUT),
)
JOB = encode_job_document(_JOB, workspace=_WORKSPACE, synced_at=_BEGAN)
JOBS = {"items": [JOB], "continuation": None}
REPORT = encode_report(
    DiscoveryReport(
        workspace=_WORKSPACE.name,
        tally=Tally(jobs=Counts(changed=1), parameters=Counts(changed=1, unchanged=1)),
        changes=(
            Change(
                job=RUN_ID.pipeline_id,
                parameter="spark.sql.shuffle.partitions",
                kind=ChangeKind.CHANGED,
                before=100,
                after=200,
            ),
        ),
    ),
    None,
)
_CHECKS = (
    *(("settings", "valid"), ("storage", "answers")),
    *(("token", "Entra ID issues one"), ("workspace default", "answers")),
)
ROTATED = encode_rotation(Rotation(rotated_at=_BEGAN, old_valid_until=_BEGAN + timedelta(days=7)))
_HEALTHY = [Check(name=name, ok=True, message=message) for name, message in _CHECKS]
_SWEPT = LastSweep(swept_at=_BEGAN, report=SweepReport(workspace=_WORKSPACE.name), version=__version__)


def _health(*checks: Check, last_sweeps: Mapping[str, LastSweep | None]) -> JsonObject:
    return encode_health(Health(checks=checks, last_sweeps=last_sweeps), __version__).body


HEALTHY = _health(*_HEALTHY, last_sweeps={_WORKSPACE.name: _SWEPT})
FAILING = _health(
    *_HEALTHY,
    Check(name="sweep default", ok=False, message="900 s ago, 2 active, 0 not seen"),
    last_sweeps={_WORKSPACE.name: _SWEPT},
)

# --- errors, as the app raises them

INVALID = InvalidRequest(FieldProblem(field="workspace", allowed="must be one of default, finance", given='"finanace"'))
WRONG_VERSION = InvalidRequest(FieldProblem(field="version", allowed="must be one of 2.0, 3.1", given='"3.0"'))
TOO_LARGE = BodyTooLarge(FieldProblem(field="body", allowed="must be at most 64 KB", given="70000 bytes"))
RUN_UNKNOWN = RunNotFound(f"There is no run {RUN_ID}.")
CONTINUATION_EXPIRED = ContinuationExpired("Databricks no longer accepts this continuation; start again without it.")
JOB_UNKNOWN = JobNotFound(RUN_ID.pipeline_id, _WORKSPACE.name)
JOB_TOO_LARGE = JobTooLarge(f"The configuration of pipeline {RUN_ID.pipeline_id} does not fit into a row.")
READ_ONLY = ParameterReadOnly(
    "The parameter photon belongs to the pipeline's definition; only full_refresh can be set here. Edit the pipeline "
    "in Databricks, then Sync Parameters: POST /api/jobs/{pipeline_id}/sync."
)
CONFLICT = UpdateConflict(
    f"Update {RUN_ID.update_id} of pipeline {RUN_ID.pipeline_id} is active. Wait for it, cancel it, or send "
    '"onConflict": "attach" to join it.',
    active={
        "updateId": RUN_ID.update_id,
        "state": "RUNNING",
        "updateUrl": update_url(_WORKSPACE.url, RUN_ID),
        "runId": str(RUN_ID),
    },
    retry_after_seconds=15,
)
RUN_GIVEN_UP = RunGivenUp(
    f"Update {RUN_ID.update_id} is active, but its run {RUN_ID} was given up (RunAbandoned), so it cannot be "
    "joined. Wait for its end, or stop it in Databricks.",
    code="RunAbandoned",
    active=CONFLICT.active,
)
RUN_FINISHED = RunFinished(f"Run {RUN_ID} is finished already, so it cannot be abandoned.")
TOO_MANY_CALLBACKS = TooManyCallbacks(f"Run {RUN_ID} has 20 callbacks already.")
STILL_ACTIVE = CallbacksNotOwed(f"Run {RUN_ID} is active; its callbacks are sent when it finishes.")
KEY_REUSED = KeyReused("This Idempotency-Key came with another request before; use a new key for a new start.")
KEY_IN_FLIGHT = KeyInFlight(
    "The first request with this Idempotency-Key is still being handled; repeat it with the same key.",
    retry_after_seconds=15,
)
START_UNKNOWN = StartUnknown(
    "Databricks did not answer in time. Whether the update was started is not known yet; it was not repeated. The app "
    "keeps looking: repeat the request with the same Idempotency-Key, or look at the pipeline's runs.",
    retry_after_seconds=30,
)
NOT_SIGNED_IN = NotSignedIn("The access token is not accepted.", 'Bearer error="invalid_token"')
ROLE_MISSING = RoleMissing("This needs the role Polysync.Operate or Polysync.Operate.finance.")
WORKSPACE_UNKNOWN = WorkspaceNotFound("There is no such workspace, or you may not see it.")
SIGN_IN = SignInUnavailable("Entra ID's signing keys cannot be fetched now.", retry_after_seconds=30)
SETTINGS = SettingsError(["DATABRICKS_HOST: is missing."])
UNSET = _health(Check(name="settings", ok=False, message=SETTINGS.detail), last_sweeps={})
TOO_BUSY = TooBusy(f"Run {RUN_ID} changes all the time, so it was not cancelled; repeat the request.")
TOO_MANY_AWAIT_KEYS = TooManyAwaitKeys(
    '40 old keys are still valid, and no more can be kept. Rotate with "keepOldForDays": 0, which ends them at once, '
    "or wait until one of them ends."
)
STORAGE = StorageUnavailable("Table Storage did not answer in time.")
ROW_UNREADABLE = RowUnreadable(f"The row of job {RUN_ID.pipeline_id} cannot be read. Sync Parameters writes it again.")
START_UNREADABLE = RowUnreadable(
    f"Pipeline {RUN_ID.pipeline_id} cannot be started: the stored row of an earlier start cannot be read. An operator "
    "has to correct or delete that row; the app's log names it."
)
NO_TOKEN = TokenUnavailable("Entra ID gave no token.")


def _refused(status: int, error_code: str, says: str, retry_after_seconds: int | None = None) -> DatabricksError:
    return DatabricksError(
        f"Databricks answered {status}: {says}",
        databricks_status=status,
        error_code=error_code,
        says=says,
        retry_after_seconds=retry_after_seconds,
    )


DATABRICKS = (
    _refused(400, "INVALID_PARAMETER_VALUE", "The target schema does not exist."),
    PermissionRefused("User does not have permission.", databricks_status=403, error_code="PERMISSION_DENIED"),
    DatabricksNetworkRefused(
        "it is reached through a private link only", databricks_status=302, error_code=None, says=""
    ),
    DatabricksSignInPage(databricks_status=200),
    _refused(404, "RESOURCE_DOES_NOT_EXIST", "The specified pipeline was not found."),
    _refused(429, "REQUEST_LIMIT_EXCEEDED", "Too many requests.", retry_after_seconds=33),
    _refused(500, "INTERNAL_ERROR", "Something is wrong."),
    DatabricksUnreachable("No connection to Databricks could be made.", was_sent=False),
    NO_TOKEN,
)
NOT_PERMITTED = DATABRICKS[1]
PIPELINE_UNKNOWN = PipelineNotFound.of(_refused(404, "RESOURCE_DOES_NOT_EXIST", "The pipeline was not found."))
NO_ANSWER = DatabricksUnreachable("Databricks did not answer in time.", was_sent=True)
