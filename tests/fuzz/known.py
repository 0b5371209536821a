"""The ids, tokens and continuations that exist in the workspaces and in the app, and requests that name them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from schemathesis import Case

from local.receiver import Receiver
from tests.functions.app import ServedApp


class Known:
    """What exists. At first there are pipelines in each workspace, and runs of some of them in each state."""

    def __init__(self, app: ServedApp, receiver: Receiver) -> None:
        self._app, self._receiver = app, receiver
        self._places: dict[str, str] = {}
        """The workspace of each pipeline."""
        self.runs: list[str] = []
        self._tokens: dict[str, str] = {}
        self._continuations: list[str] = []
        for name, workspace in app.workspaces.items():
            pipelines = workspace.add_pipelines(6 if name == app.name else 3)
            self._places |= dict.fromkeys(pipelines, name)
            for pipeline_id, state in zip(pipelines, ("COMPLETED", "RUNNING", "FAILED", "CANCELED"), strict=False):
                self._start(pipeline_id, {"callbackUrl": receiver.url(), "workspace": name})
                workspace.set_state(pipeline_id, None, state)
            app.post("/api/jobs/discover", {"workspace": name})
        self._pipelines = [*self._places]
        app.fire("sweep_runs")

    def learn(self, told: dict[str, Any]) -> None:
        """Take the run or the continuation from a response."""
        if "resultUrl" in told and told["runId"] not in self._tokens:
            self.runs.append(told["runId"])
            (self._tokens[told["runId"]],) = parse_qs(urlsplit(told["resultUrl"]).query)["token"]
        if told.get("continuation"):
            self._continuations.append(told["continuation"])

    def aim(self, case: Case[Any], pick: int) -> None:
        """Change a request so that it names existing things, and remove what would make it fail."""
        path, query = dict(case.path_parameters or {}), dict(case.query or {})
        if "pipeline_id" in path:
            path["pipeline_id"] = self._pipelines[pick % len(self._pipelines)]
        if "run_id" in path:
            path["run_id"] = self.runs[pick % len(self.runs)]
        if case.operation.path.endswith("/abandon"):  # it ends the run, so each one needs a run of its own
            path["run_id"] = self._start_anew(pick)
        if case.operation.path.endswith("{pipeline_id}/cancel"):  # it needs an active run
            path["pipeline_id"] = self._start_anew(pick).partition(":")[0]
            if pick % 2 and case.headers:  # without a key, it cancels whatever run is active
                case.headers.pop("Idempotency-Key", None)
        if "name" in path and pick % 4 < 3:
            path["name"] = "full_refresh"
        if "token" in query and pick % 4 < 3:
            query["token"] = self._tokens[path["run_id"]]
        workspace = self._workspace_of(path, pick)
        if "workspace" in query or ("pipeline_id" in path and workspace != self._app.name):
            query["workspace"] = workspace
        if "continuation" in query and self._continuations:
            query["continuation"] = self._continuations[pick % len(self._continuations)]
        case.path_parameters, case.query = path, query
        if isinstance(case.body, dict):
            case.body = self._aimed_body(case.body, path, workspace, pick)

    def _start(self, pipeline_id: str, body: dict[str, Any]) -> None:
        self.learn(self._app.start(pipeline_id, body).json)

    def _start_anew(self, pick: int) -> str:
        names = [*self._app.workspaces]
        name = names[pick % len(names)]
        pipeline_id = self._app.workspaces[name].add_pipeline()
        self._places[pipeline_id] = name
        self._start(pipeline_id, {"workspace": name})
        return self.runs[-1]

    def _workspace_of(self, path: dict[str, Any], pick: int) -> str:
        pipeline_id = path.get("pipeline_id") or str(path.get("run_id", "")).partition(":")[0]
        names = [*self._app.workspaces]
        return self._places.get(pipeline_id, names[pick % len(names)])

    def _aimed_body(self, body: dict[str, Any], path: dict[str, Any], workspace: str, pick: int) -> dict[str, Any]:
        known = {
            "pipeline_id": path.get("pipeline_id"),
            "workspace": workspace,
            "callBackUri": self._receiver.url(),
            "callbackUrl": self._receiver.url(),
            "continuation": self._continuations[pick % len(self._continuations)] if self._continuations else None,
        }
        left_out = "callBackUri" if pick % 2 else "callbackUrl"
        return {name: known.get(name, value) for name, value in body.items() if name != left_out}
