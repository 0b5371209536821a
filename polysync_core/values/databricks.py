"""The responses of Databricks as frozen values. Times are aware UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Literal

from polysync_core.values.start_options import NO_OPTIONS, StartOptions


class Absent(Enum):
    """A response of Databricks without an update or configuration that still proves something."""

    GONE = auto()
    """The update, or the pipeline, does not exist."""
    FORBIDDEN = auto()
    """This app may not read it."""


Gone = Literal[Absent.GONE]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenUpdate:
    """One update as Databricks returned it. A field that Databricks left out is None.

    `partial_by` names the fields that make it less than a refresh of the whole pipeline, such as validate_only.
    `options` holds those of them that are start options.
    """

    update_id: str
    state: str | None
    cause: str | None = None
    created_at: datetime | None = None
    full_refresh: bool | None = None
    partial_by: tuple[str, ...] = ()
    options: StartOptions = NO_OPTIONS
    pipeline_name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPipeline:
    """A pipeline as GET /pipelines lists it. Its latest updates are in order, newest first."""

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
    """A pipeline's configuration as Databricks returned it.

    `spec` is the JSON object of the configuration. `parameters` maps the names of the pipeline's own parameters to
    their values.
    """

    name: str | None
    spec: Mapping[str, object]
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One exception of an event. Its class and its text may each be missing."""

    class_name: str | None
    message: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorEvent:
    """An error event as Databricks listed it. `failures` are its exceptions, the outermost first and the cause last."""

    update_id: str | None
    fatal: bool
    failures: tuple[Failure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEvent:
    """A line of a pipeline's event log, with bounded texts. `update_id` is None if it is about no update.

    `failures` are its exceptions, the outermost first and the cause last.
    """

    update_id: str | None
    at: datetime | None
    level: str | None
    event_type: str | None
    message: str | None
    failures: tuple[Failure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventsPage:
    """Events, newest first. It may hold none although there is a next page."""

    events: tuple[LogEvent, ...]
    next_page_token: str | None
