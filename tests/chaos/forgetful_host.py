"""`python -m tests.chaos.forgetful_host --port N`: a host for the control, with a store that makes no reservation.

It serves the functions of function_app.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import azure.functions as func

from local.host import LocalHost, load_app, load_functions
from local.host.functions import HostedFunction, HttpTrigger
from polysync_core.adapters.clock import Clock
from polysync_core.endpoints import run_endpoints as endpoints
from polysync_core.rules.wire.http_answers import problem
from polysync_core.rules.wire.http_contract import Call
from polysync_core.services import Services
from polysync_core.values.errors import PolysyncError
from tests.chaos.app import wire
from tests.chaos.host_process import ROOT

_TIMERS: dict[str, Callable[[Services], object]] = {
    "sweep_runs": endpoints.sweep,
    "deliver_callbacks": endpoints.deliver,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    wired = wire(os.environ, Clock(), reserving=False)
    functions = tuple(_rewired(function, wired) for function in load_functions(load_app(ROOT)))
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    with LocalHost(ROOT, functions=functions, port=options.port):
        stopped.wait()


def _rewired(function: HostedFunction, wired: Services) -> HostedFunction:
    """Return the same function with the services `wired`. Functions about jobs are returned unchanged."""
    if isinstance(function.trigger, HttpTrigger):
        endpoint = getattr(endpoints, function.name, None)
        return function if endpoint is None else dataclasses.replace(function, call=_answering(endpoint, wired))
    work = _TIMERS.get(function.name, _nothing)
    return dataclasses.replace(function, call=lambda **_: _on_timer(work, wired))


def _answering(endpoint: Any, wired: Services) -> Callable[..., func.HttpResponse]:
    def serve(req: func.HttpRequest, **_: object) -> func.HttpResponse:
        call = Call(
            method=req.method,
            url=req.url,
            headers={name.lower(): value for name, value in req.headers.items()},
            query=dict(req.params),
            route=dict(req.route_params),
            body=req.get_body(),
        )
        try:
            reply = endpoint(call, wired)
        except PolysyncError as error:
            reply = problem(error, call.path)
        return func.HttpResponse(reply.encode(), status_code=reply.status, mimetype=reply.content_type)

    return serve


def _on_timer(work: Callable[[Services], object], wired: Services) -> None:
    try:
        work(wired)
    except PolysyncError:
        return


def _nothing(_: Services) -> None:
    """Do nothing. The control needs no other timers."""


if __name__ == "__main__":
    main()
