"""Every trigger of the app. What each one does is in polysync_core/endpoints."""

import os
from typing import List  # noqa: UP035

import azure.functions as func

from polysync_core import endpoints
from polysync_core.endpoints import app_endpoints, run_endpoints
from polysync_core.endpoints.answering import Endpoint, OnBadSettings, answer, on_message, on_timer, refuse_all
from polysync_core.rules.wire.entra_settings import sign_in
from polysync_core.rules.wire.http_contract import Call
from polysync_core.rules.wire.sweep_message import QUEUE, STORAGE_SETTING
from polysync_core.settings import callback_schedule, discovery_schedule, sweep_schedule, sweeps_in_groups
from polysync_core.values.invocation import Invocation

GUARDED = func.AuthLevel.ANONYMOUS if sign_in(os.environ) else func.AuthLevel.FUNCTION
"""Where callers sign in, the app itself lets them in (polysync_core/endpoints/door.py), and no key opens a route."""
app = func.FunctionApp(http_auth_level=GUARDED)


@app.route("pipelines/{pipeline_id}/updates", methods=["POST"])
def start_update(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, run_endpoints.start_update)


@app.route("pipelines/{pipeline_id}/cancel", methods=["POST"])
def cancel_pipeline(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, run_endpoints.cancel_pipeline)


@app.route("runs", methods=["GET"])
def list_runs(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, run_endpoints.list_runs)


@app.route("runs/{run_id}", methods=["GET"])
def get_run(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, run_endpoints.get_run)


@app.route("runs/{run_id}/events", methods=["GET"])
def run_events(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, endpoints.event_endpoints.run_events)


@app.route("runs/{run_id}/result", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def await_run(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, run_endpoints.await_run)


@app.route("runs/{run_id}/cancel", methods=["POST"])
def cancel_run(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, run_endpoints.cancel_run)


@app.route("runs/{run_id}/callbacks/redeliver", methods=["POST"])
def redeliver(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, run_endpoints.redeliver)


@app.route("runs/{run_id}/abandon", methods=["POST"])
def abandon_run(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, run_endpoints.abandon_run)


@app.route("jobs/discover", methods=["POST"])
def discover_jobs(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, endpoints.job_endpoints.discover_jobs)


@app.route("jobs/{pipeline_id}/sync", methods=["POST"])
def sync_parameters(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, endpoints.job_endpoints.sync_parameters)


@app.route("jobs", methods=["GET"])
def list_jobs(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, endpoints.job_endpoints.list_jobs)


@app.route("jobs/{pipeline_id}", methods=["GET"])
def get_job(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, endpoints.job_endpoints.get_job)


@app.route("jobs/{pipeline_id}/parameters/{name}", methods=["PUT"])
def set_parameter(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, endpoints.job_endpoints.set_parameter)


@app.route("secrets/await/rotate", methods=["POST"])
def rotate_await_key(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, endpoints.secret_endpoints.rotate_await_key)


@app.route("alive", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def alive(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, app_endpoints.alive, app_endpoints.alive_with_bad_settings)


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, app_endpoints.health, app_endpoints.health_with_bad_settings)


@app.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def openapi(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return _serve(req, context, app_endpoints.openapi, app_endpoints.openapi_with_bad_settings)


@app.route("page", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def page(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    files = endpoints.page_endpoints
    return _serve(req, context, files.page, files.page_with_bad_settings)


@app.route("page/{file}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def page_file(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    files = endpoints.page_endpoints
    return _serve(req, context, files.page_file, files.page_file_with_bad_settings)


if not sweeps_in_groups(os.environ):

    @app.timer_trigger("timer", sweep_schedule(os.environ), run_on_startup=False)
    def sweep_runs(timer: func.TimerRequest, context: func.Context) -> None:
        on_timer("sweep_runs", run_endpoints.sweep, _invocation(context))

else:

    @app.timer_trigger("timer", sweep_schedule(os.environ), run_on_startup=False)
    @app.queue_output("groups", QUEUE, STORAGE_SETTING)
    def sweep_runs(timer: func.TimerRequest, groups: func.Out[List[str]], context: func.Context) -> None:  # noqa: UP006
        hand_out = run_endpoints.hand_out_sweeps
        on_timer("sweep_runs", lambda services: groups.set(hand_out(services)), _invocation(context))

    @app.queue_trigger("message", QUEUE, STORAGE_SETTING)
    def sweep_group(message: func.QueueMessage, context: func.Context) -> None:
        body = message.get_body()
        on_message("sweep_group", lambda services: run_endpoints.sweep_group(body, services), _invocation(context))


@app.timer_trigger("timer", callback_schedule(os.environ), run_on_startup=False)
def deliver_callbacks(timer: func.TimerRequest, context: func.Context) -> None:
    on_timer("deliver_callbacks", run_endpoints.deliver, _invocation(context))


@app.timer_trigger("timer", discovery_schedule(os.environ), run_on_startup=False)
def discover_on_schedule(timer: func.TimerRequest, context: func.Context) -> None:
    on_timer("discover_on_schedule", endpoints.job_endpoints.discover_on_schedule, _invocation(context))


def _serve(
    req: func.HttpRequest, context: func.Context, endpoint: Endpoint, on_bad_settings: OnBadSettings = refuse_all
) -> func.HttpResponse:
    call = Call(
        method=req.method,
        url=req.url,
        headers={name.lower(): value for name, value in req.headers.items()},
        query=dict(req.params),
        route=dict(req.route_params),
        body=req.get_body(),
        invocation=_invocation(context),
        needs_key=GUARDED is func.AuthLevel.FUNCTION,
    )
    reply = answer(call, endpoint, on_bad_settings)
    return func.HttpResponse(
        reply.encode(),
        status_code=reply.status,
        headers=dict(reply.headers),
        mimetype=reply.content_type,
        charset="utf-8",
    )


def _invocation(context: func.Context) -> Invocation:
    trace = context.trace_context
    return Invocation(id=context.invocation_id, traceparent=trace.trace_parent, tracestate=trace.trace_state)
