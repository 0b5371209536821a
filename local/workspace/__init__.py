"""A simulated Databricks workspace for laptops and tests: the Pipelines API 2.0, and an identity endpoint for tokens.

In a test:

    with SimulatedWorkspace(pace_seconds=None) as workspace: ...

From a shell, until SIGINT or SIGTERM. This first prints the lines to export:

    python -m local.workspace [--port 8461] [--pace 5] [--pipelines 3] [--latency-ms 0]

Its behaviour follows the documentation of the API and of databricks-sdk-py. Each module names its sources.

    states                    one update
    pipelines                 the updates of a pipeline, and automatic retries
    encoding, queries, wire   JSON, query strings, errors
    event_log                 the events of a pipeline
    api                       the routes
    identity                  tokens
    journal                   the calls that were received
    dispatch                  authentication, faults (local.fault) and journal around a request
    control, pipeline_control the methods below
    control_routes            the same methods over HTTP
    settings, simulated       the settings, and SimulatedWorkspace with its server

Control routes are for other processes. `POST /_sim/{method}` takes a JSON object of the method's arguments. It answers
200 `{"result": …}`, or 400 or 404 `{"error": …}`. It needs no token, because the server listens on a loopback address
only.

    configure         fields of settings.WorkspaceSettings: latency_seconds, pace_seconds, token_seconds, …
    add_pipeline      pipeline_id?, name?, spec?, script?, pace_seconds?, drain_seconds?, retries?, … -> id
    add_pipelines     count -> ids
    pipeline_ids      -> ids
    remove_pipeline, forbid {listed?}, allow                        pipeline_id
    rename_pipeline {name}, set_spec {spec}, set_script {script}    pipeline_id
    updates_of        pipeline_id -> its updates as they really are, oldest first
    start_elsewhere   pipeline_id, cause?, full_refresh? -> update id
    set_state         pipeline_id, update_id (null: the newest), state
    advance           pipeline_id, update_id?, steps? -> state
    forget_update     pipeline_id, update_id
    add_event         pipeline_id, message, level?, event_type?, update_id?, exceptions? -> event id
    add_fault         kind, when?, method?, route?, times?, after?, status?, … (fault.Fault)
    clear_faults, down, up
    issue_token       seconds?, resource? -> token
    revoke_tokens     as_html_403?
    tokens_issued     -> counts by resource
    calls             method?, route? -> the journal of the API
    identity_calls    -> the journal of the identity endpoint
    clear_calls
"""

from local.workspace.control import UpdateRecord
from local.workspace.identity import DATABRICKS_RESOURCE, MANAGEMENT_RESOURCE
from local.workspace.journal import Call, IdentityCall
from local.workspace.simulated import SimulatedWorkspace
from local.workspace.states import DEFAULT_SCRIPT, script_ending

__all__ = [
    "DATABRICKS_RESOURCE",
    "DEFAULT_SCRIPT",
    "MANAGEMENT_RESOURCE",
    "Call",
    "IdentityCall",
    "SimulatedWorkspace",
    "UpdateRecord",
    "script_ending",
]
