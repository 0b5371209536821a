"""From a request to what is sent back: authentication, faults, journal, and the waits between them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from local.workspace.api import PipelinesApi, match_route
from local.workspace.faults import Fault, Faults
from local.workspace.identity import ROUTE as IDENTITY_ROUTE
from local.workspace.identity import TokenIssuer
from local.workspace.journal import Call, IdentityCall, Journal
from local.workspace.pipelines import PipelineRegistry
from local.workspace.settings import WorkspaceSettings
from local.workspace.wire import Refusal, Reply, Request, json_reply

METADATA_PATH = "/.well-known/databricks-config"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What goes over the connection: `reply` whole, dripping over `seconds`, or half of it; None: a reset."""

    reply: Reply | None
    manner: Literal["whole", "trickle", "half"] = "whole"
    seconds: float = 0.0


@dataclass(kw_only=True)
class WorkspaceParts:
    """The state of one workspace. Whoever reads or changes it holds `lock`; nobody waits while holding it."""

    now: Callable[[], float]
    settings: WorkspaceSettings
    issuer: TokenIssuer
    registry: PipelineRegistry = field(default_factory=PipelineRegistry)
    faults: Faults = field(default_factory=Faults)
    calls: Journal[Call] = field(default_factory=Journal)
    identity_calls: Journal[IdentityCall] = field(default_factory=Journal)
    lock: threading.RLock = field(default_factory=threading.RLock)
    closing: threading.Event = field(default_factory=threading.Event)
    is_down: bool = False


class Dispatcher:
    """Answers every request but the control routes'."""

    def __init__(self, parts: WorkspaceParts) -> None:
        self._parts = parts
        self._api = PipelinesApi(parts.registry, parts.settings, parts.now)

    def respond(self, request: Request) -> Outcome:
        if request.path == METADATA_PATH:
            return Outcome(reply=_host_metadata(request))
        arrival = _Arrival(request=request, at=self._parts.now(), monotonic=time.monotonic())
        if request.path == IDENTITY_ROUTE:
            return self._respond(arrival, IDENTITY_ROUTE, self._answer_identity, self._note_identity_call)
        if self._parts.is_down:
            self._note_call(arrival, match_route(request.path)[0], None, executed=False)
            return Outcome(reply=None)
        self._parts.closing.wait(self._parts.settings.latency_seconds)
        return self._respond(arrival, match_route(request.path)[0], self._answer_api, self._note_call)

    def _respond(
        self, arrival: _Arrival, route: str, answer: Callable[[Request], Reply], note: Callable[..., None]
    ) -> Outcome:
        request = arrival.request
        with self._parts.lock:
            fault = self._parts.faults.meet(request.method, route)
        if fault is not None and fault.kind == "delay" and fault.when == "before":
            self._parts.closing.wait(fault.seconds)
        with self._parts.lock:
            executed = fault is None or fault.executes
            true_reply = answer(request) if executed else None
            outcome = Outcome(reply=true_reply) if fault is None else _outcome(fault, true_reply)
            note(arrival, route, outcome.reply.status if outcome.reply else None, executed=executed)
        if fault is not None and (fault.kind == "hang" or (fault.kind == "delay" and fault.when == "after")):
            self._parts.closing.wait(fault.seconds)
        return outcome

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
            query={name: values if len(values) > 1 else values[0] for name, values in request.query.items()},
            status=status,
            executed=executed,
            at=arrival.at,
            seconds=time.monotonic() - arrival.monotonic,
            body=_body_value(request),
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


def _outcome(fault: Fault, true_reply: Reply | None) -> Outcome:
    match fault.kind:
        case "status":
            return Outcome(reply=fault.reply())
        case "garbage":
            return Outcome(reply=fault.reply())
        case "trickle":
            return Outcome(reply=true_reply, manner="trickle", seconds=fault.seconds)
        case "half":
            return Outcome(reply=true_reply, manner="half")
        case "delay":
            return Outcome(reply=true_reply)
        case "reset" | "hang":
            return Outcome(reply=None)


def _body_value(request: Request) -> Any:
    if request.method != "POST":
        return None
    try:
        return json.loads(request.body)
    except ValueError:
        return request.body.decode(errors="replace")


def _host_metadata(request: Request) -> Reply:
    """What databricks-sdk asks a host about itself, once a client (its config.py, _resolve_host_metadata)."""
    address = f"http://{request.headers.get('host', '127.0.0.1')}"
    return json_reply({"oidc_endpoint": f"{address}/oidc", "workspace_id": "1122334455667788", "cloud": "AZURE"})
