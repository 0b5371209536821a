"""The answers' JSON as pydantic models, for the OpenAPI document only.

Nothing is encoded by these: run_document, job_document and http_contract do that, and every answer that the tests see
is held against them. Every field is always there unless it has a default here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from polysync_core.values.callback import CallbackKind, CallbackState
from polysync_core.values.job import ChangeKind, DataType, Direction, Value
from polysync_core.values.run import Status


class _Document(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", use_attribute_docstrings=True)


class Attempt(_Document):
    """One update of a run."""

    update_id: str
    state: str | None
    cause: str | None
    created_at: datetime | None


class Callback(_Document):
    """A callback of a run; nothing of its address."""

    kind: CallbackKind
    """The field that asked for it."""
    state: CallbackState
    tries: int
    last_error: str | None
    next_attempt_at: datetime | None


class Error(_Document):
    """What went wrong: `code` for programs, `message` for a person."""

    code: str
    message: str


class Run(_Document):
    """A run: one update of a pipeline, with Databricks' automatic retries of it. Null means not known."""

    run_id: str
    """{pipeline_id}:{update_id}"""
    pipeline_id: str
    update_id: str
    """Of the first attempt."""
    pipeline_name: str | None
    workspace: str
    status: Status
    state: str | None
    """Databricks' own word."""
    is_finished: bool
    message: str
    """One line for a person."""
    full_refresh: bool | None
    ignored_parameters: list[str]
    monitor_url: str
    """The pipeline's page in Databricks."""
    update_url: str
    """The page of the last attempt."""
    status_url: str
    cancel_url: str
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None
    """When it was first seen finished."""
    duration_seconds: float | None
    error: Error | None
    attempts: list[Attempt]
    attached: bool
    """This caller, or this app, joined an update that was active already."""
    cancel_requested_at: datetime | None
    stale_since: datetime | None
    """Set while Databricks cannot be asked."""
    callbacks: list[Callback]


class StartedRun(Run):
    """A run, for the caller who started it."""

    result_url: str
    """Where to wait for the end. A credential: whoever has it can read this run."""


class UnhappyEnd(Run):
    """A run that did not end well, with the members of a problem; `status` is the run's."""

    type: str
    title: str
    detail: str
    instance: str
    code: str
    error: Error


class RunList(_Document):
    """Runs, newest first."""

    items: list[Run]
    continuation: str | None
    """For the next page; null at the end."""


class Parameter(_Document):
    """A parameter of a job."""

    name: str
    value: Value | None
    """Null when it is hidden."""
    data_type: DataType
    direction: Direction
    forwarded: bool
    """A start that does not say otherwise sends it."""
    hidden: bool
    """The value is a secret: only a change of it is reported. A reference to a secret of Databricks is shown."""


class Job(_Document):
    """A pipeline imported into Polysync."""

    external_id: str
    """The pipeline id."""
    name: str | None
    job_type: Literal["Databricks Pipeline"]
    platform: Literal["Azure Databricks"]
    workspace: str
    monitor_url: str
    imported_at: datetime
    synced_at: datetime | None
    accessible: bool
    """False: Databricks does not let this app read the configuration; what is shown is the last known one."""
    parameters: list[Parameter]


class JobList(_Document):
    """Jobs, by pipeline id."""

    items: list[Job]
    continuation: str | None
    """For the next page; null at the end."""


class Counts(_Document):
    """How many there were of each kind."""

    added: int
    changed: int
    removed: int
    unchanged: int


class Change(_Document):
    """One difference."""

    job: str
    parameter: str | None
    """Null: the job itself."""
    change: ChangeKind
    before: Value | None = Field(alias="from")
    after: Value | None = Field(alias="to")


class DiscoveryReport(_Document):
    """What this call of a discovery, or of Sync Parameters, did."""

    workspace: str
    jobs: Counts
    parameters: Counts
    failed: int
    """Jobs that could not be looked at; they are as they were."""
    changes: list[Change]
    """At most 1,000."""
    complete: bool
    continuation: str | None
    """Send it in the next call to go on; null when complete."""


class Check(_Document):
    """One thing that the app depends on."""

    name: str
    ok: bool
    message: str


class Health(_Document):
    """Everything that the app depends on."""

    status: Literal["ok", "failing"]
    checks: list[Check]


class FieldError(_Document):
    """What is wrong with one field of the request; `given` is null where it may be a credential."""

    field: str
    given: str | None
    allowed: str


class ActiveUpdate(_Document):
    """The update in the way of a start; `runId` is null when it was started elsewhere."""

    update_id: str
    state: str | None
    update_url: str
    run_id: str | None


class FromDatabricks(BaseModel):
    """What Databricks answered, in its own words."""

    model_config = ConfigDict(extra="forbid")

    status: int
    error_code: str | None
    message: str


class Problem(_Document):
    """Problem details (RFC 9457), with Azure's `error` beside them. `code` says for programs what happened."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    error: Error
    errors: list[FieldError] = []
    """Of a request that is not valid: each wrong field."""
    active: ActiveUpdate | None = None
    databricks: FromDatabricks | None = None
    settings: list[str] = []
    """Each setting of the app that is wrong."""
    reference: str | None = None
    """Where the app's log tells more of a fault of the app."""
