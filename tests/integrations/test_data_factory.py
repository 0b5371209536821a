"""The Data Factory pipelines of integrations/, executed against the app. Skipped without a .NET runtime."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.data_factory import FAILED, SUCCEEDED, DataFactory, PipelineRun
from tests.integrations.loopback import KeyVault
from tests.integrations.stack import FUNCTION_KEY, INTEGRATIONS, PATIENCE_SECONDS, Stack, wait_for_states

FILES = sorted((INTEGRATIONS / "data-factory" / "pipeline").glob("*.json"))
RUNNING_PIPELINES = {"polysync_run": "Run update", "polysync_run_webhook": "Run update", "polysync_run_until": None}
ENDINGS = [("COMPLETED", SUCCEEDED), ("FAILED", FAILED), ("CANCELED", FAILED)]
REASONS = {"FAILED": "[TABLE_OR_VIEW_NOT_FOUND] The table", "CANCELED": "The update was cancelled."}


class Caller:
    """Runs pipelines. It adds the parameters that every pipeline takes."""

    def __init__(self, data_factory: DataFactory, stack: Stack, vault: KeyVault) -> None:
        self._data_factory = data_factory
        self._fixed = {"appUrl": stack.url, "keySecretUrl": vault.secret_url}

    def run(self, name: str, note: str, *, run_id: str | None = None, **parameters: object) -> PipelineRun:
        return self._data_factory.run(name, run_id or str(uuid.uuid4()), note, **self._fixed, **parameters)


@pytest.fixture
def caller(data_factory: DataFactory, stack: Stack, vault: KeyVault) -> Caller:
    return Caller(data_factory, stack, vault)


@pytest.mark.parametrize(("ending", "expected"), ENDINGS)
@pytest.mark.parametrize("pipeline", RUNNING_PIPELINES)
def test_a_pipeline_ends_as_its_update_ended_and_says_why(
    pipeline: str, ending: str, expected: str, caller: Caller, stack: Stack
) -> None:
    pipeline_id = stack.add_pipeline(ending)
    run = caller.run(pipeline, f"the update ended {ending}", pipelineId=pipeline_id, fullRefresh=True)
    (update,) = stack.workspace.updates_of(pipeline_id)
    assert (run.status, update.state, update.full_refresh) == (expected, ending, True)
    if expected == FAILED:
        error = run.activities[-1].error
        assert error is not None
        assert REASONS[ending] in error["message"]
    elif waiting := RUNNING_PIPELINES[pipeline]:
        output = run.last(waiting).output
        assert (output["status"], output["state"], output["updateId"]) == ("Success", ending, update.update_id)


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
def test_a_start_that_is_refused_fails_the_pipeline_with_the_reason(
    pipeline: str, caller: Caller, stack: Stack
) -> None:
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


def test_polysync_cancel_stops_what_a_data_factory_run_started(caller: Caller, stack: Stack) -> None:
    pipeline_id, run_id = stack.add_pipeline("RUNNING"), str(uuid.uuid4())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            caller.run,
            "polysync_run",
            "cancelled by the next",
            run_id=run_id,
            pipelineId=pipeline_id,
            fullRefresh=False,
        )
        wait_for_states(stack, pipeline_id, ["RUNNING"])
        cancel = caller.run("polysync_cancel", "cancels that one", pipelineId=pipeline_id, startedByRunId=run_id)
        run = running.result(PATIENCE_SECONDS)
    assert cancel.status == SUCCEEDED
    assert cancel.last("Cancel update").output["cancelRequestedAt"] is not None
    assert run.status == FAILED
    assert [update.state for update in stack.workspace.updates_of(pipeline_id)] == ["CANCELED"]
    again = caller.run("polysync_cancel", "once more", pipelineId=pipeline_id, startedByRunId=run_id)
    assert (again.status, again.last("Cancel update").output["status"]) == (SUCCEEDED, "Cancelled")


def test_polysync_cancel_fails_when_that_run_started_nothing(caller: Caller, stack: Stack) -> None:
    run = caller.run(
        "polysync_cancel", "nothing was started", pipelineId=stack.add_pipeline("RUNNING"), startedByRunId="nobody"
    )
    assert (run.status, (run.activities[-1].error or {})["errorCode"]) == (FAILED, "404")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_log_of_data_factory_gets_the_function_key_or_the_await_address(file: Path) -> None:
    activities = list(_all_activities(json.loads(file.read_text())["properties"]["activities"]))
    for activity in activities:
        policy = activity.get("policy", {})
        if "authentication" in activity["typeProperties"]:
            assert policy["secureOutput"] is True, activity["name"]
        if "x-functions-key" in activity["typeProperties"].get("headers", {}):
            assert policy["secureInput"] is True, activity["name"]
        if activity["name"] == "Start update":
            assert policy["secureOutput"] is True
    assert len({activity["name"] for activity in activities}) == len(activities)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_start_carries_a_key_is_not_repeated_and_may_take_a_day(file: Path) -> None:
    properties = json.loads(file.read_text())["properties"]
    starts = [
        activity
        for activity in _all_activities(properties["activities"])
        if "/updates'" in json.dumps(activity["typeProperties"].get("url", ""))
    ]
    assert len(starts) == (0 if file.stem == "polysync_cancel" else 1)
    for start in starts:
        assert start["typeProperties"]["headers"]["Idempotency-Key"]["value"] == "@concat(pipeline().RunId, '/run')"
        assert start["policy"].get("retry", 0) == 0
    waiting = {"polysync_run": "policy", "polysync_run_webhook": "typeProperties"}.get(file.stem)
    if waiting:
        assert starts[0][waiting]["timeout"] == "1.00:00:00"


def test_the_page_shows_the_activity_of_polysync_run() -> None:
    page = (INTEGRATIONS / "data-factory" / "README.md").read_text()
    shown = json.loads(page.split("```json\n")[1].split("```")[0])
    (polysync_run,) = (file for file in FILES if file.stem == "polysync_run")
    real = json.loads(polysync_run.read_text())["properties"]["activities"][1]
    assert {key: shown[key] for key in ("name", "type")} == {key: real[key] for key in ("name", "type")}
    assert shown["policy"].items() <= real["policy"].items()
    assert shown["typeProperties"]["headers"] == real["typeProperties"]["headers"]


def test_a_pipeline_has_the_name_of_its_file() -> None:
    assert {json.loads(file.read_text())["name"] for file in FILES} == {file.stem for file in FILES}
    assert {file.stem for file in FILES} == {*RUNNING_PIPELINES, "polysync_cancel"}


def test_the_apps_log_holds_no_credential(caller: Caller, stack: Stack) -> None:
    caller.run("polysync_run_webhook", "for the log", pipelineId=stack.add_pipeline("COMPLETED"), fullRefresh=False)
    log = stack.log_file.read_text()
    assert "start_update 202" in log
    assert [word for word in (FUNCTION_KEY, "callback-credential", "token=") if word in log] == []


def _all_activities(activities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the given activities and all activities inside them."""
    found = []
    for activity in activities:
        found.append(activity)
        for name, inner in activity["typeProperties"].items():
            if name.lower().endswith("activities"):
                found += _all_activities(inner)
    return found
