"""The routes of jobs: what each takes and returns, and which errors it raises."""

from __future__ import annotations

from polysync_core.rules.wire.job_contract import DiscoverBody, ParameterBody
from polysync_core.rules.wire.job_document import DiscoveryReportDocument, JobDocument, JobListDocument
from polysync_core.rules.wire.openapi import examples
from polysync_core.rules.wire.openapi.operation import BODY_ERRORS, UNREAD_BODY, Body, Operation, ok

_JOB_ERRORS = (examples.JOB_UNKNOWN, examples.STORAGE, examples.ROW_UNREADABLE)
JOB_ROUTES = (
    Operation(
        name="discover_jobs",
        method="POST",
        path="jobs/discover",
        tag="jobs",
        summary="Import the workspace's pipelines as jobs and sync their parameters",
        description="Answers within 50 s; what is left goes on with the continuation of the report.",
        parameters=("workspace", "discovery"),
        body=Body(model=DiscoverBody, examples={"from the beginning": {}}),
        answers=(ok("What it came to.", DiscoveryReportDocument, complete=examples.REPORT),),
        errors=(*BODY_ERRORS, *examples.DATABRICKS, examples.STORAGE, examples.TOO_BUSY, examples.NO_ANSWER),
    ),
    Operation(
        name="sync_parameters",
        method="POST",
        path="jobs/{pipeline_id}/sync",
        tag="jobs",
        summary="Sync Parameters of one job",
        parameters=("pipeline_id", "workspace"),
        body=UNREAD_BODY,
        answers=(ok("What it came to.", DiscoveryReportDocument, synced=examples.REPORT),),
        errors=(
            *(*BODY_ERRORS, *_JOB_ERRORS, *examples.DATABRICKS),
            *(examples.TOO_BUSY, examples.JOB_TOO_LARGE, examples.NO_ANSWER),
        ),
    ),
    Operation(
        name="list_jobs",
        method="GET",
        path="jobs",
        tag="jobs",
        summary="List jobs, by pipeline id",
        description="With `workspace=*`, the jobs of all workspaces are one list, sorted by the name of the workspace "
        "and then by pipeline id. A page holds what was read within about 2 s. Repeat with the `continuation` until it "
        "is null.",
        parameters=("limit", "continuation", "workspaces"),
        answers=(ok("Jobs.", JobListDocument, jobs=examples.JOBS),),
        errors=(examples.INVALID, examples.STORAGE),
    ),
    Operation(
        name="get_job",
        method="GET",
        path="jobs/{pipeline_id}",
        tag="jobs",
        summary="See a job with its parameters",
        parameters=("pipeline_id", "workspace"),
        answers=(ok("The job.", JobDocument, job=examples.JOB),),
        errors=(examples.INVALID, *_JOB_ERRORS),
    ),
    Operation(
        name="set_parameter",
        method="PUT",
        path="jobs/{pipeline_id}/parameters/{name}",
        tag="jobs",
        summary="Set what a start sends that does not say itself",
        description="Only `full_refresh` can be set; all others belong to the pipeline's definition in Databricks.",
        parameters=("pipeline_id", "name", "workspace"),
        body=Body(
            model=ParameterBody,
            examples={"always reprocess": {"value": True, "direction": "Input"}, "as a string": {"value": "false"}},
            required=True,
        ),
        answers=(ok("The job.", JobDocument, job=examples.JOB),),
        errors=(*BODY_ERRORS, *_JOB_ERRORS, examples.READ_ONLY),
    ),
)
