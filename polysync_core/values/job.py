"""The frozen values of jobs and discovery. Times are aware UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Value = bool | int | float | str
"""A parameter's value. Written as text, it is exactly what Databricks holds: 200, true, 0.5, "3.10", "007"."""


@dataclass(frozen=True, slots=True)
class HiddenValue:
    """Stands for a secret value. `digest` is a keyed hash, so a change of the value can be detected."""

    digest: str


ImportedValue = Value | HiddenValue

FULL_REFRESH = "full_refresh"
"""The only parameter that is sent to the update API. The user sets it. An import never creates or changes it."""


class DataType(StrEnum):
    """The type of a value. It is found from the value itself."""

    BOOL = "Bool"
    INT = "Int"
    FLOAT = "Float"
    STRING = "String"


class Direction(StrEnum):
    """The mission's three directions. A parameter with direction Output is never sent, nor updated from a response."""

    INPUT = "Input"
    OUTPUT = "Output"
    BOTH = "Input&Output"


class ChangeKind(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True, slots=True)
class FullRefresh:
    """The full_refresh of a job as the user set it by PUT."""

    value: bool
    direction: Direction = Direction.INPUT


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A parameter as callers see it.

    If `forwarded` is true, a start sends it unless the request gives another value. If `hidden` is true, the value is a
    secret and `value` is None.
    """

    name: str
    value: Value | None
    data_type: DataType
    direction: Direction
    forwarded: bool
    hidden: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A pipeline that was imported into Polysync.

    `parameters` maps the names of the imported parameters to their values. `full_refresh` is set by the user. If
    `accessible` is false, Databricks does not let this app read the configuration. The name and parameters are then the
    last known ones. `synced_at` is the last time that the parameters were known to equal those in Databricks, or None.

    `failed_at` is the begin time of the last discovery that marked this job as not fetched. A discovery does so only
    when its list `not_synced` is full.
    """

    pipeline_id: str
    name: str | None
    imported_at: datetime
    synced_at: datetime | None
    failed_at: datetime | None = None
    accessible: bool = True
    parameters: Mapping[str, ImportedValue] = field(default_factory=dict)
    full_refresh: FullRefresh | None = None

    @property
    def characters(self) -> int:
        """How many characters the values of its parameters have."""
        return sum(len(str(value)) for value in self.parameters.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredJob:
    """A job with the ETag of its row. `pieces` is the number of columns that hold the parameters.

    `job` is None when the row cannot be read. A discovery then writes the row again.
    """

    pipeline_id: str
    etag: str
    pieces: int
    job: Job | None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobWrite:
    """One change of a job's row. `stored` is the present row, or None if there is none.

    `columns` are merged into the row. If `columns` is None, the row is deleted. `kept` are the columns of the
    `removed` row that remembers a removed job.
    """

    pipeline_id: str
    stored: StoredJob | None
    columns: Mapping[str, object] | None
    kept: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobDefaults:
    """The values of a job that a start uses. Both are None when there is no such job."""

    name: str | None = None
    full_refresh: FullRefresh | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPage:
    """One page of jobs, sorted by pipeline id. `continuation` is opaque text for the next page, or None at the end."""

    jobs: tuple[Job, ...]
    continuation: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            added=self.added + other.added,
            changed=self.changed + other.changed,
            removed=self.removed + other.removed,
            unchanged=self.unchanged + other.unchanged,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One difference. If `parameter` is None, the job itself differs: it, its name, or whether it is accessible.

    For a hidden value both `before` and `after` are None.
    """

    job: str
    parameter: str | None
    kind: ChangeKind
    before: Value | None
    after: Value | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """The counts of one or more jobs. `failed` jobs could not be fetched or saved. They are counted nowhere else."""

    jobs: Counts = field(default_factory=Counts)
    parameters: Counts = field(default_factory=Counts)
    failed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            jobs=self.jobs + other.jobs,
            parameters=self.parameters + other.parameters,
            failed=self.failed + other.failed,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscoveryPass:
    """The progress of a discovery, so that another call can continue it.

    Every stored job up to the pipeline id `after` is done. `page_token` is Databricks' token of the page to read next.
    On that page everything up to the id `page_after` is done. `in_order` is false if an earlier page listed higher ids
    than a later one.

    `tally` counts the whole pass. `not_synced` holds the first jobs that could not be fetched or saved. It maps each
    pipeline id to the time when the job was last in sync (None: never).
    """

    began_at: datetime
    page_token: str | None = None
    after: str = ""
    page_after: str = ""
    in_order: bool = True
    tally: Tally = field(default_factory=Tally)
    not_synced: Mapping[str, datetime | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class LastDiscovery:
    """The last complete discovery. Every job was in sync at `discovered_at`, except those in `not_synced`.

    A job whose own `failed_at` is not earlier is an exception too. `not_synced` is that of DiscoveryPass.
    """

    discovered_at: datetime
    not_synced: Mapping[str, datetime | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Discoveries:
    """The `discovery|last` row of a workspace: its last complete discovery, and the scheduled one in progress."""

    last: LastDiscovery | None = None
    under_way: DiscoveryPass | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscoveryReport:
    """What one call of a discovery did. Another call continues from `rest`. None: the discovery is complete."""

    workspace: str
    tally: Tally
    changes: tuple[Change, ...] = ()
    rest: DiscoveryPass | None = None
    calls: int = 0
    seconds: float = 0.0
