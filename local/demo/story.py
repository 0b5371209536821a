"""The steps of the demo, as callers make them over HTTP. A step raises DemoError if a result is not as promised."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from standardwebhooks import Webhook

from local.demo.callers import KeyCallers
from local.demo.client import Client, DemoError, expect, wait_until
from local.demo.screen import Screen
from local.demo.stack import Stack
from local.workspace import script_ending
from polysync_core.rules.decisions.roles import Role

_PATIENCE_SECONDS = 40.0
_REAL_PATIENCE_SECONDS = 3600.0
PIPELINE_ID = "8279d543-063c-4d63-9926-dae38e35ce8b"
"""The pipeline id in the README's examples. So they work unchanged beside `make demo ARGS=--stay`."""
_STARTED = ("runId", "status", "state", "message", "fullRefresh", "startedBy", "statusUrl", "cancelUrl", "updateUrl")


class Story:
    def __init__(self, stack: Stack, screen: Screen) -> None:
        self._stack = stack
        self._screen = screen
        self._callers = stack.callers
        self._client = Client(stack.url, stack.callers, screen)
        self._patience_seconds = _REAL_PATIENCE_SECONDS if stack.workspace is None else _PATIENCE_SECONDS

    def tell(self, given: str | None) -> str:
        """Run all steps, and return the id of the pipeline that was run.

        `given` is the id of a pipeline in a real workspace, else None.
        """
        pipeline_id, endless_id = self._pick_pipelines(given)
        self._let_in(pipeline_id)
        self._screen.step("Discover the workspace's pipelines as jobs, with their parameters")
        self._introduce(Role.ADMIN, "This is for an administrator, with the role Polysync.Admin:")
        self._discover()
        self._show_job(pipeline_id)
        if self._stack.workspace is not None:
            self._screen.say(
                "   Only full_refresh ever reaches an update. Stored with the job, it decides where a start is silent:"
            )
            stored = {"value": True, "direction": "Input"}
            self._client.call("PUT", f"/api/jobs/{pipeline_id}/parameters/full_refresh", Role.ADMIN, 200, stored)
            self._show_job(pipeline_id)
        self._screen.step("Start an update: the answer comes at once, with the addresses to wait on")
        self._introduce(Role.OPERATE, "This is for an operator, with the role Polysync.Operate:")
        first = self._start(pipeline_id, {"callbackUrl": self._stack.receiver.url("/hooks/orders?code=a-credential")})
        expects_full_refresh = self._stack.workspace is not None
        expect(first["fullRefresh"] is expects_full_refresh, "the job's full_refresh did not decide")
        self._screen.step("The timer sweeps the run in Table Storage until it is finished")
        self._client.show("GET", first["statusUrl"], Role.READ)
        ended = self._watch(first)
        expect(ended["isFinished"] and ended["error"] is None, f"the run ended {ended['status']}")
        self._await(first)
        self._receive(first)
        self._screen.step("A second run, cancelled once it runs")
        second = self._start(endless_id, {}, brief=True)
        running = self._watch(second, until="RUNNING")
        expect(
            not running["isFinished"], "the update ended before it could be cancelled: name a pipeline that runs longer"
        )
        self._client.call("POST", second["cancelUrl"], Role.OPERATE, 202)
        self._show_who(self._watch(second))
        self._screen.step("The history")
        self._history()
        return pipeline_id

    def where_next(self, pipeline_id: str, *, stays: bool) -> None:
        """Show what to try. If everything `stays`, this also shows the commands for tokens again, to paste them all."""
        self._screen.step("Where to look next")
        for command in filter(None, map(self._callers.token_command, Role if stays else ())):
            self._screen.command(command)
        self._client.show("GET", "/api/health", None)
        self._client.show("GET", "/api/runs?status=Success", Role.READ)
        self._client.show("POST", f"/api/pipelines/{pipeline_id}/updates", Role.OPERATE, {})
        self._client.show("POST", f"/api/jobs/{pipeline_id}/sync", Role.ADMIN)
        self._screen.say(f"   the app's log of this demo: {self._stack.log_file}")
        self._screen.say(
            "   README.md: settings, the Data Factory recipe, deployment; docs/mission.md: what is promised"
        )

    def _pick_pipelines(self, given: str | None) -> tuple[str, str]:
        """Return the id of the pipeline to run and the id of the pipeline to cancel.

        In a real workspace both are the given pipeline. In the simulated workspace two pipelines are created.
        """
        if self._stack.workspace is None:
            if given is None:
                raise DemoError(
                    "DATABRICKS_HOST is set, so the demo drives that workspace: name a pipeline of it, make demo "
                    "ARGS='--pipeline <pipeline id>'; or unset DATABRICKS_HOST for the simulated one"
                )
            return given, given
        if given is not None:
            raise DemoError("--pipeline names a pipeline of a real workspace: set DATABRICKS_HOST to its address")
        return (
            self._stack.workspace.add_pipeline(PIPELINE_ID, name="orders"),
            self._stack.workspace.add_pipeline(name="clicks (continuous)", script=script_ending("RUNNING")),
        )

    # --- callers

    def _let_in(self, pipeline_id: str) -> None:
        """Show who may do what: nobody without a credential, and a reader no start."""
        if isinstance(self._callers, KeyCallers):
            self._screen.step("Callers send a function key, which opens every route")
            self._screen.say("   Without it, the host lets nobody in:")
            self._client.call("GET", "/api/runs", None, 401)
            self._screen.answer(401)
            self._list_runs()
            return
        self._screen.step("Callers sign in with Entra ID. The role in a caller's token says what it may do")
        self._screen.say("   Without a token, the app lets nobody in:")
        self._show_refusal(self._client.call("GET", "/api/runs", None, 401))
        self._introduce(Role.READ, "A reader has a token with the role Polysync.Read. It may list runs:")
        self._list_runs()
        self._screen.say("   It may not start one:")
        refused = self._client.call("POST", f"/api/pipelines/{pipeline_id}/updates", Role.READ, 403, {})
        expect(Role.OPERATE in refused.json()["detail"], "the refusal does not name the role that is missing")
        self._show_refusal(refused)

    def _introduce(self, role: Role, text: str) -> None:
        """Show how a caller gets its token. With a function key there is nothing to show."""
        command = self._callers.token_command(role)
        if command is not None:
            self._screen.say(f"   {text}")
            self._screen.command(command)

    def _show_refusal(self, answer: requests.Response) -> None:
        problem = answer.json()
        self._screen.answer(answer.status_code, {}, {name: problem[name] for name in ("code", "detail")})

    def _list_runs(self) -> None:
        found = len(self._client.call("GET", "/api/runs", Role.READ, 200).json()["items"])
        self._screen.answer(200)
        self._screen.say(f"   {found} runs so far")

    def _show_who(self, run: Mapping[str, Any]) -> None:
        expect(run["status"] == "Cancelled", f"the cancelled run ended {run['status']}")
        who = {name: run[name] for name in ("startedBy", "cancelledBy")}
        operator = self._callers.recorded(Role.OPERATE)
        expect(all(recorded == operator for recorded in who.values()), f"the run names other callers: {who}")
        self._screen.say("   The run keeps who has started and who has cancelled it:")
        self._screen.fields(who)

    # --- jobs

    def _discover(self) -> None:
        """Discover until the report is complete. A progress bar shows how many jobs exist."""
        total = None if self._stack.workspace is None else len(self._stack.workspace.pipeline_ids())
        self._client.show("POST", "/api/jobs/discover", Role.ADMIN, {})
        with ThreadPoolExecutor(1) as pool, self._screen.progress("jobs", total) as show:
            report = pool.submit(self._client.discover_all)
            while not report.done():
                show(self._client.count_jobs())
                time.sleep(0.1)
        counts = report.result()
        self._screen.say(f"   {counts['added']} jobs added, {counts['unchanged']} unchanged")
        expect(total in {None, self._client.count_jobs()}, "not every pipeline became a job")

    def _show_job(self, pipeline_id: str) -> None:
        job = self._client.call("GET", f"/api/jobs/{pipeline_id}", Role.READ, 200).json()
        rows = [
            (
                job["name"],
                parameter["name"],
                "(hidden)" if parameter["hidden"] else json.dumps(parameter["value"]),
                parameter["dataType"],
                parameter["direction"],
                "yes" if parameter["forwarded"] else "no",
            )
            for parameter in job["parameters"]
        ]
        self._screen.table(("job", "parameter", "value", "data type", "direction", "forwarded"), rows)

    # --- runs

    def _start(self, pipeline_id: str, body: Mapping[str, Any], *, brief: bool = False) -> dict[str, Any]:
        answer = self._client.call("POST", f"/api/pipelines/{pipeline_id}/updates", Role.OPERATE, 202, body)
        document: dict[str, Any] = answer.json()
        if not brief:
            headers = {name: answer.headers[name] for name in ("Location", "Operation-Location", "Retry-After")}
            self._screen.answer(answer.status_code, headers, {name: document[name] for name in _STARTED})
        return document

    def _watch(self, run: Mapping[str, Any], until: str | None = None) -> dict[str, Any]:
        """Show each state of the run until it is finished or is in the state `until`. Return its document."""
        began = time.monotonic()
        shown: tuple[str | None, str] | None = None
        with self._screen.waiting("waiting for the next sweep …"):
            while time.monotonic() - began < self._patience_seconds:
                document: dict[str, Any] = self._client.read(run["statusUrl"], Role.READ)
                if (document["state"], document["message"]) != shown:
                    shown = (document["state"], document["message"])
                    self._screen.state(time.monotonic() - began, document)
                if document["isFinished"] or (until is not None and document["state"] == until):
                    return document
                time.sleep(0.25)
        raise DemoError(f"the run did not get there within {self._patience_seconds:.0f} s; last seen {shown}")

    def _await(self, run: Mapping[str, Any]) -> None:
        self._screen.say("   The await address, which Data Factory and Logic Apps poll by themselves, now answers:")
        answer = self._client.call("GET", run["resultUrl"], None, 200)
        shown = ("status", "durationSeconds", "error")
        self._screen.answer(answer.status_code, {}, {name: answer.json()[name] for name in shown})

    def _receive(self, run: Mapping[str, Any]) -> None:
        """Wait for the callback and verify its signature, as any receiver would."""
        receiver = self._stack.receiver
        with self._screen.waiting("waiting for the callback …"):
            wait_until(lambda: bool(receiver.deliveries), _PATIENCE_SECONDS, "the callback did not come")
        delivery = receiver.deliveries[0]
        document = Webhook(self._stack.callback_secret).verify(delivery.body, dict(delivery.headers))
        expect(document["runId"] == run["runId"] and document["isFinished"], "the callback is about another run")
        self._screen.say("   The callback came, and its Standard Webhooks signature is valid:")
        headers = {name: delivery.headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        self._screen.answer(200, headers, {name: document[name] for name in ("runId", "status", "isFinished")})

    def _history(self) -> None:
        items = self._client.call("GET", "/api/runs", Role.READ, 200).json()["items"]
        expect(len(items) >= 2, "the history does not hold both runs")
        rows = [
            (
                item["runId"][:8] + "…",
                item["status"],
                item["state"] or "-",
                str(item["durationSeconds"]),
                item["message"],
            )
            for item in items
        ]
        self._screen.table(("run", "status", "state", "seconds", "message"), rows)
