"""What Databricks answered, as frozen values. Times are aware UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Literal


class Absent(Enum):
    """An answer of Databricks that brings no update or configuration, and still says something for sure."""

    GONE = auto()
    """The update, or the pipeline, does not exist."""
    FORBIDDEN = auto()
    """This app may not read it."""


Gone = Literal[Absent.GONE]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenUpdate:
    """One update as Databricks showed it. Anything it left out is None.

    `partial_by` names the fields that make it less than a refresh of the whole pipeline, such as validate_only.
    """

    update_id: str
    state: str | None
    cause: str | None = None
    created_at: datetime | None = None
    full_refresh: bool | None = None
    partial_by: tuple[str, ...] = ()
    pipeline_name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPipeline:
    """A pipeline as GET /pipelines lists it, with its latest updates, newest first."""

    pipeline_id: str
    name: str | None
    latest_updates: tuple[SeenUpdate, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelinesPage:
    pipelines: tuple[ListedPipeline, ...]
    next_page_token: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdatesPage:
    updates: tuple[SeenUpdate, ...]
    next_page_token: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineSpec:
    """A pipeline's configuration as Databricks answered it; `spec` as its JSON, `parameters` its own, name to value."""

    name: str | None
    spec: Mapping[str, object]
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One exception of an event: its class and its text, either may be missing."""

    class_name: str | None
    message: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorEvent:
    """An error event as Databricks listed it, its exceptions from the outermost to the cause."""

    update_id: str | None
    fatal: bool
    failures: tuple[Failure, ...]
