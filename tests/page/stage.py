"""A workspace as it is on a working day: many pipelines, runs of every kind, and phases that took their time."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from local.host import LocalHost
from local.rig import Rig
from local.seeding import put_rows
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import RUN, encode_active
from polysync_core.values.callback import Callback, CallbackKind, CallbackState
from polysync_core.values.caller import CallerId
from polysync_core.values.ids import RunId
from polysync_core.values.run import Attempt, Run, RunError
from polysync_core.values.start_options import SETTING, START_OPTIONS
from tests.functions.app import KEY, ROOT, Send, environment, send_to, settings_of

AREAS = (
    "orders",
    "invoices",
    "customers",
    "stock",
    "shipments",
    "returns",
    "prices",
    "suppliers",
    "web clicks",
    "ledger",
)
STEPS = ("bronze", "silver", "gold", "reporting", "quality")
REASON = (
    "Update 27bc77 is FAILED: org.apache.spark.sql.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view "
    "`main`.`sales`.`orders` cannot be found. Verify the spelling and correctness of the schema and catalog.\n"
    "If you did not qualify the name with a schema, verify the current_schema() output, or qualify the name."
)
PHASES = (("WAITING_FOR_RESOURCES", 20), ("INITIALIZING", 190), ("SETTING_UP_TABLES", 260), ("RUNNING", 310))
"""States of an update, and the seconds after its beginning at which each one begins."""
_ENDS = {
    "FAILED": RunError(code="Failed", message=REASON),
    "LOST": RunError(code="RunLost", message="Given up: Databricks answers that this update does not exist."),
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The served app, and the ids of runs that show something."""

    url: str
    databricks: SimulatedWorkspace
    send: Send
    failed: str
    running: str
    job: str
    """Its stored full_refresh is true. That of `other_job` is not."""
    other_job: str


class _PastClock:
    """The time of the simulated workspace, in epoch seconds. It can be put back, so that updates begin in the past."""

    back = 0.0

    def __call__(self) -> float:
        return time.time() - self.back


@contextmanager
def working_day(tables: str, *, pipelines: int = 50) -> Iterator[Stage]:
    """Serve the app with a workspace of many pipelines, with runs of the last six hours and some active ones."""
    now = _PastClock()
    with SimulatedWorkspace(now=now) as databricks:
        settings = settings_of(tables, "finance", databricks) | {SETTING: ",".join(START_OPTIONS)}
        rig = Rig(tables, {"finance": databricks.url}, databricks, Clock())
        with environment(settings), LocalHost(ROOT, key=KEY, timers=False) as host:
            names = _names(pipelines)
            ids = {databricks.add_pipeline(name=name, failures=[("AnalysisException", REASON)]): name for name in names}
            send, headers = send_to(host), {"x-functions-key": KEY, "Content-Type": "application/json"}
            assert send("POST", "/api/jobs/discover", headers, b"{}").status == 200
            full = f"/api/jobs/{min(ids)}/parameters/full_refresh"
            assert send("PUT", full, headers, b'{"value": true, "direction": "Input"}').status == 200
            runs = [*_history(ids), *_active(ids, databricks, now)]
            _save(rig, runs)
            failed = next(run for run in reversed(runs) if run.error and run.callbacks)
            running = next(run for run in reversed(runs) if run.state == "RUNNING")
            host.fire("sweep_runs")
            yield Stage(
                url=host.url,
                databricks=databricks,
                send=send,
                failed=str(failed.run_id),
                running=str(running.run_id),
                job=min(ids),
                other_job=max(ids),
            )


def _names(count: int) -> list[str]:
    return [f"{area} {step}" for step in STEPS for area in AREAS][:count]


def _history(ids: Mapping[str, str]) -> Iterator[Run]:
    """Finished runs of the last nine hours: each pipeline at its own pace, always the same."""
    chance = random.Random(7)
    now = datetime.now(UTC)
    for number, (pipeline_id, name) in enumerate(sorted(ids.items(), key=lambda item: item[1])):
        every = timedelta(minutes=chance.choice([30, 60, 60, 120, 180]))
        began = now - timedelta(hours=9) + timedelta(minutes=number * 7 % 60)
        while (began := began + every) < now - timedelta(minutes=25):
            ended = began + every * chance.uniform(0.15, 0.7)
            state = chance.choices(["COMPLETED", "FAILED", "CANCELED", "LOST"], [90, 7, 3, 1])[0]
            yield _run(pipeline_id, name, began, ended=min(ended, now - timedelta(minutes=12)), state=state)
    for pipeline_id, name in [*ids.items()][:2]:
        run = _run(pipeline_id, name, now - timedelta(minutes=24), ended=now - timedelta(minutes=9), state="FAILED")
        callback = Callback(callback_id="1", kind=CallbackKind.WEBHOOK, host="prod-01.westeurope.logic.azure.com")
        tried = replace(callback, state=CallbackState.GIVEN_UP, tries=14, last_error="HTTP 502")
        data_factory = replace(callback, callback_id="2", kind=CallbackKind.DATA_FACTORY, tries=1)
        yield replace(run, callbacks=(tried, replace(data_factory, state=CallbackState.DELIVERED)))


def _active(ids: Mapping[str, str], databricks: SimulatedWorkspace, now: _PastClock) -> Iterator[Run]:
    """Runs whose updates are active in the simulated workspace, and have been through their phases there."""
    for number, (pipeline_id, name) in enumerate([*ids.items()][2:9]):
        age = 60 + 300 * number
        now.back = age
        update_id = databricks.start_elsewhere(pipeline_id)
        state = "CREATED"
        for state, after in PHASES:
            if after > age:
                break
            now.back = age - after
            databricks.set_state(pipeline_id, update_id, state)
        began = datetime.fromtimestamp(time.time() - age, UTC)
        state = databricks.updates_of(pipeline_id)[-1].state
        yield _run(pipeline_id, name, began, state=state, update_id=update_id)
    now.back = 0


def _run(
    pipeline_id: str, name: str, began: datetime, *, state: str, ended: datetime | None = None, update_id: str = ""
) -> Run:
    known = None if state == "LOST" else state
    attempt = Attempt(update_id=update_id or str(uuid.uuid4()), state=known, cause="API_CALL", created_at=began)
    return Run(
        run_id=RunId(pipeline_id, attempt.update_id),
        full_refresh=False,
        accepted_at=began,
        seen_at=ended or datetime.now(UTC),
        updated_at=ended or datetime.now(UTC),
        started_at=began,
        finished_at=ended,
        attempts=(attempt,),
        pipeline_name=name,
        error=_ENDS.get(state),
        started_by=CallerId(),
        cancelled_by=CallerId() if state == "CANCELED" else None,
    )


def _save(rig: Rig, runs: list[Run]) -> None:
    rows: list[tuple[str, Mapping[str, object]]] = []
    for run in runs:
        columns = RUN.encode(run)
        rows += [(row_keys.recent(run.run_id, run.accepted_at), columns), (row_keys.run(run.run_id), columns)]
        if not run.is_finished:
            rows.append((row_keys.active(run.run_id), encode_active(run)))
    put_rows(rig, rows)
