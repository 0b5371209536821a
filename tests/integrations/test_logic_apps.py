"""The Logic Apps definitions of integrations/: their HTTP calls are made against the app."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.integrations.logic_apps import CANCELLED, FAILED, SUCCEEDED, LogicApp, WorkflowRun
from tests.integrations.loopback import KeyVault
from tests.integrations.stack import INTEGRATIONS, Stack, wait_for_states

FILES = sorted((INTEGRATIONS / "logic-apps").glob("*.json"))
DEFINITIONS: dict[str, Any] = {file.stem: json.loads(file.read_text())["definition"] for file in FILES}
ENDINGS = [("COMPLETED", SUCCEEDED), ("FAILED", FAILED), ("CANCELED", CANCELLED)]


class Caller:
    def __init__(self, stack: Stack, vault: KeyVault) -> None:
        self._stack = stack
        self._fixed = {"appUrl": stack.url, "keySecretUrl": vault.secret_url}

    def run(
        self, workflow: str, *, name: str | None = None, is_cancelled_early: bool = False, **parameters: object
    ) -> WorkflowRun:
        app = LogicApp(DEFINITIONS[workflow], self._stack.callback_host)
        run_name = name or uuid.uuid4().hex
        return app.run(run_name, is_cancelled_early=is_cancelled_early, **self._fixed, **parameters)


@pytest.fixture
def caller(stack: Stack, vault: KeyVault) -> Caller:
    return Caller(stack, vault)


def test_there_is_one_by_polling_and_one_by_webhook() -> None:
    assert set(DEFINITIONS) == {"run-by-polling", "run-by-webhook"}


def test_the_page_shows_the_action_of_run_by_polling() -> None:
    page = (INTEGRATIONS / "logic-apps" / "README.md").read_text()
    shown = json.loads("{" + page.split("```json\n")[1].split("```")[0] + "}")["Run_update"]
    real = DEFINITIONS["run-by-polling"]["actions"]["Run_update"]
    assert [shown[key] for key in ("type", "limit")] == [real[key] for key in ("type", "limit")]
    assert shown["inputs"]["headers"].items() <= real["inputs"]["headers"].items()


@pytest.mark.parametrize(("ending", "expected"), ENDINGS)
@pytest.mark.parametrize("workflow", DEFINITIONS)
def test_a_workflow_ends_as_its_update_ended_and_says_why(
    workflow: str, ending: str, expected: str, caller: Caller, stack: Stack
) -> None:
    pipeline_id = stack.add_pipeline(ending)
    run = caller.run(workflow, pipelineId=pipeline_id, fullRefresh=True)
    (update,) = stack.workspace.updates_of(pipeline_id)
    assert (run.status, update.state, update.full_refresh) == (expected, ending, True)
    assert ("What_comes_next" in run.actions) is (expected == SUCCEEDED)
    if expected == FAILED:
        assert run.error is not None
        assert "[TABLE_OR_VIEW_NOT_FOUND]" in run.error["message"]


@pytest.mark.parametrize("workflow", DEFINITIONS)
def test_a_start_that_is_refused_fails_the_workflow_with_the_reason(
    workflow: str, caller: Caller, stack: Stack
) -> None:
    pipeline_id = stack.add_pipeline("RUNNING")
    update_id = stack.workspace.start_elsewhere(pipeline_id)
    run = caller.run(workflow, pipelineId=pipeline_id)
    assert (run.status, run.actions["Run_update"]) == (FAILED, FAILED)
    assert run.error is not None
    assert update_id in run.error["message"]


def test_unsubscribe_after_the_callback_does_nothing(caller: Caller, stack: Stack) -> None:
    pipeline_id = stack.add_pipeline("COMPLETED")
    run = caller.run("run-by-webhook", pipelineId=pipeline_id)
    assert run.unsubscribed == [200]
    assert [call for call in stack.workspace.calls("POST") if pipeline_id in call.path and "stop" in call.path] == []


def test_unsubscribe_of_a_run_that_is_cancelled_cancels_the_update(caller: Caller, stack: Stack) -> None:
    pipeline_id = stack.add_pipeline("RUNNING")
    run = caller.run("run-by-webhook", pipelineId=pipeline_id, is_cancelled_early=True)
    assert (run.status, run.unsubscribed) == (CANCELLED, [202])
    wait_for_states(stack, pipeline_id, ["CANCELED"])


@pytest.mark.parametrize("workflow", DEFINITIONS)
def test_a_post_that_is_repeated_gets_the_same_run(workflow: str, caller: Caller, stack: Stack) -> None:
    pipeline_id, name = stack.add_pipeline("COMPLETED"), uuid.uuid4().hex
    runs = [caller.run(workflow, name=name, pipelineId=pipeline_id) for _ in range(2)]
    assert [run.status for run in runs] == [SUCCEEDED, SUCCEEDED]
    assert len(stack.workspace.updates_of(pipeline_id)) == 1


@pytest.mark.parametrize("workflow", DEFINITIONS)
def test_no_run_history_gets_the_function_key(workflow: str) -> None:
    actions = DEFINITIONS[workflow]["actions"]
    hidden = {
        name: action["runtimeConfiguration"]["secureData"]["properties"]
        for name, action in actions.items()
        if "runtimeConfiguration" in action
    }
    assert hidden == {"Get_function_key": ["outputs"], "Run_update": ["inputs"]}
    assert {name for name, action in actions.items() if "Get_function_key" in json.dumps(action.get("inputs", {}))} == {
        "Run_update"
    }
