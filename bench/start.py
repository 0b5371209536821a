"""What a start costs beside its bare parts: milliseconds and round trips, side by side in one process.

    python -m bench.start [--starts 200] [--latency-ms 0]

(a) is a bare POST to the workspace. (b) is that POST between two batches with the rows that a start writes. (c) is the
app's own start, and (d) the same with an Idempotency-Key. The four take turns, and each start has its own pipeline.
Azurite and the simulated workspace have processes of their own. All pipelines are known as jobs.

Without latency, the workspace answers faster than any real one. So c/a and d/a are the worst case. Compare the ratios:
the milliseconds depend on the machine.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from azure.core import MatchConditions
from azure.data.tables import TableClient

from bench.processes import RemoteWorkspace, workspace_process
from local.azurite import Azurite
from local.rig import Rig
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.endpoints import job_endpoints
from polysync_core.rules.rows import row_keys
from polysync_core.rules.rows.run_entity import RESERVATION, RUN
from polysync_core.rules.wire import pipelines_api
from polysync_core.services import RUNS_TABLE, new_id
from polysync_core.use_cases.resolving_starts import new_run
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.run import Reservation

WARM_UP = 10
"""Starts of each kind before the measured ones. They create the table, get the token and open the connections."""
_UPDATE_ID = "00000000-0000-0000-0000-000000000000"
"""It replaces the update's id in the rows of (b), so that they are made before its time counts."""


@dataclass(frozen=True)
class Kind:
    """A way to start. `prepare` takes a pipeline id and returns the part that is measured."""

    name: str
    prepare: Callable[[str], Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.start", description="A start beside its bare parts.")
    parser.add_argument("--starts", type=int, default=200, help="of each kind")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of every answer of Databricks")
    options = parser.parse_args()
    with Azurite() as azurite, workspace_process(latency_ms=options.latency_ms) as workspace:
        os.environ.update(workspace.environ)
        # The rig wants a workspace to control. It gets one that is not served, because the real one is in its process.
        rig = Rig(azurite.connection_string, {"default": workspace.url}, SimulatedWorkspace(), Clock())
        kinds = _kinds(rig, workspace, azurite.connection_string)
        pipelines = _pipelines(rig, workspace, (options.starts + WARM_UP + 1) * len(kinds))
        _measure(kinds, pipelines, WARM_UP)
        trips = [_count_trips(kind, pipelines, azurite.port, workspace) for kind in kinds]
        seconds = _measure(kinds, pipelines, options.starts)
    print(f"{options.starts} starts of each kind, by turns; Databricks answers after {options.latency_ms:g} ms\n")
    print(f"{'':<40} median ms   p95 ms  round trips to storage  to Databricks")
    for kind, values, (storage, databricks) in zip(kinds, seconds, trips, strict=True):
        row = f"{_median(values) * 1000:>9.1f} {_p95(values) * 1000:>8.1f} {storage:>23} {databricks:>14}"
        print(f"{kind.name:<40} {row}")
    bare, batches, start, keyed = seconds
    print()
    for name, over, under in (("c/a", start, bare), ("d/a", keyed, bare), ("c/b", start, batches)):
        print(f"ratio {name:<34} {_median(over) / _median(under):>9.2f} {_p95(over) / _p95(under):>8.2f}")


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _pipelines(rig: Rig, workspace: RemoteWorkspace, count: int) -> Iterator[str]:
    """The ids of `count` new pipelines. A discovery has stored their jobs."""
    pipeline_ids = workspace.control("add_pipelines", count=count)
    job_endpoints.discover_on_schedule(rig.services)
    assert rig.ws.jobs.find_defaults(pipeline_ids[-1]).name is not None
    return iter(pipeline_ids)


def _measure(kinds: Sequence[Kind], pipelines: Iterator[str], rounds: int) -> list[list[float]]:
    """The seconds of each start, by kind. Each round begins with another kind."""
    seconds: list[list[float]] = [[] for _ in kinds]
    for number in range(rounds):
        for turn in range(len(kinds)):
            at = (number + turn) % len(kinds)
            begin = kinds[at].prepare(next(pipelines))
            began = time.perf_counter()
            begin()
            seconds[at].append(time.perf_counter() - began)
    return seconds


def _kinds(rig: Rig, workspace: RemoteWorkspace, tables: str) -> Sequence[Kind]:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {workspace.control('issue_token', seconds=86_400)}"
    table = TableClient.from_connection_string(tables, RUNS_TABLE)
    table.create_table()

    def post(pipeline_id: str) -> None:
        request = pipelines_api.start_update(pipeline_id, full_refresh=False)
        answer = session.post(workspace.url + request.path, json=request.body, timeout=20)
        answer.raise_for_status()
        assert answer.json()["update_id"]

    def with_batches(pipeline_id: str) -> Callable[[], object]:
        return _between_batches(rig, table, pipeline_id, post)

    return (
        Kind("(a) bare POST", lambda pipeline_id: lambda: post(pipeline_id)),
        Kind("(b) POST between two batches", with_batches),
        Kind("(c) start by the app", lambda pipeline_id: lambda: rig.start(pipeline_id)),
        Kind("(d) start by the app, Idempotency-Key", lambda pipeline_id: lambda: rig.start(pipeline_id, key=new_id())),
    )


def _between_batches(
    rig: Rig, table: TableClient, pipeline_id: str, post: Callable[[str], None]
) -> Callable[[], object]:
    """Make the rows of a start without a key. Returns the function that writes them around the POST."""
    name = rig.ws.jobs.find_defaults(pipeline_id).name
    reservation = Reservation(
        pipeline_id=pipeline_id, owner=new_id(), reserved_at=rig.clock.now(), full_refresh=False, pipeline_name=name
    )
    run = new_run(reservation, SeenUpdate(update_id=_UPDATE_ID, state=None), rig.ws)
    starting = {"PartitionKey": rig.partition, "RowKey": row_keys.starting(pipeline_id)}
    columns = {"PartitionKey": rig.partition, **RUN.encode(run), "writeId": new_id()}
    keys = (row_keys.active(run.run_id), row_keys.run(run.run_id), row_keys.recent(run.run_id, run.accepted_at))
    creates = [("create", {**columns, "RowKey": key}) for key in keys]
    reserves = [("create", {**starting, **RESERVATION.encode(reservation)})]

    def begin() -> None:
        [reserved] = table.submit_transaction(reserves)
        post(pipeline_id)
        unchanged = {"etag": reserved["etag"], "match_condition": MatchConditions.IfNotModified}
        table.submit_transaction([("delete", starting, unchanged), *creates])

    return begin


def _count_trips(
    kind: Kind, pipelines: Iterator[str], storage_port: int, workspace: RemoteWorkspace
) -> tuple[int, int]:
    """The requests of one start to storage and to Databricks. It is not one of the measured starts."""
    begin = kind.prepare(next(pipelines))
    with _requests_by_port() as counts:
        begin()
    return counts[storage_port], counts[urlsplit(workspace.url).port]


@contextmanager
def _requests_by_port() -> Iterator[Counter[int | None]]:
    """Count this process's requests in the block by their port, as urllib3 logs them."""
    counts: Counter[int | None] = Counter()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if isinstance(record.args, tuple) and str(record.msg).startswith("%s://"):
                counts[int(str(record.args[2]))] += 1

    handler, logger = Handler(), logging.getLogger("urllib3.connectionpool")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield counts
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


if __name__ == "__main__":
    main()
