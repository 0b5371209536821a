"""The routes of runs: what each takes and returns, and which errors it raises."""

from __future__ import annotations

from polysync_core.rules.wire.event_document import EventListDocument
from polysync_core.rules.wire.http_contract import RUNS_QUERY
from polysync_core.rules.wire.openapi import examples
from polysync_core.rules.wire.openapi.operation import BODY_ERRORS, UNREAD_BODY, Answer, Body, Operation, ok
from polysync_core.rules.wire.run_document import RunDocument, RunListDocument, StartedRunDocument, UnhappyEndDocument
from polysync_core.rules.wire.start_contract import StartBody

_WAIT = ("Operation-Location", "Retry-After")
_RUN_ERRORS = (examples.RUN_UNKNOWN, examples.STORAGE)
_CANCELLED = (
    Answer(
        status=202, description="A stop was asked for.", model=RunDocument, examples={"stopping": examples.STOPPING}
    ),
    ok(
        "The run was finished already; or the key is that of an attached start, whose caller waits no more.",
        RunDocument,
        finished=examples.SUCCEEDED,
    ),
)
RUN_ROUTES = (
    Operation(
        name="start_update",
        method="POST",
        path="pipelines/{pipeline_id}/updates",
        tag="runs",
        summary="Start an update of a pipeline",
        description="Answers before the update is done: wait at `Location`, look at `Operation-Location`, or ask for a "
        "callback.",
        parameters=("pipeline_id", "workspace", "Idempotency-Key"),
        body=Body(
            model=StartBody,
            examples={
                "as the mission sends it": {"pipeline_id": examples.RUN_ID.pipeline_id, "full_refresh": True},
                "as Data Factory interpolates it": {"full_refresh": "true"},
                "as configured": {},
                "called back": {"callbackUrl": "https://prod-01.westeurope.logic.azure.com/workflows/1?sig=secret"},
                "joining": {"onConflict": "attach", "timeoutMinutes": 90, "followRetries": True},
                "with parameters": {"parameters": {"full_refresh": "false", "region": "eu"}},
            },
        ),
        answers=(
            Answer(
                status=202,
                description="The update was started, or joined. No `Location` where `callBackUri` was given.",
                model=StartedRunDocument,
                examples={"accepted": examples.STARTED},
                headers=_WAIT,
                optional_headers=("Location",),
            ),
        ),
        errors=(
            *BODY_ERRORS,
            *_RUN_ERRORS,
            *(examples.CONFLICT, examples.RUN_GIVEN_UP, examples.TOO_MANY_CALLBACKS),
            *(examples.KEY_REUSED, examples.KEY_IN_FLIGHT),
            *(
                examples.PIPELINE_UNKNOWN,
                *examples.DATABRICKS,
                examples.START_UNKNOWN,
                examples.START_UNREADABLE,
                examples.TOO_BUSY,
            ),
        ),
    ),
    Operation(
        name="cancel_pipeline",
        method="POST",
        path="pipelines/{pipeline_id}/cancel",
        tag="runs",
        summary="Cancel the run that a key's start made, or the pipeline's active run",
        parameters=("pipeline_id", "workspace", "Idempotency-Key"),
        body=UNREAD_BODY,
        answers=_CANCELLED,
        errors=(*BODY_ERRORS, *_RUN_ERRORS, examples.TOO_BUSY, examples.NOT_PERMITTED, examples.KEY_IN_FLIGHT),
    ),
    Operation(
        name="list_runs",
        method="GET",
        path="runs",
        tag="runs",
        summary="List runs, newest first",
        description="With `workspace=*`, the runs of all workspaces are one list, newest first. A page holds what was "
        "found within about 2 s, perhaps nothing. Repeat with the `continuation` until it is null. Keep the other "
        "parameters as they are.",
        parameters=(*RUNS_QUERY, "workspaces"),
        answers=(ok("Runs.", RunListDocument, runs=examples.RUNS),),
        errors=(examples.INVALID, examples.STORAGE),
    ),
    Operation(
        name="get_run",
        method="GET",
        path="runs/{run_id}",
        tag="runs",
        summary="Read a run",
        description="200 as long as the run is known, however it ended.",
        parameters=("run_id", "workspace"),
        answers=(ok("The run.", RunDocument, running=examples.RUNNING, succeeded=examples.SUCCEEDED),),
        errors=(examples.INVALID, *_RUN_ERRORS),
    ),
    Operation(
        name="run_events",
        method="GET",
        path="runs/{run_id}/events",
        tag="runs",
        summary="Read the events of a run, newest first",
        description="Lines of the pipeline's event log in Databricks that are about this run's updates. Databricks "
        "deletes them after a while. The app stores none. An answer is up to 5 s old. `items` may be empty with a "
        "`continuation`. Repeat with it until it is null.",
        parameters=("run_id", "workspace", "continuation"),
        answers=(ok("Events.", EventListDocument, events=examples.EVENTS),),
        errors=(
            *(examples.INVALID, *_RUN_ERRORS, examples.CONTINUATION_EXPIRED),
            *(examples.PIPELINE_UNKNOWN, *examples.DATABRICKS),
        ),
    ),
    Operation(
        name="await_run",
        method="GET",
        path="runs/{run_id}/result",
        tag="runs",
        summary="Wait for the end of a run",
        description="The `Location` of a start. The token in the address grants access; no key is needed.",
        parameters=("run_id", "token", "workspace"),
        answers=(
            ok("The update completed.", RunDocument, succeeded=examples.SUCCEEDED),
            Answer(
                status=202,
                description="It goes on; ask again at `Location`, which outlives a rotation of the key.",
                model=RunDocument,
                examples={"running": examples.RUNNING},
                headers=("Location", *_WAIT),
            ),
            Answer(
                status=424, description="It failed.", model=UnhappyEndDocument, examples={"failed": examples.FAILED}
            ),
            Answer(
                status=409,
                description="It was cancelled.",
                model=UnhappyEndDocument,
                examples={"cancelled": examples.CANCELLED},
            ),
            Answer(
                status=410,
                description="It was given up.",
                model=UnhappyEndDocument,
                examples={"given up": examples.GIVEN_UP},
            ),
        ),
        errors=(examples.INVALID, *_RUN_ERRORS),
        is_anonymous=True,
    ),
    Operation(
        name="cancel_run",
        method="POST",
        path="runs/{run_id}/cancel",
        tag="runs",
        summary="Cancel a run",
        parameters=("run_id", "workspace"),
        body=UNREAD_BODY,
        answers=_CANCELLED,
        errors=(*BODY_ERRORS, *_RUN_ERRORS, examples.TOO_BUSY, examples.NOT_PERMITTED),
    ),
    Operation(
        name="redeliver",
        method="POST",
        path="runs/{run_id}/callbacks/redeliver",
        tag="runs",
        summary="Send the callbacks of a finished run again",
        parameters=("run_id", "workspace"),
        body=UNREAD_BODY,
        answers=(
            Answer(
                status=202,
                description="They are owed again.",
                model=RunDocument,
                examples={"owed": examples.REDELIVERED},
            ),
        ),
        errors=(*BODY_ERRORS, *_RUN_ERRORS, examples.TOO_BUSY, examples.STILL_ACTIVE),
    ),
    Operation(
        name="abandon_run",
        method="POST",
        path="runs/{run_id}/abandon",
        tag="runs",
        summary="Finish a run that nothing else can end",
        description="For operators. The run is finished as Unknown with the error RunAbandoned, and its callbacks are "
        "sent. Databricks is asked for nothing, so its update may go on.",
        parameters=("run_id", "workspace"),
        body=UNREAD_BODY,
        answers=(ok("The run, finished.", RunDocument, abandoned=examples.ABANDONED),),
        errors=(*BODY_ERRORS, *_RUN_ERRORS, examples.TOO_BUSY, examples.RUN_FINISHED),
    ),
)
