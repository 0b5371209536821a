"""Telemetry that fails: the app goes on, and what can be sent is sent.

OpenTelemetry's providers are global to a process, so each test sets them up in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SET_UP = """
import json, logging, sys, time
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricExportResult
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from polysync_core.adapters import metrics as ours, telemetry
from polysync_core.values.invocation import Invocation

spans = InMemorySpanExporter()

def trace_with(*processors):
    provider = TracerProvider()
    for processor in processors:
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)

def measure_with(export):
    class Exporter(MetricExporter):
        def export(self, data, timeout_millis=10_000, **_):
            return export()
        def force_flush(self, timeout_millis=10_000):
            return True
        def shutdown(self, timeout_millis=30_000, **_):
            pass
    reader = PeriodicExportingMetricReader(Exporter(), export_interval_millis=3_600_000)
    metrics.set_meter_provider(MeterProvider([reader]))

def fail(*_, **__):
    raise OSError("the exporter is broken")
"""
FLUSH = """
with telemetry.span("work", {}):
    ours.note_unknown_start("w", "databricks")
began = time.monotonic()
telemetry.flush()
seconds = time.monotonic() - began
again = time.monotonic()
telemetry.flush()
print(json.dumps([[span.name for span in spans.get_finished_spans()], seconds, time.monotonic() - again]), flush=True)
import os; os._exit(0)
"""


def _in_a_process(code: str) -> tuple[Any, str]:
    """The JSON that the code prints after SET_UP, and what it writes to standard error."""
    ran = subprocess.run(
        [sys.executable, "-c", SET_UP + code], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )
    return json.loads(ran.stdout), ran.stderr


def test_a_span_processor_that_fails_changes_no_answer_and_is_logged_once() -> None:
    code = """
class Broken(SpanProcessor):
    on_start = on_end = fail
trace_with(Broken())
logging.basicConfig(format="%(name)s %(message)s")
from polysync_core.endpoints import app_endpoints
from polysync_core.endpoints.answering import answer
from polysync_core.rules.wire.http_contract import Call
call = Call(method="GET", url="http://127.0.0.1/api/alive")
replies = [answer(call, app_endpoints.alive, app_endpoints.alive_with_bad_settings) for _ in range(2)]
seen = []
try:
    with telemetry.client_span("call", {}, {}):
        raise KeyError("the app's own error")
except KeyError:
    seen.append("KeyError")
with telemetry.client_span("call", {}) as span:
    span.note({"a": 1})
    seen.append("body")
print(json.dumps([[reply.status for reply in replies], seen]))
"""
    told, log = _in_a_process(code)
    assert told == [[200, 200], ["KeyError", "body"]]
    assert log.count("telemetry fails with OSError") == 1


def test_an_instrument_that_fails_changes_nothing() -> None:
    code = """
class Broken:
    add = set = record = fail
class Meters(metrics.NoOpMeterProvider):
    def get_meter(self, *_, **__):
        class Meter(metrics.NoOpMeter):
            create_counter = lambda *_, **__: Broken()
        return Meter("broken")
metrics.set_meter_provider(Meters())
ours.note_unknown_start("w", "storage")
print(json.dumps("went on"))
"""
    assert _in_a_process(code)[0] == "went on"


def test_metrics_that_cannot_be_sent_hold_up_no_trace() -> None:
    told, log = _in_a_process("trace_with(BatchSpanProcessor(spans))\nmeasure_with(fail)" + FLUSH)
    assert told[0] == ["work"]
    assert "Traceback (most recent call last):\n  File" not in log.partition("Exception in thread")[2]


def test_an_exporter_that_hangs_costs_three_seconds_once() -> None:
    names, seconds, again = _in_a_process(
        "trace_with(BatchSpanProcessor(spans))\nmeasure_with(lambda: time.sleep(30))" + FLUSH
    )[0]
    assert names == ["work"]
    assert 2.5 < seconds < 8
    assert again < 2


def test_another_service_gets_the_trace_without_the_callers_tracestate() -> None:
    code = """
trace_with(BatchSpanProcessor(spans))
headers = {}
traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
with telemetry.invocation("start_update", Invocation(traceparent=traceparent, tracestate="a=" + "x" * 200), {}):
    with telemetry.client_span("call", {}, headers):
        pass
print(json.dumps([*headers, headers["traceparent"][:35]]))
"""
    assert _in_a_process(code)[0] == ["traceparent", "00-0af7651916cd43dd8448eb211c80319c"]
