"""What storage returns with a value: the ETag that locks it, and the rows that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A value that one version of the app reads and writes back, while another version has more fields.

    `unknown` is what its row or its JSON holds beside the fields of this version. It is written back as it is. So it
    takes no part in a comparison. Only the rows read its content.
    """

    unknown: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked(Generic[T]):
    """A value with the ETag of the row that is its lock. A change succeeds only while that row is unchanged.

    The lock of an active run is its `active` row. The lock of a finished run is its `run` row.
    """

    value: T
    etag: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableRow:
    """The keys of a row that cannot be read. `subject` is the run id or the pipeline id in its row key."""

    partition: str
    key: str
    subject: str

    @property
    def pipeline_id(self) -> str:
        return self.subject.partition(":")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan(Generic[T]):
    """The rows of one kind, and those among them that cannot be read."""

    rows: tuple[T, ...]
    unreadable: tuple[UnreadableRow, ...] = ()
