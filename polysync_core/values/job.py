"""The values of jobs and discovery: frozen, keyword-only, without I/O. Times are aware UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Value = bool | int | float | str
"""A parameter's value. Written as text it is what Databricks holds, to the letter: 200, true, 0.5, "3.10", "007"."""


@dataclass(frozen=True, slots=True)
class HiddenValue:
    """A secret's place: the keyed hash of its value, by which a change of it shows."""

    digest: str


ImportedValue = Value | HiddenValue

FULL_REFRESH = "full_refresh"
"""The one parameter that reaches the update API. The user's own: no import ever makes or changes it."""


class DataType(StrEnum):
    """What a value is, read off the value itself."""

    BOOL = "Bool"
    INT = "Int"
    FLOAT = "Float"
    STRING = "String"


class Direction(StrEnum):
    """The mission's three directions. Output is never sent, and nothing is ever updated from a response."""

    INPUT = "Input"
    OUTPUT = "Output"
    BOTH = "Input&Output"


class ChangeKind(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True, slots=True)
class FullRefresh:
    """The user's own full_refresh of a job, as PUT stored it."""

    value: bool
    direction: Direction = Direction.INPUT


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A parameter as it is shown. `forwarded`: a start that does not say otherwise sends it.

    `hidden`: the value is a secret, and None stands for it.
    """

    name: str
    value: Value | None
    data_type: DataType
    direction: Direction
    forwarded: bool
    hidden: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A pipeline imported into Polysync. `parameters` are the imported ones, by name; `full_refresh` is the user's.

    `accessible` False: Databricks refuses its configuration to this app; name and parameters are the last known ones.
    `synced_at` is when the parameters were last known to be in step (None: never). `failed_at` is when the last
    discovery began that could not look at this job among many.
    """

    pipeline_id: str
    name: str | None
    imported_at: datetime
    synced_at: datetime | None
    failed_at: datetime | None = None
    accessible: bool = True
    parameters: Mapping[str, ImportedValue] = field(default_factory=dict)
    full_refresh: FullRefresh | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredJob:
    """A job with the ETag of its row and the number of its pieces.

    `job` is None when the row cannot be read; a discovery then writes it again.
    """

    pipeline_id: str
    etag: str
    pieces: int
    job: Job | None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobWrite:
    """One row to bring from `stored` (None: there is none) to `columns`, by merge (None: the row goes).

    `kept`: the columns of the row that stays of a removed job.
    """

    pipeline_id: str
    stored: StoredJob | None
    columns: Mapping[str, object] | None
    kept: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobDefaults:
    """What a start needs to know of its job. Both None when there is no such job."""

    name: str | None = None
    full_refresh: FullRefresh | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPage:
    """One page of jobs, by pipeline id, and the opaque continuation of the next one (None: the end)."""

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
    """One difference; `parameter` None means the job itself (its name, or whether it is accessible).

    Of a hidden value neither `before` nor `after` is known.
    """

    job: str
    parameter: str | None
    kind: ChangeKind
    before: Value | None
    after: Value | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What one or many jobs came to. `failed` jobs could not be looked at and are counted nowhere else."""

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
    """How far a discovery has come, so that another call can go on.

    Every stored job up to the pipeline id `after` is done. `page_token` is Databricks' for the page to read next, of
    which everything up to `page_after` is done. `in_order` False: an earlier page listed higher ids than a later one.
    `tally` counts the whole pass. `not_synced` are the first jobs that could not be looked at, and when each was in
    step last.
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
    """The last discovery that came to its end: every job is in step as of `discovered_at`, but those `not_synced`."""

    discovered_at: datetime
    not_synced: Mapping[str, datetime | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Discoveries:
    """The `discovery|last` row of a workspace: its last complete discovery, and the scheduled one under way."""

    last: LastDiscovery | None = None
    under_way: DiscoveryPass | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscoveryReport:
    """What one call of a discovery did. `rest` is what is left for another call; None: the discovery is complete."""

    workspace: str
    tally: Tally
    changes: tuple[Change, ...] = ()
    rest: DiscoveryPass | None = None
    calls: int = 0
    seconds: float = 0.0
