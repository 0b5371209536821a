"""The app's metrics, by the API of OpenTelemetry. Where nobody has set it up, nothing happens and nothing is imported.

Only the timer that knows a value reports it. An instance goes on to send the last value of a gauge as long as it lives.
So what an alert asks for is a counter or a histogram.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from polysync_core.adapters import telemetry
from polysync_core.rules.decisions.run_states import status_of_run
from polysync_core.rules.decisions.sweep_rules import SweepOutcome
from polysync_core.values.run import Run, SweepReport


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    name: str
    kind: Kind
    unit: str
    description: str


RUNS = Metric(name="polysync.runs", kind=Kind.COUNTER, unit="{run}", description="Runs that have finished.")
ACTIVE = Metric(name="polysync.runs.active", kind=Kind.GAUGE, unit="{run}", description="Active runs.")
SWEEP_LAG = Metric(
    name="polysync.sweep.lag",
    kind=Kind.HISTOGRAM,
    unit="s",
    description="For how long the longest unseen run, or the whole workspace, has not been seen.",
)
SWEEP_SECONDS = Metric(
    name="polysync.sweep.seconds", kind=Kind.HISTOGRAM, unit="s", description="How long a workspace's sweep took."
)
UNSEEN = Metric(
    name="polysync.sweep.unseen",
    kind=Kind.HISTOGRAM,
    unit="{run}",
    description="Active runs that a sweep did not see, for whatever reason.",
)
CALLS = Metric(name="polysync.databricks.calls", kind=Kind.COUNTER, unit="{call}", description="Calls to Databricks.")
THROTTLED = Metric(
    name="polysync.databricks.throttled",
    kind=Kind.COUNTER,
    unit="{call}",
    description="Calls that Databricks refused with 429.",
)
CALLBACKS_DUE = Metric(
    name="polysync.callbacks.due", kind=Kind.GAUGE, unit="{callback}", description="Callbacks that are due."
)
CALLBACKS_OLDEST = Metric(
    name="polysync.callbacks.oldest",
    kind=Kind.HISTOGRAM,
    unit="s",
    description="For how long the oldest callback has been owed, also while it waits for its next try.",
)
AMBIGUOUS = Metric(
    name="polysync.starts.ambiguous",
    kind=Kind.COUNTER,
    unit="{start}",
    description="Starts whose outcome was not known when they were answered.",
)
ALL = (
    RUNS,
    ACTIVE,
    SWEEP_LAG,
    SWEEP_SECONDS,
    UNSEEN,
    CALLS,
    THROTTLED,
    CALLBACKS_DUE,
    CALLBACKS_OLDEST,
    AMBIGUOUS,
)


def note_end(workspace: str, run: Run) -> None:
    """Count a run that has finished."""
    _note(RUNS, 1, workspace=workspace, status=status_of_run(run).value)


def note_sweep(report: SweepReport, outcome: SweepOutcome, lag_seconds: float | None, *, knows_runs: bool) -> None:
    """Report a workspace's sweep. `lag_seconds` is None where it is not known.

    `knows_runs` is False for a sweep that did not come about. Its counts of runs mean nothing.
    """
    _note(SWEEP_SECONDS, report.seconds, workspace=report.workspace, outcome=outcome.value)
    if lag_seconds is not None:
        _note(SWEEP_LAG, lag_seconds, workspace=report.workspace)
    if knows_runs:
        _note(ACTIVE, report.active, workspace=report.workspace)
        _note(UNSEEN, report.failed, workspace=report.workspace)


def note_call(workspace: str, route: str, status: int | None) -> None:
    """Count a call to Databricks. `route` is its method and path template. `status` is None without an answer."""
    _note(CALLS, 1, workspace=workspace, route=route, status="none" if status is None else str(status))
    if status == 429:
        _note(THROTTLED, 1, workspace=workspace, route=route)


def note_callbacks(workspace: str, due: int, oldest_seconds: float) -> None:
    """Report a workspace's callbacks before they are sent: how many are due, and how long the oldest is owed."""
    _note(CALLBACKS_DUE, due, workspace=workspace)
    _note(CALLBACKS_OLDEST, oldest_seconds, workspace=workspace)


def note_unknown_start(workspace: str, because_of: Literal["databricks", "storage"]) -> None:
    """Count a start whose outcome was not known, or not stored, when it was answered. The argument is what failed."""
    _note(AMBIGUOUS, 1, workspace=workspace, because_of=because_of)


def _note(metric: Metric, value: float, **attributes: str) -> None:
    if telemetry.is_on():
        with telemetry.guarded():
            _instrument(metric)(value, attributes)


@functools.cache
def _instrument(metric: Metric) -> Any:
    """The method that takes a value and its attributes. It also works if a provider is set later."""
    from opentelemetry.metrics import get_meter

    meter = get_meter(telemetry.SCOPE)
    if metric.kind is Kind.COUNTER:
        return meter.create_counter(metric.name, metric.unit, metric.description).add
    if metric.kind is Kind.GAUGE:
        return meter.create_gauge(metric.name, metric.unit, metric.description).set
    return meter.create_histogram(metric.name, metric.unit, metric.description).record
