"""Sends the requests, and checks each response."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from schemathesis import BaseSchema, Case, CheckFunction, GenerationMode
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

from local.entra import SimulatedEntra
from local.receiver import Receiver
from polysync_core.rules.wire.entra_settings import ENTRA
from tests.functions.app import Answer, ServedApp, answer_of, served
from tests.functions.documented import check_documented, operations_at
from tests.fuzz.credentials import RIGHT, Credential, of_keys, of_tokens
from tests.fuzz.door import Operation, fault_of_the_door
from tests.fuzz.known import Known
from tests.fuzz.summary import Summary

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
_OF_AN_EMPTY_401 = CHECKS[:2]
"""The host's own 401 has no body. The document says so in words, because OpenAPI has no form for it."""
REFUSED = checks.negative_data_rejection
"""Checks that a wrong request is refused. It is left out in three cases.

A request that was aimed at existing things may have become right. The host drops a query parameter with an empty value,
so that request may be right too. A caller who is not let in is refused before its request is read.
"""
_NOT_ASCII = "".join(map(chr, range(0x7F, 0x100)))
"""The host itself refuses these characters in headers, with an empty 400."""

_MOST_OF_AN_ADDRESS = 8_000
"""The host itself refuses a longer address, with an empty 414."""


def fuzz(tables: str, mode: str, examples: int, seed: int) -> Summary:
    """Send at most `examples` requests to each route of an app in this mode, and check each response."""
    began_at = time.perf_counter()
    with _fuzzed_app(tables, mode) as fuzzer:
        summary = Summary(mode, seed)
        schema = schemathesis.openapi.from_dict(fuzzer.app.get("/api/openapi.json").json, config=_config())
        for operation in _operations(schema):
            summary.answers[operation.label] = Counter()
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
            @hypothesis.given(
                case=strategies,
                credential=st.sampled_from(fuzzer.credentials),
                is_aimed=st.sampled_from([True, False]),  # the first request is made of the first values
                pick=st.integers(0, 999),
            )
            def send(case: Case[Any], credential: Credential, is_aimed: bool, pick: int) -> None:
                if is_aimed:
                    fuzzer.known.aim(case, pick)
                hypothesis.assume(_length_of_address(case, fuzzer.app) < _MOST_OF_AN_ADDRESS)
                fuzzer.send(case, credential, is_aimed, summary)

            send()
            if operation.method.upper() != "GET":
                fuzzer.app.fire("sweep_runs")
                fuzzer.app.fire("deliver_callbacks")
    summary.seconds = time.perf_counter() - began_at
    return summary


@dataclass(frozen=True, kw_only=True)
class _Fuzzer:
    """The app, what exists in it, and a session that can reach only the app."""

    app: ServedApp
    entra: SimulatedEntra | None
    known: Known
    session: requests.Session

    @property
    def credentials(self) -> list[Credential]:
        return [*(of_keys() if self.entra is None else of_tokens([*self.app.workspaces]))]

    def send(self, case: Case[Any], credential: Credential, is_aimed: bool, summary: Summary) -> None:
        """Send a request, check its response, and count it."""
        headers = credential.made(self.entra)
        response = case.call(base_url=self.app.base_url, session=self.session, headers=headers, timeout=60)
        route = case.operation.label
        summary.count(route, credential.kind, response.status_code)
        request = f"{credential}\n{response.status_code} {response.content[:300]!r}\n{case.as_curl_command()[:1000]}"
        for kind, told in self._failures(case, credential, response, is_aimed):
            summary.fail(route, kind, f"{told}\n{request}")
        if response.status_code < 300:
            self.known.learn(response.json())

    def _failures(
        self, case: Case[Any], credential: Credential, response: Any, is_aimed: bool
    ) -> Iterator[tuple[str, str]]:
        """The kind of each failure, and what there is to say about it."""
        address, body = str(response.request.url), response.request.body
        headers = {name: ", ".join(values) for name, values in response.headers.items()}
        answer = answer_of(response.status_code, headers, response.content)
        try:
            case.validate_response(response, checks=self._checks(answer, address, credential, is_aimed))
        except FailureGroup as group:
            for failure in group.exceptions:
                assert isinstance(failure, Failure)
                yield failure.title, failure.message
        try:
            check_documented(case.method, address, answer.status, answer.headers, answer.body)
        except AssertionError as error:
            yield "not as documented", str(error)
        if (case.method, case.operation.path) in operations_at(case.method, urlsplit(address).path):
            sent, names = f"{address} {body!r}", [*self.app.workspaces]
            fault = fault_of_the_door(answer, sent, case.operation, credential, names)
            if fault is not None:
                yield fault, ""

    def _checks(self, answer: Answer, address: str, credential: Credential, is_aimed: bool) -> list[CheckFunction]:
        if self.entra is None and answer.status == 401 and not answer.body:
            return _OF_AN_EMPTY_401
        sent = parse_qsl(urlsplit(address).query, keep_blank_values=True)
        may_be_right = is_aimed or any(value == "" for _, value in sent)
        return CHECKS if may_be_right or credential.kind != RIGHT else [*CHECKS, REFUSED]


def _operations(schema: BaseSchema) -> Iterator[Operation]:
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        yield found.ok()


def _length_of_address(case: Case[Any], app: ServedApp) -> int:
    told = case.as_transport_kwargs(base_url=app.base_url)
    return len(requests.Request(told["method"], told["url"], params=told.get("params")).prepare().url or "")


@contextmanager
def _fuzzed_app(tables: str, mode: str) -> Iterator[_Fuzzer]:
    other = f"other-{os.urandom(4).hex()}"  # no ordinary word, so that a response with it names the workspace
    with SimulatedEntra() as entra, Receiver() as receiver, requests.Session() as session:
        tenant = entra if mode == ENTRA else None
        settings = {"POLYSYNC_CALLBACK_HOSTS": receiver.host, "POLYSYNC_STATUS_MAX_AGE_SECONDS": "1"}
        with served(tables, tenant, others=(other,), **settings) as app:
            session.trust_env = False
            session.adapters.clear()
            session.mount(app.base_url, HTTPAdapter())
            for workspace in app.workspaces.values():
                workspace.configure(pace_seconds=0.5)
            yield _Fuzzer(app=app, entra=tenant, known=Known(app, receiver), session=session)


def _config() -> SchemathesisConfig:
    """The configuration of schemathesis. It does not invent keys, because each request has a credential of its own."""
    generation = GenerationConfig(with_security_parameters=False, exclude_header_characters=_NOT_ASCII)
    refused = NegativeDataRejectionConfig(expected_statuses=["400", "404", "409", "413", "422"])
    project = ProjectConfig(generation=generation, checks=ChecksConfig(negative_data_rejection=refused))
    return SchemathesisConfig(projects=ProjectsConfig(default=project))
