"""local.host in a process where OpenTelemetry was set up before the app was loaded, as the Functions worker does it.

    python -m tests.functions.telemetry.traced_host COLLECTOR_URL [arguments of local.host]

Traces, metrics and logs are sent by OTLP/HTTP to the collector at that address.
"""

from __future__ import annotations

import logging
import sys

from opentelemetry import _logs, metrics, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from local.host.__main__ import main

EXPORT_EVERY_MILLISECONDS = 3_600_000
"""So rarely that only the app's own flush sends metrics within a test."""


def set_up(collector: str) -> None:
    """Set the three global providers, and send all log records of this process."""
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{collector}/v1/traces")))
    trace.set_tracer_provider(tracers)
    exporter = OTLPMetricExporter(f"{collector}/v1/metrics")
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=EXPORT_EVERY_MILLISECONDS)
    metrics.set_meter_provider(MeterProvider([reader]))
    loggers = LoggerProvider()
    loggers.add_log_record_processor(
        BatchLogRecordProcessor(OTLPLogExporter(f"{collector}/v1/logs"), schedule_delay_millis=200)
    )
    _logs.set_logger_provider(loggers)
    logging.getLogger().addHandler(LoggingHandler(logger_provider=loggers))


if __name__ == "__main__":
    set_up(sys.argv.pop(1))
    sys.exit(main())
