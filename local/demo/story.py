"""The steps of the demo, as a caller makes them over HTTP. A step raises DemoError if a result is not as promised."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from standardwebhooks import Webhook

from local.demo.screen import Screen
from local.demo.stack import KEY, Stack
from local.workspace import script_ending

_PATIENCE_SECONDS = 40.0
_REAL_PATIENCE_SECONDS = 3600.0
PIPELINE_ID = "8279d543-063c-4d63-9926-dae38e35ce8b"
"""The pipeline id in the README's examples. So they work unchanged beside `make demo ARGS=--stay`."""
_SHOWN = ("runId", "status", "state", "message", "fullRefresh", "statusUrl", "cancelUrl", "updateUrl")


class DemoError(Exception):
    """A step of the demo failed."""


class Story:
    def __init__(self, stack: Stack, screen: Screen) -> None:
        self._stack = stack
        self._screen = screen
        self._session = requests.Session()
        self._patience_seconds = _REAL_PATIENCE_SECONDS if stack.workspace is None else _PATIENCE_SECONDS

    def tell(self, given: str | None) -> str:
        """Run all steps, and return the id of the pipeline that was run.

        `given` is the id of a pipeline in a real workspace, else None.
        """
        self._screen.step("Discover the workspace's pipelines as jobs, with their parameters")
        pipeline_id, endless_id = self._pick_pipelines(given)
        self._discover()
        self._show_job(pipeline_id)
        if self._stack.workspace is not None:
            self._screen.say(
                "   Only full_refresh ever reaches an update. Stored with the job, it decides where a start is silent:"
            )
            address = f"{self._stack.url}/api/jobs/{pipeline_id}/parameters/full_refresh"
            self._call("PUT", address, 200, {"value": True, "direction": "Input"})
            self._show_job(pipeline_id)
        self._screen.step("Start an update: the answer comes at once, with the addresses to wait on")
        body = {"callbackUrl": self._stack.receiver.url("/hooks/orders?code=a-credential")}
        first = self._start(pipeline_id, body)
        expects_full_refresh = self._stack.workspace is not None
        _expect(first["fullRefresh"] is expects_full_refresh, "the job's full_refresh did not decide")
        self._screen.step("The timer sweeps the run in Table Storage until it is finished")
        ended = self._watch(first)
        _expect(ended["isFinished"] and ended["error"] is None, f"the run ended {ended['status']}")
        self._await(first)
        self._receive(first)
        self._screen.step("A second run, cancelled once it runs")
        second = self._start(endless_id, {}, brief=True)
        self._watch(second, until="RUNNING")
        self._call("POST", second["cancelUrl"], 202)
        ended = self._watch(second)
        _expect(ended["status"] == "Cancelled", f"the cancelled run ended {ended['status']}")
        self._screen.step("The history")
        self._history()
        return pipeline_id

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

    # --- jobs

    def _discover(self) -> None:
        """Discover until the report is complete. A progress bar shows how many jobs exist."""
        total = None if self._stack.workspace is None else len(self._stack.workspace.pipeline_ids())
        url = f"{self._stack.url}/api/jobs/discover"
        self._screen.curl("POST", url, KEY, {})
        with ThreadPoolExecutor(1) as pool, self._screen.progress("jobs", total) as show:
            report = pool.submit(self._discover_all, url)
            while not report.done():
                show(self._count_jobs())
                time.sleep(0.1)
        counts = report.result()
        self._screen.say(f"   {counts['added']} jobs added, {counts['unchanged']} unchanged")
        _expect(total in {None, self._count_jobs()}, "not every pipeline became a job")

    def _discover_all(self, url: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        body: dict[str, str] = {}
        while True:
            answer = requests.post(url, json=body, headers={"x-functions-key": KEY}, timeout=60)
            _expect(answer.status_code == 200, f"the discovery answered {answer.status_code}: {answer.text}")
            report = answer.json()
            counts.update(report["jobs"])
            if report["complete"]:
                return counts
            body = {"continuation": report["continuation"]}

    def _count_jobs(self) -> int:
        count, continuation = 0, ""
        while True:
            page = self._get(f"{self._stack.url}/api/jobs?limit=200&continuation={continuation}")
            count += len(page["items"])
            continuation = page["continuation"]
            if continuation is None:
                return count

    def _show_job(self, pipeline_id: str) -> None:
        url = f"{self._stack.url}/api/jobs/{pipeline_id}"
        self._screen.curl("GET", url, KEY)
        job = self._get(url)
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

    def _receive(self, run: Mapping[str, Any]) -> None:
        """Wait for the callback and verify its signature, as any receiver would."""
        receiver = self._stack.receiver
        with self._screen.waiting("waiting for the callback …"):
            _wait_until(lambda: bool(receiver.deliveries), _PATIENCE_SECONDS, "the callback did not come")
        delivery = receiver.deliveries[0]
        document = Webhook(self._stack.callback_secret).verify(delivery.body, dict(delivery.headers))
        _expect(document["runId"] == run["runId"] and document["isFinished"], "the callback is about another run")
        self._screen.say("   The callback came, and its Standard Webhooks signature is valid:")
        headers = {name: delivery.headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        self._screen.answer(200, headers, {name: document[name] for name in ("runId", "status", "isFinished")})

    def where_next(self, pipeline_id: str) -> None:
        self._screen.step("Where to look next")
        self._screen.curl("GET", f"{self._stack.url}/api/health", None)
        self._screen.curl("GET", f"{self._stack.url}/api/runs?status=Success", KEY)
        self._screen.curl("POST", f"{self._stack.url}/api/pipelines/{pipeline_id}/updates", KEY, {})
        self._screen.say(f"   the app's log of this demo: {self._stack.log_file}")
        self._screen.say(
            "   README.md: settings, the Data Factory recipe, deployment; docs/mission.md: what is promised"
        )

    def _start(self, pipeline_id: str, body: Mapping[str, Any], *, brief: bool = False) -> dict[str, Any]:
        answer = self._call("POST", f"{self._stack.url}/api/pipelines/{pipeline_id}/updates", 202, body)
        document: dict[str, Any] = answer.json()
        if not brief:
            headers = {name: answer.headers[name] for name in ("Location", "Operation-Location", "Retry-After")}
            self._screen.answer(answer.status_code, headers, {name: document[name] for name in _SHOWN})
        return document

    def _watch(self, run: Mapping[str, Any], until: str | None = None) -> dict[str, Any]:
        """Show each state of the run until it is finished or is in the state `until`. Return its document."""
        began = time.monotonic()
        shown: tuple[str | None, str] | None = None
        with self._screen.waiting("waiting for the next sweep …"):
            while time.monotonic() - began < self._patience_seconds:
                document: dict[str, Any] = self._get(run["statusUrl"])
                if (document["state"], document["message"]) != shown:
                    shown = (document["state"], document["message"])
                    self._screen.state(time.monotonic() - began, document)
                if document["isFinished"] or (until is not None and document["state"] == until):
                    return document
                time.sleep(0.25)
        raise DemoError(f"the run did not get there within {self._patience_seconds:.0f} s; last seen {shown}")

    def _await(self, run: Mapping[str, Any]) -> None:
        self._screen.say("   The await address, which Data Factory and Logic Apps poll by themselves, now answers:")
        answer = requests.get(run["resultUrl"], timeout=30)
        _expect(answer.status_code == 200, f"the await address answered {answer.status_code}")
        shown = ("status", "durationSeconds", "error")
        self._screen.answer(answer.status_code, {}, {name: answer.json()[name] for name in shown})

    def _history(self) -> None:
        url = f"{self._stack.url}/api/runs"
        self._screen.curl("GET", url, KEY)
        rows = [
            (item["runId"][:8] + "…", item["status"], item["state"], str(item["durationSeconds"]), item["message"])
            for item in self._get(url)["items"]
        ]
        _expect(len(rows) >= 2, "the history does not hold both runs")
        self._screen.table(("run", "status", "state", "seconds", "message"), rows)

    def _call(self, method: str, url: str, expected: int, body: Mapping[str, Any] | None = None) -> requests.Response:
        self._screen.curl(method, url, KEY, body)
        answer = self._session.request(method, url, json=body, headers={"x-functions-key": KEY}, timeout=60)
        if answer.status_code != expected:
            raise DemoError(f"{method} answered {answer.status_code} instead of {expected}: {answer.text}")
        return answer

    def _get(self, url: str) -> Any:
        answer = self._session.get(url, headers={"x-functions-key": KEY}, timeout=60)
        _expect(answer.status_code == 200, f"GET {url} answered {answer.status_code}: {answer.text}")
        return answer.json()


def _wait_until(holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
    ends_at = time.monotonic() + seconds
    while not holds():
        _expect(time.monotonic() < ends_at, otherwise)
        time.sleep(0.1)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoError(otherwise)
