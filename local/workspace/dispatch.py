"""Handles a request from arrival to reply: authentication, faults, journal, and delays."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.fault import FaultPlan
from local.messages import RESET, Reply, Request, json_reply
from local.workspace.api import PipelinesApi, match_route
from local.workspace.identity import ROUTE as IDENTITY_ROUTE
from local.workspace.identity import TokenIssuer
from local.workspace.journal import Call, IdentityCall, Journal
from local.workspace.pipelines import PipelineRegistry
from local.workspace.settings import WorkspaceSettings
from local.workspace.wire import Refusal

WORKSPACE = "workspace"
"""The name of the API's calls in the fault plan. The calls of the identity endpoint have its route as their name."""
METADATA_PATH = "/.well-known/databricks-config"


@dataclass(kw_only=True)
class WorkspaceParts:
    """The state of one workspace. A thread holds `lock` to read or change it, and never waits while it holds `lock`."""

    now: Callable[[], float]
    settings: WorkspaceSettings
    issuer: TokenIssuer
    registry: PipelineRegistry = field(default_factory=PipelineRegistry)
    faults: FaultPlan = field(default_factory=lambda: FaultPlan(keep=0))
    calls: Journal[Call] = field(default_factory=Journal)
    identity_calls: Journal[IdentityCall] = field(default_factory=Journal)
    lock: threading.RLock = field(default_factory=threading.RLock)
    closing: threading.Event = field(default_factory=threading.Event)
    is_down: bool = False


class Dispatcher:
    """Answers every request except those for the control routes."""

    def __init__(self, parts: WorkspaceParts) -> None:
        self._parts = parts
        self._api = PipelinesApi(parts.registry, parts.settings, parts.now)

    def respond(self, request: Request) -> Reply:
        if request.path == METADATA_PATH:
            return _host_metadata(request)
        arrival = _Arrival(request=request, at=self._parts.now(), monotonic=time.monotonic())
        if request.path == IDENTITY_ROUTE:
            return self._respond(
                arrival, IDENTITY_ROUTE, IDENTITY_ROUTE, self._answer_identity, self._note_identity_call
            )
        route = match_route(request.path)[0]
        if self._parts.is_down:
            self._note_call(arrival, route, None, executed=False)
            return RESET
        self._parts.closing.wait(self._parts.settings.latency_seconds)
        return self._respond(arrival, WORKSPACE, route, self._answer_api, self._note_call)

    def _respond(
        self, arrival: _Arrival, name: str, route: str, answer: Callable[[Request], Reply], note: Callable[..., None]
    ) -> Reply:
        request, closing = arrival.request, self._parts.closing
        pipeline_id = next(iter(match_route(request.path)[1]), "-")
        fault = self._parts.faults.meet(name, f"{request.method} {route} {pipeline_id}")
        if fault is not None:
            fault.wait_before(closing)
        with self._parts.lock:
            executed = fault is None or fault.executes
            true_reply = answer(request) if executed else None
            reply = true_reply or RESET if fault is None else fault.reply(true_reply)
            note(arrival, route, None if reply.manner == "reset" else reply.status, executed=executed)
        if fault is not None:
            fault.wait_after(request, closing)
        return reply

    def _answer_api(self, request: Request) -> Reply:
        rejection = self._parts.issuer.rejection(
            request.headers, required_resource_id=self._parts.settings.required_resource_id
        )
        if rejection is not None:
            return rejection
        try:
            return self._api.answer(request)
        except Refusal as refusal:
            return refusal.reply()

    def _answer_identity(self, request: Request) -> Reply:
        return self._parts.issuer.identity_reply(request, token_seconds=self._parts.settings.token_seconds)

    def _note_call(self, arrival: _Arrival, route: str, status: int | None, *, executed: bool) -> None:
        request = arrival.request
        call = Call(
            method=request.method,
            route=route,
            path=request.path,
            query={name: values if len(values) > 1 else values[0] for name, values in request.values.items()},
            status=status,
            executed=executed,
            at=arrival.at,
            seconds=time.monotonic() - arrival.monotonic,
            body=_body_value(request),
            user_agent=request.headers.get("user-agent", ""),
            traceparent=request.headers.get("traceparent", ""),
        )
        with self._parts.lock:
            self._parts.calls.append(call)

    def _note_identity_call(self, arrival: _Arrival, _route: str, status: int | None, *, executed: bool) -> None:  # noqa: ARG002
        request = arrival.request
        call = IdentityCall(
            resource=request.query_value("resource") or "",
            client_id=request.query_value("client_id"),
            status=status,
            at=arrival.at,
        )
        self._parts.identity_calls.append(call)


@dataclass(frozen=True, kw_only=True)
class _Arrival:
    request: Request
    at: float
    monotonic: float


def _body_value(request: Request) -> Any:
    if request.method != "POST":
        return None
    try:
        return json.loads(request.body)
    except ValueError:
        return request.body.decode(errors="replace")


def _host_metadata(request: Request) -> Reply:
    """What databricks-sdk asks a host about itself, once for each client (its config.py, _resolve_host_metadata)."""
    address = f"http://{request.headers.get('host', '127.0.0.1')}"
    return json_reply({"oidc_endpoint": f"{address}/oidc", "workspace_id": "1122334455667788", "cloud": "AZURE"})
