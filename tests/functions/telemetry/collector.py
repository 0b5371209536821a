"""An OTLP/HTTP receiver on a loopback address: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from local.loopback import LoopbackServer
from local.messages import Reply, Request

SCOPE = "polysync"


class Collector:
    """Keeps what it receives inside its `with` block. Spans and metrics are those of the app's own scope."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []
        self._server = LoopbackServer(self._receive)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        return self._server.url

    def _receive(self, request: Request) -> Reply:
        packed = request.headers.get("content-encoding") == "gzip"
        self.received.append((request.path, gzip.decompress(request.body) if packed else request.body))
        return Reply(status=200, headers={"Content-Type": "application/x-protobuf"})

    @property
    def spans(self) -> list[Span]:
        exports = (ExportTraceServiceRequest.FromString(body) for body in self._bodies("/v1/traces"))
        scopes = (scope for export in exports for of in export.resource_spans for scope in of.scope_spans)
        return [span for scope in scopes if scope.scope.name == SCOPE for span in scope.spans]

    @property
    def metrics(self) -> list[Metric]:
        exports = (ExportMetricsServiceRequest.FromString(body) for body in self._bodies("/v1/metrics"))
        scopes = (scope for export in exports for of in export.resource_metrics for scope in of.scope_metrics)
        return [metric for scope in scopes if scope.scope.name == SCOPE for metric in scope.metrics]

    @property
    def logs(self) -> list[LogRecord]:
        exports = (ExportLogsServiceRequest.FromString(body) for body in self._bodies("/v1/logs"))
        scopes = (scope for export in exports for of in export.resource_logs for scope in of.scope_logs)
        return [record for scope in scopes for record in scope.log_records]

    def _bodies(self, path: str) -> Iterator[bytes]:
        return (body for at, body in list(self.received) if at == path)


def attributes_of(item: Span | LogRecord) -> dict[str, str | int]:
    return named(item.attributes)


def points_of(metric: Metric) -> Iterator[tuple[dict[str, str | int], float]]:
    """The attributes and the value of each data point. Of a histogram, the value is the sum."""
    for point in (*metric.sum.data_points, *metric.gauge.data_points):
        yield named(point.attributes), point.as_int or point.as_double
    for summed in metric.histogram.data_points:
        yield named(summed.attributes), summed.sum


def named(pairs: Iterable[KeyValue]) -> dict[str, str | int]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in pairs}
