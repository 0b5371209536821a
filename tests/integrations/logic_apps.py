"""Runs workflow definitions of Logic Apps: it makes the HTTP calls of their actions, and follows their branches.

Nothing outside Azure runs such definitions. This file implements what the definitions of integrations/ need, as the
documentation says: https://learn.microsoft.com/azure/logic-apps/logic-apps-workflow-actions-triggers
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from local.messages import Request
from tests.integrations.identity import ManagedIdentity, NoToken
from tests.integrations.loopback import CallbackHost
from tests.integrations.stack import PATIENCE_SECONDS
from tests.integrations.workflow_expressions import Scope, evaluate

SUCCEEDED, FAILED, CANCELLED = "Succeeded", "Failed", "Cancelled"
_POLL_SECONDS = 0.2


@dataclass(kw_only=True)
class WorkflowRun:
    """One run: its status, each action's status, the error of a Terminate, and the statuses of its unsubscribes."""

    name: str
    status: str = SUCCEEDED
    actions: dict[str, str] = field(default_factory=dict)
    error: Mapping[str, str] | None = None
    unsubscribed: list[int] = field(default_factory=list)
    callback: Request | None = None
    is_terminated: bool = False


class LogicApp:
    """A logic app with that definition and that identity. `callback_host` receives its callbacks."""

    def __init__(self, definition: Mapping[str, Any], callback_host: CallbackHost, identity: ManagedIdentity) -> None:
        self._definition = definition
        self._callback_host = callback_host
        self._identity = identity

    def run(self, name: str, *, is_cancelled_early: bool = False, **parameters: object) -> WorkflowRun:
        """Run it. With `is_cancelled_early`, the run is cancelled while a webhook action waits."""
        defaults = {key: entry.get("defaultValue") for key, entry in self._definition["parameters"].items()}
        address = self._callback_host.new_address("logic-app")
        scope = Scope(parameters=defaults | parameters, run_name=name, callback_url=address)
        run = WorkflowRun(name=name)
        self._run_actions(
            self._definition["actions"], scope, run, patience=0.0 if is_cancelled_early else PATIENCE_SECONDS
        )
        if not run.is_terminated and FAILED in run.actions.values():
            run.status = FAILED
        return run

    def _run_actions(self, actions: Mapping[str, Any], scope: Scope, run: WorkflowRun, *, patience: float) -> None:
        left = dict(actions)
        while left and not run.is_terminated:
            ready = [name for name, action in left.items() if not set(action["runAfter"]) & set(left)]
            assert ready, f"these actions wait for each other: {sorted(left)}"
            for name in ready:
                action = left.pop(name)
                if all(run.actions[before] in allowed for before, allowed in action["runAfter"].items()):
                    run.actions[name] = self._run_action(name, action, scope, run, patience)
                else:
                    run.actions[name] = "Skipped"

    def _run_action(self, name: str, action: Mapping[str, Any], scope: Scope, run: WorkflowRun, patience: float) -> str:
        kind = action["type"]
        if kind == "Switch":
            case = evaluate(action["expression"], scope)
            branches = {branch["case"]: branch for branch in action["cases"].values()}
            self._run_actions(branches.get(case, action["default"])["actions"], scope, run, patience=patience)
            return SUCCEEDED
        inputs = action["inputs"]
        if kind == "Terminate":
            run.is_terminated, run.status = True, inputs["runStatus"]
            run.error = evaluate(inputs["runError"], scope) if "runError" in inputs else None
            return SUCCEEDED
        if kind == "Compose":
            scope.bodies[name] = evaluate(inputs, scope)
            return SUCCEEDED
        try:
            if kind == "Http":
                return self._http(name, evaluate(inputs, scope), scope)
            assert kind == "HttpWebhook", f"{kind} is not known here"
            return self._webhook(name, inputs, scope, run, patience)
        except NoToken:
            return FAILED

    def _http(self, name: str, inputs: Mapping[str, Any], scope: Scope) -> str:
        """Send the request. On 202 poll the Location with the same headers until another status comes.

        Whether Logic Apps also repeats the token is not documented. Here it does; Data Factory's stand-in does not.
        """
        answer = self._send(inputs)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while answer.status_code == 202:
            assert time.monotonic() < deadline, f"{name} is still answered with 202"
            assert int(answer.headers["Retry-After"]) > 0
            time.sleep(_POLL_SECONDS)
            answer = self._send({**inputs, "method": "GET", "uri": answer.headers["Location"], "body": None})
        scope.bodies[name] = answer.json()
        return SUCCEEDED if answer.status_code < 400 else FAILED

    def _webhook(self, name: str, inputs: Mapping[str, Any], scope: Scope, run: WorkflowRun, patience: float) -> str:
        """Subscribe, wait for the callback, and always unsubscribe."""
        answer = self._send(evaluate(inputs["subscribe"], scope))
        scope.bodies[name] = answer.json()
        if answer.ok:
            run.callback = self._callback_host.next_at(scope.callback_url, within_seconds=patience)
        if run.callback is not None:
            scope.bodies[name] = run.callback.json
        run.unsubscribed.append(self._send(evaluate(inputs["unsubscribe"], scope)).status_code)
        if answer.ok and run.callback is None:
            run.is_terminated, run.status = True, CANCELLED
            return CANCELLED
        return SUCCEEDED if answer.ok else FAILED

    def _send(self, inputs: Mapping[str, Any]) -> requests.Response:
        headers = dict(inputs.get("headers", {}))
        if "authentication" in inputs:
            assert inputs["authentication"]["type"] == "ManagedServiceIdentity"
            headers["Authorization"] = f"Bearer {self._identity.token(inputs['authentication']['audience'])}"
        return requests.request(
            inputs["method"],
            inputs["uri"],
            json=inputs.get("body"),
            headers=headers,
            timeout=60,
            allow_redirects=False,
        )
