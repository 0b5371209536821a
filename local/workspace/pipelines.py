"""Pipelines and their updates: one active update at a time, and automatic retries. Times are epoch seconds.

No function reads a clock. The caller passes the time.
"""

from __future__ import annotations

import bisect
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from local.workspace import states
from local.workspace.states import Update

CAUSES = frozenset(
    {
        "API_CALL",
        "USER_ACTION",
        "JOB_TASK",
        "RETRY_ON_FAILURE",
        "SCHEMA_CHANGE",
        "SERVICE_UPGRADE",
        "INFRASTRUCTURE_MAINTENANCE",
        "SETTINGS_CHANGE",
        "ORCHESTRATION",
    }
)
"""Those of the official SDK (UpdateInfoCause), and two more that live workspaces answer."""
STRINGS = "a list of strings"
OPTIONS: dict[str, tuple[type, str]] = {
    "validate_only": (bool, "a boolean"),
    "development": (bool, "a boolean"),
    "refresh_selection": (list, STRINGS),
    "full_refresh_selection": (list, STRINGS),
    "reset_checkpoint_selection": (list, STRINGS),
    "refresh_selection_by_path": (list, STRINGS),
    "full_refresh_selection_by_path": (list, STRINGS),
    "replace_where_overrides": (list, "a list"),
    "rewind_spec": (dict, "an object"),
    "parameters": (dict, "an object"),
    "mode": (str, "a string"),
}
"""What an update may be started with beside full_refresh, and the JSON type of each (StartUpdate, UpdateInfo)."""


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How Databricks retries an update by itself.

    A new update starts `delay_seconds` after an update ended in `after_state`, at most `times` times. On a real
    workspace, RETRY_ON_FAILURE comes after FAILED, up to 5 times. SCHEMA_CHANGE comes 2 s after CANCELED. An update
    that somebody stopped is not retried. `script` None means that the retry has the pipeline's own script.
    """

    times: int = 0
    delay_seconds: float = 0.0
    cause: str = "RETRY_ON_FAILURE"
    after_state: str = "FAILED"
    script: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One entry of `error.exceptions` in the event with the reason why an update failed."""

    class_name: str
    message: str


@dataclass(kw_only=True)
class Pipeline:
    """A pipeline. `updates` are oldest first. states.Update and states.stop explain the two durations."""

    pipeline_id: str
    name: str
    spec: dict[str, Any]
    script: tuple[str, ...]
    pace_seconds: float | None
    drain_seconds: float | None
    retries: Retries
    failures: tuple[Failure, ...]
    last_modified: int
    updates: list[Update] = field(default_factory=list)
    extra_events: list[dict[str, Any]] = field(default_factory=list)
    is_forbidden: bool = False
    is_listed: bool = True

    @property
    def cluster_id(self) -> str:
        return f"1122-093015-{uuid.uuid5(uuid.NAMESPACE_OID, self.pipeline_id).hex[:8]}"

    @property
    def active(self) -> Update | None:
        """The update that is not finished, or None. Call settle() first."""
        return self.updates[-1] if self.updates and not self.updates[-1].is_terminal else None

    def update(self, update_id: str) -> Update | None:
        return next((update for update in reversed(self.updates) if update.update_id == update_id), None)


def settle(pipeline: Pipeline, now: float) -> None:
    """Bring the pipeline to the time `now`: enter the states that are due, and start the retries that were due."""
    while pipeline.updates:
        last = pipeline.updates[-1]
        states.run_until(last, now)
        retries = pipeline.retries
        due_at = last.entered_at + retries.delay_seconds
        if last.state != retries.after_state or last.retries_left < 1 or last.stop_requested or due_at > now:
            return
        begin(
            pipeline,
            cause=retries.cause,
            full_refresh=last.full_refresh,
            at=due_at,
            script=retries.script,
            retries_left=last.retries_left - 1,
            options=last.options,
        )


def begin(
    pipeline: Pipeline,
    *,
    cause: str,
    full_refresh: bool,
    at: float,
    script: tuple[str, ...] | None = None,
    retries_left: int | None = None,
    body: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
) -> Update:
    """Create an update in the first state of its script. The caller has checked that no update is active."""
    first, *rest = states.script_of_update(script or pipeline.script, full_refresh=full_refresh)
    options = options or {}
    retries = 0 if options.get("development") else pipeline.retries.times  # Databricks retries no development update
    creation_time = int(at * 1000)
    if pipeline.updates:  # no two updates of a pipeline have the same creation time
        creation_time = max(creation_time, pipeline.updates[-1].creation_time + 1)
    update = Update(
        update_id=str(uuid.uuid4()),
        cause=cause,
        full_refresh=full_refresh,
        creation_time=creation_time,
        history=[(first, at)],
        remaining=tuple(rest),
        pace_seconds=pipeline.pace_seconds,
        retries_left=retries if retries_left is None else retries_left,
        options=options,
        body=body,
    )
    pipeline.updates.append(update)
    return update


class PipelineRegistry:
    """The pipelines of a workspace by id, and their ids in ascending order."""

    def __init__(self) -> None:
        self._by_id: dict[str, Pipeline] = {}
        self.ordered_ids: list[str] = []

    def ordered(self, *, by_name: bool, descending: bool, after_id: str | None) -> Iterator[Pipeline]:
        """Return the pipelines by id, or by name and id. With `after_id`, only the pipelines after it.

        By id, `after_id` may be the id of a removed pipeline. The cost of a page depends only on the page's size, also
        among 12,000 pipelines. By name, all pipelines are sorted. If the pipeline of `after_id` was removed, the
        listing starts again from the beginning.
        """
        ids = self.ordered_ids
        if by_name:
            ids = sorted(ids, key=lambda pipeline_id: (self._by_id[pipeline_id].name, pipeline_id))
            start = ids.index(after_id) if after_id in self._by_id else None
            low, high = (0, len(ids)) if start is None else (start + 1, start)
        elif after_id is None:
            low, high = 0, len(ids)
        else:
            low, high = bisect.bisect_right(ids, after_id), bisect.bisect_left(ids, after_id)
        positions = range(high - 1, -1, -1) if descending else range(low, len(ids))
        return (self._by_id[ids[position]] for position in positions)

    def add(self, pipeline: Pipeline) -> None:
        """Add a pipeline. Raises ValueError when its id is taken."""
        if pipeline.pipeline_id in self._by_id:
            raise ValueError(f"there is a pipeline {pipeline.pipeline_id} already")
        self._by_id[pipeline.pipeline_id] = pipeline
        bisect.insort(self.ordered_ids, pipeline.pipeline_id)

    def find(self, pipeline_id: str) -> Pipeline | None:
        return self._by_id.get(pipeline_id)

    def get(self, pipeline_id: str) -> Pipeline:
        """Return a pipeline, for control methods. Raises ValueError when there is none with this id."""
        pipeline = self._by_id.get(pipeline_id)
        if pipeline is None:
            raise ValueError(f"there is no pipeline {pipeline_id}")
        return pipeline

    def remove(self, pipeline_id: str) -> None:
        self.get(pipeline_id)
        del self._by_id[pipeline_id]
        self.ordered_ids.remove(pipeline_id)
