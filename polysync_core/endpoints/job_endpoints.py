"""One function for each route and timer of jobs: decode the call, call a use case, encode its outcome."""

from __future__ import annotations

import logging

from polysync_core.rules.decisions import budgets
from polysync_core.rules.wire import http_contract, job_contract
from polysync_core.rules.wire.http_answers import Reply
from polysync_core.rules.wire.http_contract import Call
from polysync_core.rules.wire.job_document import JobDocument, encode_job_document, encode_report
from polysync_core.services import Services
from polysync_core.use_cases import jobs, listing
from polysync_core.use_cases.jobs import JobView
from polysync_core.values.deadline import Deadline
from polysync_core.values.job import DiscoveryReport

_log = logging.getLogger("polysync.discovery")


def discover_jobs(call: Call, services: Services) -> Reply:
    workspace, go_on_from = job_contract.decode_discover(call, services.workspace_names, services.clock.now())
    ws = services.at(workspace)
    _log.info("discovery of workspace %s by %s", ws.workspace.name, services.caller.id, extra={"action": "discover"})
    return _reported(jobs.discover_over_http(ws, services.import_rules(), go_on_from))


def sync_parameters(call: Call, services: Services) -> Reply:
    ws = services.at(http_contract.decode_workspace_only(call, services.workspace_names))
    pipeline_id = http_contract.decode_pipeline_id(call)
    report = jobs.sync_parameters(pipeline_id, ws, services.import_rules())
    _log.info("sync of job %s by %s", pipeline_id, services.caller.id, extra={"action": "sync"})
    return _reported(report)


def list_jobs(call: Call, services: Services) -> Reply:
    query = ("limit", "continuation")
    named = http_contract.decode_workspace(call, services.workspace_names, query=query, or_all=True)
    limit, continuation = http_contract.decode_limit(call), call.query.get("continuation")
    if named == http_contract.ALL_WORKSPACES:
        deadline = Deadline.after(services.clock, budgets.LISTING)
        found = listing.list_all_jobs(services.among(None), limit=limit, continuation=continuation, deadline=deadline)
    else:
        found = jobs.list_jobs(services.at(named), limit=limit, continuation=continuation)
    items = [_document(view) for view in found.views]
    return Reply(status=200, body={"items": items, "continuation": found.continuation})


def get_job(call: Call, services: Services) -> Reply:
    ws = services.at(http_contract.decode_workspace(call, services.workspace_names))
    return Reply(status=200, body=_document(jobs.find_job(http_contract.decode_pipeline_id(call), ws)))


def set_parameter(call: Call, services: Services) -> Reply:
    pipeline_id = http_contract.decode_pipeline_id(call)
    workspace, full_refresh = job_contract.decode_parameter(call, services.workspace_names)
    view = jobs.set_full_refresh(pipeline_id, full_refresh, services.at(workspace))
    _log.info(
        "full_refresh of job %s was set to %s (%s) by %s",
        pipeline_id,
        full_refresh.value,
        full_refresh.direction,
        services.caller.id,
        extra={"action": "set_parameter"},
    )
    return Reply(status=200, body=_document(view))


def discover_on_schedule(services: Services) -> None:
    jobs.discover_on_schedule([*services.workspaces.values()], services.import_rules())


def _reported(report: DiscoveryReport) -> Reply:
    rest = report.rest
    continuation = None if rest is None else job_contract.encode_discovery_continuation(report.workspace, rest)
    return Reply(status=200, body=encode_report(report, continuation))


def _document(view: JobView) -> JobDocument:
    return encode_job_document(view.job, workspace=view.workspace, synced_at=view.synced_at)
