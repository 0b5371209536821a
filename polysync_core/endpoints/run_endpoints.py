"""One function for each route and timer of runs: decode the call, call a use case, encode its outcome."""

from __future__ import annotations

import logging

from polysync_core.adapters.memory import clear_cycles
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets
from polysync_core.rules.decisions.callback_addresses import check_address
from polysync_core.rules.decisions.roles import own_key
from polysync_core.rules.wire import http_contract, start_contract
from polysync_core.rules.wire.addresses import Addresses, await_token
from polysync_core.rules.wire.http_answers import Reply
from polysync_core.rules.wire.http_contract import Call
from polysync_core.rules.wire.run_document import RunDocument, encode_document, encode_outcome
from polysync_core.rules.wire.sweep_message import encode_group
from polysync_core.services import Services
from polysync_core.use_cases import (
    abandoning,
    await_addresses,
    cancelling,
    delivering,
    group_sweeps,
    reading,
    starting,
    sweeping,
)
from polysync_core.use_cases.cancelling import Cancelled
from polysync_core.use_cases.reading import RunView
from polysync_core.values.callback import CallbackKind
from polysync_core.values.deadline import Deadline
from polysync_core.values.run import Run
from polysync_core.values.workspace import Workspace

_log = logging.getLogger("polysync.deliver")


def start_update(call: Call, services: Services) -> Reply:
    deadline = Deadline.after(services.clock, budgets.START)
    settings = services.settings
    request = start_contract.decode_start(
        call, services.workspace_names, settings.app_url, services.caller, settings.start_options
    )
    if request.callback is not None:
        check_address(request.callback, services.settings.callback_hosts)
    ws, newest_key = services.at(request.workspace), services.await_keys.current().newest
    started = starting.start_update(
        request, ws, deadline, default_timeout_minutes=services.settings.run_timeout_minutes
    )
    run, addresses = started.run, _addresses(call, services, ws.workspace)
    waiting = addresses.waiting_headers(run.run_id, await_token(newest_key, run.run_id))
    view = reading.show_stored(run, ws, max_age_seconds=services.settings.status_max_age_seconds)
    document = _document(call, services, view)
    joined = {"attached": run.attached or started.attached, "resultUrl": waiting["Location"]}
    if started.attached:
        joined["ignoredParameters"] = list(request.ignored_parameters)  # those of this caller, not of the first one
    if request.callback is not None and request.callback.kind is CallbackKind.DATA_FACTORY:
        waiting = {name: value for name, value in waiting.items() if name != "Location"}
    return Reply(status=202, body=document | joined, headers=waiting)


def get_run(call: Call, services: Services) -> Reply:
    return Reply(status=200, body=_document(call, services, _read(call, services)))


def await_run(call: Call, services: Services) -> Reply:
    """202 while the run is active, then 200, 424, 409 or 410. A wrong token raises RunNotFound too."""
    run_id = http_contract.decode_run_id(call)
    keys = await_addresses.check_token(call.query.get("token", ""), run_id, services.await_keys, services.clock)
    view = _read(call, services)
    document = _document(call, services, view)
    if not view.run.is_finished:
        token = await_token(keys.newest, run_id)  # so that a long wait does not outlive an older key
        waiting = _addresses(call, services, view.workspace).waiting_headers(run_id, token)
        return Reply(status=202, body=document, headers=waiting)
    return encode_outcome(view.run, document, call.path)


def cancel_run(call: Call, services: Services) -> Reply:
    run, ws = _find(call, services)
    return _cancelled(call, services, ws, cancelling.cancel_run(run.run_id, ws, services.caller.id))


def cancel_pipeline(call: Call, services: Services) -> Reply:
    named = http_contract.decode_workspace_only(call, services.workspace_names)
    pipeline_id = http_contract.decode_pipeline_id(call)
    key = own_key(services.caller, http_contract.decode_idempotency_key(call))
    ws = services.at(named)
    return _cancelled(call, services, ws, cancelling.cancel_pipeline(pipeline_id, key, ws, services.caller.id))


def list_runs(call: Call, services: Services) -> Reply:
    named = http_contract.decode_workspace(call, services.workspace_names, query=http_contract.RUNS_QUERY, or_all=True)
    wanted, limit = http_contract.decode_run_filter(call), http_contract.decode_limit(call)
    continuation, max_age_seconds = call.query.get("continuation"), services.settings.status_max_age_seconds
    if named == http_contract.ALL_WORKSPACES:
        # Imported here, because it imports all of discovery, and no other request should wait for that.
        from polysync_core.use_cases import listing

        found = listing.list_all_runs(
            services.among(None),
            wanted,
            limit=limit,
            continuation=continuation,
            max_age_seconds=max_age_seconds,
            deadline=Deadline.after(services.clock, budgets.LISTING),
        )
    else:
        found = reading.list_runs(
            services.at(named), wanted, limit=limit, continuation=continuation, max_age_seconds=max_age_seconds
        )
    items = [_document(call, services, view) for view in found.views]
    return Reply(status=200, body={"items": items, "continuation": found.continuation})


def redeliver(call: Call, services: Services) -> Reply:
    found, ws = _find(call, services)
    run = delivering.redeliver(found.run_id, ws)
    _log.info(
        "the callbacks of run %s are sent again for %s",
        run.run_id,
        services.caller.id,
        extra={"run_id": str(run.run_id), "action": "redeliver"},
    )
    return Reply(status=202, body=_document(call, services, reading.view_of(run, ws, None)))


def abandon_run(call: Call, services: Services) -> Reply:
    found, ws = _find(call, services)
    run = abandoning.abandon_run(found.run_id, ws, services.caller.id)
    return Reply(status=200, body=_document(call, services, reading.view_of(run, ws, None)))


def sweep(services: Services) -> None:
    try:
        reports = sweeping.sweep_workspaces([*services.workspaces.values()], services.settings.sweep_limits)
    finally:
        clear_cycles()
    sweeping.check_not_all_failed(reports, len(services.workspaces))


def hand_out_sweeps(services: Services) -> list[str]:
    """The messages that ask for the sweeps of all workspaces, in groups.

    Microsoft's runtime drops the outputs of a function that raises (azure-functions-runtime 1.3.0, handle_event.py). So
    a tick either sends its messages or fails.
    """
    try:
        groups = group_sweeps.hand_out(
            services.workspaces,
            services.settings.sweep_limits,
            most=services.settings.sweep_group_workspaces,
            interval=services.settings.sweep_interval,
        )
    finally:
        clear_cycles()
    return [encode_group(group) for group in groups]


def sweep_group(body: bytes, services: Services) -> None:
    try:
        group_sweeps.sweep_group(
            body, services.workspaces, services.settings.sweep_limits, interval=services.settings.sweep_interval
        )
    finally:
        clear_cycles()


def deliver(services: Services) -> None:
    delivering.deliver_callbacks([*services.workspaces.values()], services.sender, services.settings.public_url)


def _find(call: Call, services: Services) -> tuple[Run, WorkspaceServices]:
    """The run of a route that changes it, and its workspace. Raises RunNotFound and RoleMissing."""
    named = http_contract.decode_workspace_only(call, services.workspace_names)
    found, ws = reading.find_run(http_contract.decode_run_id(call), services.among(named))
    services.check_role(ws.workspace.name)
    return found, ws


def _read(call: Call, services: Services) -> RunView:
    named = http_contract.decode_workspace(call, services.workspace_names, query=("token",))
    return reading.read_run(
        http_contract.decode_run_id(call),
        services.among(named),
        max_age_seconds=services.settings.status_max_age_seconds,
        limits=services.settings.sweep_limits.transitions,
    )


def _addresses(call: Call, services: Services, workspace: Workspace) -> Addresses:
    addresses = call.addresses(services.settings.public_url, services.settings.app_url)
    return addresses.naming(services.name_in_addresses(workspace))


def _cancelled(call: Call, services: Services, ws: WorkspaceServices, cancelled: Cancelled) -> Reply:
    view = reading.show_stored(cancelled.run, ws, max_age_seconds=services.settings.status_max_age_seconds)
    return Reply(status=202 if cancelled.asked else 200, body=_document(call, services, view))


def _document(call: Call, services: Services, view: RunView) -> RunDocument:
    return encode_document(
        view.run,
        workspace=view.workspace,
        addresses=_addresses(call, services, view.workspace),
        now=services.clock.now(),
        stale_since=view.stale_since,
    )
