"""The Data Factory pipelines of integrations/, executed against the app. Skipped without a .NET runtime."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.entra import SimulatedEntra
from tests.integrations.conftest import DoorOf
from tests.integrations.data_factory import DataFactory, PipelineRun
from tests.integrations.data_factory_calls import FAILED, SUCCEEDED, Calls
from tests.integrations.doors import OPERATE
from tests.integrations.identity import ManagedIdentity
from tests.integrations.stack import FUNCTION_KEY, PATIENCE_SECONDS, Stack, wait_for_states

WITH_KEY = {"polysync_run": "Run update", "polysync_run_webhook": "Run update", "polysync_run_until": None}
SIGNED_IN = {name.replace("polysync_", "polysync_entra_"): waiting for name, waiting in WITH_KEY.items()}
CANCELLING = ("polysync_cancel", "polysync_entra_cancel")
RUNNING_PIPELINES = WITH_KEY | SIGNED_IN
ENDINGS = {"COMPLETED": SUCCEEDED, "FAILED": FAILED, "CANCELED": FAILED}
ENDED_RUNS = [
    *((pipeline, ending) for pipeline in WITH_KEY for ending in ENDINGS),
    *((pipeline, ending) for pipeline in SIGNED_IN for ending in ("COMPLETED", "FAILED")),
]
REASONS = {"FAILED": "[TABLE_OR_VIEW_NOT_FOUND] The table", "CANCELED": "The update was cancelled."}


class Caller:
    """Runs pipelines against the app for which they are made. It adds the parameters that all of them take."""

    def __init__(self, data_factory: DataFactory, door_of: DoorOf) -> None:
        self._data_factory = data_factory
        self._door_of = door_of

    def stack(self, pipeline: str) -> Stack:
        return self._door_of(pipeline).stack

    def run(
        self,
        name: str,
        note: str,
        *,
        run_id: str | None = None,
        identity: ManagedIdentity | None = None,
        **parameters: Any,
    ) -> PipelineRun:
        door = self._door_of(name)
        calls = Calls(door.stack.callback_host, identity or door.identity)
        given = {**door.parameters, **parameters}
        return self._data_factory.run(name, run_id or str(uuid.uuid4()), note, calls, **given)


@pytest.fixture
def caller(data_factory: DataFactory, door_of: DoorOf) -> Caller:
    return Caller(data_factory, door_of)


@pytest.mark.parametrize(("pipeline", "ending"), ENDED_RUNS)
def test_a_pipeline_ends_as_its_update_ended_and_says_why(pipeline: str, ending: str, caller: Caller) -> None:
    workspace = caller.stack(pipeline).workspace
    pipeline_id = caller.stack(pipeline).add_pipeline(ending)
    run = caller.run(pipeline, f"the update ended {ending}", pipelineId=pipeline_id, fullRefresh=True)
    (update,) = workspace.updates_of(pipeline_id)
    assert (run.status, update.state, update.full_refresh) == (ENDINGS[ending], ending, True)
    if ENDINGS[ending] == FAILED:
        error = run.activities[-1].error
        assert error is not None
        assert REASONS[ending] in error["message"]
    elif waiting := RUNNING_PIPELINES[pipeline]:
        output = run.last(waiting).output
        assert (output["status"], output["state"], output["updateId"]) == ("Success", ending, update.update_id)


@pytest.mark.parametrize(
    ("roles", "resource", "code", "said"),
    [
        (["Polysync.Read"], None, "403", OPERATE),
        ([f"{OPERATE}.another"], None, "403", OPERATE),
        ([], None, "NoToken", "AADSTS501051"),
        ([OPERATE], "api://another-app", "NoToken", "AADSTS500011"),
    ],
)
@pytest.mark.parametrize("pipeline", [*SIGNED_IN, "polysync_entra_cancel"])
def test_an_activity_fails_without_the_role_or_with_another_resource(
    pipeline: str,
    roles: Sequence[str],
    resource: str | None,
    code: str,
    said: str,
    caller: Caller,
    entra: SimulatedEntra,
) -> None:
    stack = caller.stack(pipeline)
    pipeline_id = stack.add_pipeline("COMPLETED")
    given: dict[str, Any] = {"fullRefresh": False} if pipeline in SIGNED_IN else {"startedByRunId": "nobody"}
    if resource is not None:
        given["appResource"] = resource
    run = caller.run(
        pipeline, f"{code} {said}", identity=ManagedIdentity(entra, roles), pipelineId=pipeline_id, **given
    )
    error = run.activities[-1].error
    assert error is not None
    assert (run.status, error["errorCode"]) == (FAILED, code)
    assert said in error["message"]
    assert stack.workspace.updates_of(pipeline_id) == []


@pytest.mark.parametrize("full_refresh", [False, "true"])
def test_full_refresh_may_be_a_boolean_or_a_string(full_refresh: object, caller: Caller, stack: Stack) -> None:
    pipeline_id = stack.add_pipeline("COMPLETED")
    run = caller.run("polysync_run", f"fullRefresh {full_refresh!r}", pipelineId=pipeline_id, fullRefresh=full_refresh)
    assert run.status == SUCCEEDED
    assert [update.full_refresh for update in stack.workspace.updates_of(pipeline_id)] == [full_refresh == "true"]


@pytest.mark.parametrize("pipeline", ["polysync_run", "polysync_run_webhook"])
def test_an_activity_that_is_repeated_gets_the_same_run(pipeline: str, caller: Caller, stack: Stack) -> None:
    pipeline_id, run_id = stack.add_pipeline("COMPLETED"), str(uuid.uuid4())
    runs = [
        caller.run(pipeline, f"with one run id, {time_} time", run_id=run_id, pipelineId=pipeline_id, fullRefresh=False)
        for time_ in ("first", "second")
    ]
    assert [run.status for run in runs] == [SUCCEEDED, SUCCEEDED]
    assert len(stack.workspace.updates_of(pipeline_id)) == 1


@pytest.mark.parametrize("pipeline", RUNNING_PIPELINES)
def test_a_start_that_is_refused_fails_the_pipeline_with_the_reason(pipeline: str, caller: Caller) -> None:
    stack = caller.stack(pipeline)
    pipeline_id = stack.add_pipeline("RUNNING")
    stack.workspace.start_elsewhere(pipeline_id)
    run = caller.run(pipeline, "another update is active", pipelineId=pipeline_id, fullRefresh=False)
    assert run.status == FAILED
    error = run.activities[-1].error
    assert error is not None
    assert error["errorCode"] == "409"
    assert stack.workspace.updates_of(pipeline_id)[0].update_id in error["message"]


def test_a_loop_that_times_out_fails_the_pipeline_with_the_last_it_knew(data_factory: DataFactory) -> None:
    (failure,) = data_factory.after_a_failed(
        "Until it has ended", "polysync_run_until", "Did it succeed", outcome="", state="RUNNING", message="It runs."
    )
    assert failure == {"errorCode": "UpdateTimedOut", "message": "The update has not ended in time (RUNNING): It runs."}


@pytest.mark.parametrize("cancel", CANCELLING)
def test_polysync_cancel_stops_what_a_data_factory_run_started(
    cancel: str, caller: Caller, entra: SimulatedEntra
) -> None:
    stack = caller.stack(cancel)
    pipeline_id, run_id = stack.add_pipeline("RUNNING"), str(uuid.uuid4())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            caller.run,
            cancel.replace("cancel", "run"),
            "cancelled by the next",
            run_id=run_id,
            pipelineId=pipeline_id,
            fullRefresh=False,
        )
        wait_for_states(stack, pipeline_id, ["RUNNING"])
        if "entra" in cancel:
            other = ManagedIdentity(entra, [OPERATE])
            refused = caller.run(
                cancel, "of another identity", identity=other, pipelineId=pipeline_id, startedByRunId=run_id
            )
            assert (refused.activities[-1].error or {})["errorCode"] == "404"
        stopped = caller.run(cancel, "cancels that one", pipelineId=pipeline_id, startedByRunId=run_id)
        run = running.result(PATIENCE_SECONDS)
    assert stopped.status == SUCCEEDED
    assert stopped.last("Cancel update").output["cancelRequestedAt"] is not None
    assert run.status == FAILED
    assert [update.state for update in stack.workspace.updates_of(pipeline_id)] == ["CANCELED"]
    again = caller.run(cancel, "once more", pipelineId=pipeline_id, startedByRunId=run_id)
    assert (again.status, again.last("Cancel update").output["status"]) == (SUCCEEDED, "Cancelled")


@pytest.mark.parametrize("cancel", CANCELLING)
def test_polysync_cancel_fails_when_that_run_started_nothing(cancel: str, caller: Caller) -> None:
    pipeline_id = caller.stack(cancel).add_pipeline("RUNNING")
    run = caller.run(cancel, "nothing was started", pipelineId=pipeline_id, startedByRunId="nobody")
    assert (run.status, (run.activities[-1].error or {})["errorCode"]) == (FAILED, "404")


@pytest.mark.parametrize("pipeline", ["polysync_run_webhook", "polysync_entra_run_webhook"])
def test_the_apps_log_holds_no_credential(pipeline: str, caller: Caller) -> None:
    stack = caller.stack(pipeline)
    caller.run(pipeline, "for the log", pipelineId=stack.add_pipeline("COMPLETED"), fullRefresh=False)
    log = stack.log_file.read_text()
    assert "start_update 202" in log
    # every JSON Web Token begins with eyJ, as {" does in Base64
    assert [word for word in (FUNCTION_KEY, "callback-credential", "token=", "eyJ") if word in log] == []
