"""Traces, metrics and logs, as a collector receives them from the app on local.host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from local.receiver import Receiver
from local.workspace import SimulatedWorkspace
from polysync_core.adapters import metrics
from tests.functions.app import ROOT, settings_of
from tests.functions.secrecy import QUERY_MARK, check_told
from tests.functions.telemetry.collector import Collector, attributes_of, points_of

KEY = "key-of-the-telemetry-tests"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SIGNALS = {
    metric["name"]: metric
    for metric in json.loads((ROOT / "infra/signals.json").read_text(encoding="utf-8"))["metrics"]
}
PATIENCE_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Traced:
    """What one start, its sweeps and its callback have sent, beside a start that nobody got an answer to."""

    collector: Collector
    workspace: SimulatedWorkspace
    receiver: Receiver
    run_id: str
    name: str

    def spans(self, name: str) -> list[Span]:
        return [span for span in self.collector.spans if span.name == name]


@contextmanager
def _host(collector: Collector, environ: dict[str, str], log: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "tests.functions.telemetry.traced_host",
        collector.url,
        "--port=0",
        "--enable-auth",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environ}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_until(lambda: "Listening on " in log.read_text() or process.poll() is not None, log.read_text)
        yield re.findall(r"Listening on (\S+)", log.read_text())[0]
    finally:
        process.terminate()
        process.wait(20)


def _wait_until(holds: Callable[[], object], otherwise: Callable[[], object]) -> None:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < ends_at, otherwise()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def traced(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    name = f"traced-{os.urandom(4).hex()}"
    with Collector() as collector, Receiver() as receiver, SimulatedWorkspace() as workspace:
        environ = settings_of(azurite, name, workspace) | {
            "POLYSYNC_LOCAL_KEY": KEY,
            "POLYSYNC_CALLBACK_HOSTS": receiver.host,
            "POLYSYNC_SWEEP_SCHEDULE": "* * * * * *",
            "POLYSYNC_CALLBACK_SCHEDULE": "* * * * * *",
            "NO_PROXY": "*",
        }
        log = tmp_path_factory.mktemp("traced") / "host.log"
        with _host(collector, environ, log) as url, requests.Session() as session:
            session.headers["x-functions-key"] = KEY
            pipeline_id, unclear = workspace.add_pipelines(2)
            started = session.post(
                f"{url}/api/pipelines/{pipeline_id}/updates?code={QUERY_MARK}",
                json={"callbackUrl": receiver.url(f"/hook?code={QUERY_MARK}")},
                headers={
                    "traceparent": f"00-{TRACE}-{CALLER}-01",
                    "tracestate": "vendor=long",
                    "Idempotency-Key": "orders/1",
                },
                timeout=30,
            )
            assert started.status_code == 202, started.text
            workspace.add_fault("status", method="GET", route="/pipelines/{id}/updates/{uid}", status=429, times=1)
            _wait_until(lambda: any(call.status == 429 for call in workspace.calls()), log.read_text)
            workspace.set_state(pipeline_id, None, "COMPLETED")
            _wait_until(lambda: receiver.deliveries, log.read_text)
            workspace.add_fault("reset", method="POST", route="/pipelines/{id}/updates", when="before")
            unknown = session.post(f"{url}/api/pipelines/{unclear}/updates", json={}, timeout=50)
            assert unknown.status_code == 504, unknown.text
            _wait_until(lambda: {*SIGNALS} <= {metric.name for metric in collector.metrics}, log.read_text)
            _wait_until(lambda: any(span.name == "callback" for span in collector.spans), log.read_text)
            yield Traced(
                collector=collector,
                workspace=workspace,
                receiver=receiver,
                run_id=started.json()["runId"],
                name=name,
            )


# --- traces


def test_a_start_is_a_span_of_the_callers_trace_and_names_its_run(traced: Traced) -> None:
    start = next(span for span in traced.spans("start_update") if span.trace_id.hex() == TRACE)
    assert start.parent_span_id.hex() == CALLER
    told = attributes_of(start)
    invocation_id = told.pop("faas.invocation_id")
    assert re.fullmatch(r"[0-9a-f-]{36}", str(invocation_id))
    pipeline_id = traced.run_id.partition(":")[0]
    assert told == {
        "http.request.method": "POST",
        "http.response.status_code": 202,
        "polysync.idempotency_key": "orders/1",
        "polysync.pipeline_id": pipeline_id,
        "polysync.run_id": traced.run_id,
        "polysync.workspace": traced.name,
    }


def test_databricks_gets_the_callers_trace(traced: Traced) -> None:
    (start,) = (span for span in traced.spans("start_update") if span.trace_id.hex() == TRACE)
    (post,) = (span for span in traced.spans("POST /pipelines/{pipeline_id}/updates") if span.trace_id.hex() == TRACE)
    assert post.parent_span_id == start.span_id
    assert post.kind == Span.SPAN_KIND_CLIENT
    assert attributes_of(post) == {
        "polysync.workspace": traced.name,
        "polysync.pipeline_id": traced.run_id.partition(":")[0],
        "http.response.status_code": 200,
    }
    sent = [call.traceparent for call in traced.workspace.calls("POST", "/pipelines/{id}/updates")]
    assert sent[0] == f"00-{TRACE}-{post.span_id.hex()}-01"


def test_the_threads_of_a_sweep_go_on_in_its_trace(traced: Traced) -> None:
    by_id = {span.span_id: span for span in traced.collector.spans}
    looks = traced.spans("GET /pipelines/{pipeline_id}/updates/{update_id}")
    for look in looks:
        workspace = by_id[look.parent_span_id]
        sweep = by_id[workspace.parent_span_id]
        assert [workspace.name, sweep.name] == ["sweep", "sweep_runs"]
        assert look.trace_id == workspace.trace_id == sweep.trace_id
    refused = next(look for look in looks if attributes_of(look)["http.response.status_code"] == 429)
    assert attributes_of(refused)["error.type"] == "429"
    assert attributes_of(refused)["polysync.update_id"] == traced.run_id.partition(":")[2]


def test_a_receiver_of_a_callback_gets_no_trace(traced: Traced) -> None:
    (delivery,) = traced.receiver.deliveries
    assert not {"traceparent", "tracestate", "baggage"} & delivery.headers.keys()
    (callback,) = traced.spans("callback")
    assert attributes_of(callback) == {
        "polysync.workspace": traced.name,
        "polysync.run_id": traced.run_id,
        "server.address": traced.receiver.host,
        "http.response.status_code": 200,
    }


def test_an_unknown_outcome_marks_the_start_as_failed(traced: Traced) -> None:
    failed = [span for span in traced.spans("start_update") if span.status.code == span.status.STATUS_CODE_ERROR]
    assert [attributes_of(span)["error.type"] for span in failed] == ["StartUnknown"]


# --- metrics


def test_each_metric_is_sent_with_its_kind_its_unit_and_its_attributes(traced: Traced) -> None:
    assert {metric.name for metric in metrics.ALL} == SIGNALS.keys()
    seen = set()
    for metric in traced.collector.metrics:
        signal = SIGNALS[metric.name]
        seen.add(metric.name)
        kind = {"sum": "counter", "gauge": "gauge", "histogram": "histogram"}[str(metric.WhichOneof("data"))]
        assert (kind, metric.unit) == (signal["kind"], signal["unit"]), metric.name
        for attributes, _ in points_of(metric):
            assert attributes.keys() == signal["attributes"].keys(), metric.name
            assert attributes["workspace"] == traced.name
            for name, allowed in signal["attributes"].items():
                assert isinstance(allowed, str) or attributes[name] in allowed, metric.name
    assert seen == SIGNALS.keys()


def test_the_counters_count(traced: Traced) -> None:
    newest = {}
    for metric in traced.collector.metrics:
        for attributes, value in points_of(metric):
            newest[metric.name, *(str(attributes[name]) for name in sorted(attributes))] = value
    get = "GET /pipelines/{pipeline_id}/updates/{update_id}"
    assert newest["polysync.runs", "Success", traced.name] == 1
    assert newest["polysync.databricks.throttled", get, traced.name] == 1
    assert newest["polysync.databricks.calls", get, "429", traced.name] == 1
    post = "POST /pipelines/{pipeline_id}/updates"
    assert newest["polysync.databricks.calls", post, "200", traced.name] == 1
    assert newest["polysync.databricks.calls", post, "none", traced.name] == 1
    assert newest["polysync.starts.ambiguous", "databricks", traced.name] == 1
    assert newest["polysync.sweep.unseen", traced.name] >= 1, "the run that was refused with 429"


# --- logs and secrets


def test_a_log_line_of_a_thread_of_the_sweep_carries_trace_and_invocation(traced: Traced) -> None:
    by_id = {span.span_id: span for span in traced.collector.spans}
    _wait_until(lambda: any(record.body.string_value.startswith("run ") for record in traced.collector.logs), dict)
    record = next(record for record in traced.collector.logs if record.body.string_value.startswith("run "))
    sweep = by_id[record.span_id]
    assert (sweep.trace_id, sweep.name) == (record.trace_id, "sweep")
    root = by_id[sweep.parent_span_id]
    assert attributes_of(record)["faas.invocation_id"] == attributes_of(root)["faas.invocation_id"]


def test_nothing_that_is_sent_holds_a_secret(traced: Traced) -> None:
    assert len(traced.collector.received) > 5
    for _, body in traced.collector.received:
        text = body.decode("latin-1")
        assert KEY not in text
        check_told(re.sub(r"code\.file\.path.{0,200}?\.py", "", text, flags=re.DOTALL))
