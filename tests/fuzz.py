"""Runs schemathesis against the app on local.host, with requests that openapi.json allows and others that it does not.

No response may be a 5xx, because the simulated workspace is healthy. Each response must match the document: status,
media type, headers, fields. A request that the document does not allow must be refused. Half of the requests are
changed to name existing pipelines, jobs and runs. The responses add more runs to these.

    python -m tests.fuzz [--examples 500] [--seed N]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from schemathesis import APIOperation, BaseSchema, Case, CheckFunction, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.config._checks import NegativeDataRejectionConfig
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from local.azurite import Azurite
from local.receiver import Receiver
from tests.functions.app import KEY, ServedApp, served

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
REFUSED = checks.negative_data_rejection
"""Checks that a wrong request is refused. It is left out in two cases.

A request that was aimed at existing things may have become right. The host drops a query parameter with an empty value,
so that request may be right too.
"""
_NOT_ASCII = "".join(map(chr, range(0x7F, 0x100)))
"""The host itself refuses these characters in headers, with an empty 400."""

_MOST_OF_AN_ADDRESS = 8_000
"""The host itself refuses a longer address, with an empty 414."""


@dataclass
class Summary:
    """The number of responses by route and status, and the first failure by route and kind."""

    seed: int
    answers: dict[str, Counter[int]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        width = max(map(len, self.answers))
        lines = [
            f"{route:<{width}}  {statuses.total():>5}  "
            + "  ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
            for route, statuses in self.answers.items()
        ]
        total = sum(statuses.total() for statuses in self.answers.values())
        lines += [f"\n{route}: {kind}\n{told}" for (route, kind), told in self.failures.items()]
        lines.append(
            f"{len(self.answers)} routes, {total} requests, {len(self.failures)} kinds of failure, "
            f"{self.seconds:.0f} s, seed {self.seed}"
        )
        return "\n".join(lines)


class _Known:
    """The ids, tokens and continuations that exist in the workspace and in the app."""

    def __init__(self, app: ServedApp, receiver: Receiver) -> None:
        self.app, self.name, self.receiver = app, app.name, receiver
        self.pipelines = app.databricks.add_pipelines(6)
        self.runs: list[str] = []
        self.tokens: dict[str, str] = {}
        self.continuations: list[str] = []
        for pipeline_id, state in zip(self.pipelines, ("COMPLETED", "FAILED", "CANCELED", "RUNNING"), strict=False):
            self.learn(app.start(pipeline_id, {"callbackUrl": receiver.url()}).json)
            app.databricks.set_state(pipeline_id, None, state)
        app.post("/api/jobs/discover")
        app.fire("sweep_runs")

    def learn(self, told: dict[str, Any]) -> None:
        if "resultUrl" in told and told["runId"] not in self.tokens:
            self.runs.append(told["runId"])
            (self.tokens[told["runId"]],) = parse_qs(urlsplit(told["resultUrl"]).query)["token"]
        if told.get("continuation"):
            self.continuations.append(told["continuation"])

    def aim(self, case: Case[Any], pick: int) -> None:
        """Change a request so that it names existing things, and remove what would make it fail."""
        path, query = dict(case.path_parameters or {}), dict(case.query or {})
        if "pipeline_id" in path:
            path["pipeline_id"] = self.pipelines[pick % len(self.pipelines)]
        if "run_id" in path:
            path["run_id"] = self.runs[pick % len(self.runs)]
        if case.operation.path.endswith("/abandon"):  # it ends the run, so each one needs a run of its own
            self.learn(self.app.start(self.app.databricks.add_pipeline(), {}).json)
            path["run_id"] = self.runs[-1]
        if "name" in path and pick % 4 < 3:
            path["name"] = "full_refresh"
        if "token" in query and pick % 4 < 3:
            query["token"] = self.tokens[path["run_id"]]
        if "workspace" in query:
            query["workspace"] = self.name
        if "continuation" in query and self.continuations:
            query["continuation"] = self.continuations[pick % len(self.continuations)]
        case.path_parameters, case.query = path, query
        if isinstance(case.body, dict):
            case.body = self._aimed_body(case.body, path, pick)

    def _aimed_body(self, body: dict[str, Any], path: dict[str, Any], pick: int) -> dict[str, Any]:
        known = {
            "pipeline_id": path.get("pipeline_id"),
            "workspace": self.name,
            "callBackUri": self.receiver.url(),
            "callbackUrl": self.receiver.url(),
            "continuation": self.continuations[pick % len(self.continuations)] if self.continuations else None,
        }
        left_out = "callBackUri" if pick % 2 else "callbackUrl"
        return {name: known.get(name, value) for name, value in body.items() if name != left_out}


def fuzz(tables: str, examples: int, seed: int) -> Summary:
    """Send at most `examples` requests to each route, and check each response."""
    summary, began_at = Summary(seed), time.perf_counter()
    with _fuzzed_app(tables) as (app, known, session):
        schema = schemathesis.openapi.from_dict(app.get("/api/openapi.json").json, config=_config())
        for operation in _operations(schema):
            statuses = summary.answers.setdefault(operation.label, Counter())
            strategies = operation.as_strategy(GenerationMode.POSITIVE)
            if operation.definition.raw.keys() & {"parameters", "requestBody"}:
                strategies |= operation.as_strategy(GenerationMode.NEGATIVE)

            @hypothesis.seed(seed)
            @hypothesis.settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=[*HealthCheck],
            )
            @hypothesis.given(case=strategies, is_aimed=st.booleans(), pick=st.integers(0, 999))
            def send(case: Case[Any], is_aimed: bool, pick: int) -> None:
                if is_aimed:
                    known.aim(case, pick)
                hypothesis.assume(_length_of_address(case, app) < _MOST_OF_AN_ADDRESS)
                response = case.call(
                    base_url=app.base_url, session=session, headers={"x-functions-key": KEY}, timeout=60
                )
                statuses[response.status_code] += 1  # noqa: B023  # called before the loop goes on
                sent = parse_qsl(urlsplit(str(response.request.url)).query, keep_blank_values=True)
                may_be_right = is_aimed or any(value == "" for _, value in sent)
                _note_failures(summary, case, response, CHECKS if may_be_right else [*CHECKS, REFUSED])
                if response.status_code < 300:
                    known.learn(response.json())

            send()
            app.fire("sweep_runs")
            app.fire("deliver_callbacks")
    summary.seconds = time.perf_counter() - began_at
    return summary


def _operations(schema: BaseSchema) -> Iterator[APIOperation[Any, Any, Any, Any]]:
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        yield found.ok()


def _length_of_address(case: Case[Any], app: ServedApp) -> int:
    told = case.as_transport_kwargs(base_url=app.base_url)
    return len(requests.Request(told["method"], told["url"], params=told.get("params")).prepare().url or "")


def _note_failures(summary: Summary, case: Case[Any], response: Any, held_against: list[CheckFunction]) -> None:
    try:
        case.validate_response(response, checks=held_against)
    except FailureGroup as group:
        for failure in group.exceptions:
            assert isinstance(failure, Failure)
            told = (
                f"{response.status_code} {response.content[:300]!r}\n{failure.message}\n{case.as_curl_command()[:1000]}"
            )
            summary.failures.setdefault((case.operation.label, failure.title), told)


@contextmanager
def _fuzzed_app(tables: str) -> Iterator[tuple[ServedApp, _Known, requests.Session]]:
    """Yield the app, the known things, and a session that can reach only the app."""
    with (
        Receiver() as receiver,
        served(tables, POLYSYNC_CALLBACK_HOSTS=receiver.host, POLYSYNC_STATUS_MAX_AGE_SECONDS="1") as app,
        requests.Session() as session,
    ):
        session.trust_env = False
        session.adapters.clear()
        session.mount(app.base_url, HTTPAdapter())
        app.databricks.configure(pace_seconds=0.5)
        yield app, _Known(app, receiver), session


def _config() -> SchemathesisConfig:
    """The configuration of schemathesis. It does not invent keys, because each request sends the right one."""
    generation = GenerationConfig(with_security_parameters=False, exclude_header_characters=_NOT_ASCII)
    refused = NegativeDataRejectionConfig(expected_statuses=["400", "404", "409", "413", "422"])
    project = ProjectConfig(generation=generation, checks=ChecksConfig(negative_data_rejection=refused))
    return SchemathesisConfig(projects=ProjectsConfig(default=project))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="schemathesis against the app")
    parser.add_argument("--examples", type=int, default=500, help="requests to each route (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="that of an earlier summary")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # refused requests are expected, and a bug is logged as an error
    with Azurite() as azurite:
        summary = fuzz(azurite.connection_string, options.examples, options.seed)
    print(summary)
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
