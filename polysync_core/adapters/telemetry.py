"""Traces, by the API of OpenTelemetry. Where nobody has set it up, nothing happens and nothing is imported.

The Functions worker sets it up before it loads the app, if PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY is true. Source:
azure-functions-runtime 1.3.0, handle_event.py, worker_init_request. Attributes hold no token, key, query or body.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from polysync_core.values.invocation import Invocation

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as ApiSpan
    from opentelemetry.trace import SpanKind

SCOPE = "polysync"
"""The name under which the app's spans and metrics are reported."""
Attributes = Mapping[str, str | int | None]
"""Names and values of a span's attributes. None leaves an attribute out."""
_FLUSH_SECONDS = 3.0
_flushing = threading.Lock()
_invocation_id: ContextVar[str] = ContextVar("polysync_invocation_id", default="")


def is_on() -> bool:
    """Whether somebody has loaded OpenTelemetry in this process."""
    return "opentelemetry.sdk" in sys.modules


class Span:
    """A span, or nothing where telemetry is off."""

    def __init__(self, span: ApiSpan | None) -> None:
        self._span = span

    def note(self, attributes: Attributes) -> None:
        if self._span is not None:
            self._span.set_attributes(_given(attributes))

    def fail(self, error: str) -> None:
        """Mark the span as failed. `error` is a code or the name of a class, never a message."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute("error.type", error)


@contextmanager
def invocation(name: str, of: Invocation, attributes: Attributes) -> Iterator[Span]:
    """The span of one invocation of a function. It belongs to the host's trace. Log lines get the invocation's id."""
    if not is_on():
        yield Span(None)
        return
    from opentelemetry.context import Context as NewContext
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    _name_invocations_in_logs()
    carrier = {"traceparent": of.traceparent, "tracestate": of.tracestate}
    parent = TraceContextTextMapPropagator().extract(carrier, context=NewContext())
    token = _invocation_id.set(of.id)
    try:
        with _started(name, "INTERNAL", parent, {"faas.invocation_id": of.id or None, **attributes}) as span:
            yield span
    finally:
        _invocation_id.reset(token)


@contextmanager
def span(name: str, attributes: Attributes) -> Iterator[Span]:
    """A span of the app's own work, inside the current one."""
    if not is_on():
        yield Span(None)
        return
    with _started(name, "INTERNAL", None, attributes) as started:
        yield started


@contextmanager
def client_span(name: str, attributes: Attributes, headers: MutableMapping[str, str] | None = None) -> Iterator[Span]:
    """The span of a call to another service. `headers`, if given, get the trace, so that the other can continue it."""
    if not is_on():
        yield Span(None)
        return
    with _started(name, "CLIENT", None, attributes) as started:
        if headers is not None:
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            TraceContextTextMapPropagator().inject(headers)
        yield started


@contextmanager
def _started(name: str, kind: str, parent: Context | None, attributes: Attributes) -> Iterator[Span]:
    """Start a span. An exception that leaves the block marks it by the name of its class: its text may hold secrets."""
    from opentelemetry import trace

    kinds: type[SpanKind] = trace.SpanKind
    with trace.get_tracer(SCOPE).start_as_current_span(
        name,
        context=parent,
        kind=kinds[kind],
        attributes=_given(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as started:
        span = Span(started)
        try:
            yield span
        except Exception as error:
            span.fail(type(error).__name__)
            raise


def _given(attributes: Attributes) -> dict[str, str | int]:
    return {name: value for name, value in attributes.items() if value is not None}


def flush() -> None:
    """Send what was collected, and wait up to 3 s. The platform may end the process right after a timer.

    Source: https://github.com/Azure/azure-functions-host/issues/11943.
    """
    if not is_on() or not _flushing.acquire(blocking=False):
        return
    sending = threading.Thread(target=_flush, daemon=True)
    sending.start()
    sending.join(_FLUSH_SECONDS)


def _flush() -> None:
    """A provider of the API alone has nothing to flush."""
    from opentelemetry import metrics, trace

    try:
        for provider in (metrics.get_meter_provider(), trace.get_tracer_provider()):
            if hasattr(provider, "force_flush"):
                provider.force_flush()
    finally:
        _flushing.release()


def _name_invocations_in_logs() -> None:
    """Give each log record of an invocation its `invocation_id`. OpenTelemetry's handler sends it as an attribute."""
    make = logging.getLogRecordFactory()
    if getattr(make, "names_invocations", False):
        return

    def make_with_id(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        invocation_id = _invocation_id.get()
        if invocation_id:
            record.invocation_id = invocation_id
        return record

    make_with_id.names_invocations = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_with_id)
