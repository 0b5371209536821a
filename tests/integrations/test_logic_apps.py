"""The Logic Apps definitions of integrations/: their HTTP calls are made against the app."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from local.entra import SimulatedEntra
from tests.integrations.conftest import DoorOf
from tests.integrations.doors import OPERATE
from tests.integrations.identity import ManagedIdentity
from tests.integrations.logic_apps import CANCELLED, FAILED, SUCCEEDED, LogicApp, WorkflowRun
from tests.integrations.sign_in_forms import WORKFLOWS
from tests.integrations.stack import INTEGRATIONS, Stack, wait_for_states

DEFINITIONS: dict[str, Any] = {
    file.stem: json.loads(file.read_text())["definition"] for file in sorted(WORKFLOWS.glob("*.json"))
}
WITH_KEY = ["run-by-polling", "run-by-webhook"]
SIGNED_IN = ["entra-run-by-polling", "entra-run-by-webhook"]
WEBHOOKS = ["run-by-webhook", "entra-run-by-webhook"]
ENDINGS = {"COMPLETED": SUCCEEDED, "FAILED": FAILED, "CANCELED": CANCELLED}
ENDED_RUNS = [
    *((workflow, ending) for workflow in WITH_KEY for ending in ENDINGS),
    *((workflow, ending) for workflow in SIGNED_IN for ending in ("COMPLETED", "FAILED")),
]


class Caller:
    """Runs workflows against the app for which they are made. It adds the parameters that all of them take."""

    def __init__(self, door_of: DoorOf) -> None:
        self._door_of = door_of

    def stack(self, workflow: str) -> Stack:
        return self._door_of(workflow).stack

    def run(
        self,
        workflow: str,
        *,
        name: str | None = None,
        is_cancelled_early: bool = False,
        identity: ManagedIdentity | None = None,
        **parameters: Any,
    ) -> WorkflowRun:
        door = self._door_of(workflow)
        app = LogicApp(DEFINITIONS[workflow], door.stack.callback_host, identity or door.identity)
        given = {**door.parameters, **parameters}
        return app.run(name or uuid.uuid4().hex, is_cancelled_early=is_cancelled_early, **given)


@pytest.fixture
def caller(door_of: DoorOf) -> Caller:
    return Caller(door_of)


def test_there_is_one_by_polling_and_one_by_webhook_for_each_door() -> None:
    assert set(DEFINITIONS) == {*WITH_KEY, *SIGNED_IN}


@pytest.mark.parametrize(("workflow", "block"), [("entra-run-by-polling", 0), ("run-by-polling", 1)])
def test_the_page_shows_the_action_of_run_by_polling(workflow: str, block: int) -> None:
    page = (INTEGRATIONS / "logic-apps" / "README.md").read_text()
    shown = json.loads("{" + page.split("```json\n")[block + 1].split("```")[0] + "}")["Run_update"]
    real = DEFINITIONS[workflow]["actions"]["Run_update"]
    assert [shown[key] for key in ("type", "limit")] == [real[key] for key in ("type", "limit")]
    assert shown["inputs"]["headers"].items() <= real["inputs"]["headers"].items()
    assert ("authentication" in shown["inputs"]) is ("authentication" in real["inputs"])


@pytest.mark.parametrize(("workflow", "ending"), ENDED_RUNS)
def test_a_workflow_ends_as_its_update_ended_and_says_why(workflow: str, ending: str, caller: Caller) -> None:
    stack, expected = caller.stack(workflow), ENDINGS[ending]
    pipeline_id = stack.add_pipeline(ending)
    run = caller.run(workflow, pipelineId=pipeline_id, fullRefresh=True)
    (update,) = stack.workspace.updates_of(pipeline_id)
    assert (run.status, update.state, update.full_refresh) == (expected, ending, True)
    assert ("What_comes_next" in run.actions) is (expected == SUCCEEDED)
    assert set(run.unsubscribed) <= {200}
    if expected == FAILED:
        assert run.error is not None
        assert "[TABLE_OR_VIEW_NOT_FOUND]" in run.error["message"]


@pytest.mark.parametrize("workflow", SIGNED_IN)
def test_a_workflow_without_the_role_fails_and_names_it(workflow: str, caller: Caller, entra: SimulatedEntra) -> None:
    stack = caller.stack(workflow)
    pipeline_id = stack.add_pipeline("COMPLETED")
    run = caller.run(workflow, identity=ManagedIdentity(entra, ["Polysync.Read"]), pipelineId=pipeline_id)
    assert (run.status, run.actions["Run_update"]) == (FAILED, FAILED)
    assert run.error is not None
    assert OPERATE in run.error["message"]
    assert stack.workspace.updates_of(pipeline_id) == []
    assert set(run.unsubscribed) <= {403}


@pytest.mark.parametrize(("roles", "resource"), [([OPERATE], {"appResource": "api://another-app"}), ([], {})])
@pytest.mark.parametrize("workflow", SIGNED_IN)
def test_a_workflow_for_which_there_is_no_token_fails(
    workflow: str, roles: list[str], resource: dict[str, Any], caller: Caller, entra: SimulatedEntra
) -> None:
    pipeline_id = caller.stack(workflow).add_pipeline("COMPLETED")
    run = caller.run(workflow, identity=ManagedIdentity(entra, roles), pipelineId=pipeline_id, **resource)
    assert (run.status, run.actions["Run_update"]) == (FAILED, FAILED)
    assert caller.stack(workflow).workspace.updates_of(pipeline_id) == []


@pytest.mark.parametrize("workflow", DEFINITIONS)
def test_a_start_that_is_refused_fails_the_workflow_with_the_reason(workflow: str, caller: Caller) -> None:
    stack = caller.stack(workflow)
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


@pytest.mark.parametrize("workflow", WEBHOOKS)
def test_unsubscribe_of_a_run_that_is_cancelled_cancels_the_update(workflow: str, caller: Caller) -> None:
    stack = caller.stack(workflow)
    pipeline_id = stack.add_pipeline("RUNNING")
    run = caller.run(workflow, pipelineId=pipeline_id, is_cancelled_early=True)
    assert (run.status, run.unsubscribed) == (CANCELLED, [202])
    wait_for_states(stack, pipeline_id, ["CANCELED"])


@pytest.mark.parametrize("workflow", WITH_KEY)
def test_a_post_that_is_repeated_gets_the_same_run(workflow: str, caller: Caller, stack: Stack) -> None:
    pipeline_id, name = stack.add_pipeline("COMPLETED"), uuid.uuid4().hex
    runs = [caller.run(workflow, name=name, pipelineId=pipeline_id) for _ in range(2)]
    assert [run.status for run in runs] == [SUCCEEDED, SUCCEEDED]
    assert len(stack.workspace.updates_of(pipeline_id)) == 1


@pytest.mark.parametrize("workflow", WITH_KEY)
def test_no_run_history_gets_the_function_key(workflow: str) -> None:
    actions = DEFINITIONS[workflow]["actions"]
    assert _hidden(workflow) == {"Get_function_key": ["outputs"], "Run_update": ["inputs"]}
    assert {name for name, action in actions.items() if "Get_function_key" in json.dumps(action.get("inputs", {}))} == {
        "Run_update"
    }


@pytest.mark.parametrize("workflow", WEBHOOKS)
def test_no_run_history_gets_the_callback_address(workflow: str) -> None:
    assert _hidden(workflow)["Run_update"] == ["inputs"]


def _hidden(workflow: str) -> dict[str, list[str]]:
    """Return what the run history does not show of each action."""
    return {
        name: action["runtimeConfiguration"]["secureData"]["properties"]
        for name, action in DEFINITIONS[workflow]["actions"].items()
        if "runtimeConfiguration" in action
    }
