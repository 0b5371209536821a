"""Traces, by the API of OpenTelemetry. Where nobody has set it up, nothing happens and nothing is imported.

The Functions worker sets it up before it loads the app, if PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY is true. Source:
azure-functions-runtime 1.3.0, handle_event.py, worker_init_request. Attributes hold no token, key, query or body.

A fault of OpenTelemetry is never a fault of the app: it is logged once and passed over.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from polysync_core.values.invocation import Invocation

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as ApiSpan

SCOPE = "polysync"
"""The name under which the app's spans and metrics are reported."""
Attributes = Mapping[str, str | int | None]
"""Names and values of a span's attributes. None leaves an attribute out."""
_FLUSH_SECONDS = 3.0
_INVOCATION_ID = "faas.invocation_id"
"""https://opentelemetry.io/docs/specs/semconv/registry/attributes/faas/"""
_log = logging.getLogger("polysync.telemetry")
_invocation_id: ContextVar[str] = ContextVar("polysync_invocation_id", default="")
_lock = threading.Lock()
_flushing: set[str] = set()
_troubles: set[str] = set()


def is_on() -> bool:
    """Whether somebody has loaded OpenTelemetry in this process."""
    return "opentelemetry.sdk" in sys.modules


@contextmanager
def guarded() -> Iterator[None]:
    """Pass over what OpenTelemetry raises inside the block. Each kind of error is logged once in a process."""
    try:
        yield
    except Exception as error:
        kind = type(error).__name__
        if kind not in _troubles:
            _troubles.add(kind)
            _log.warning("telemetry fails with %s and loses data", kind, extra={"action": "telemetry"})


class Span:
    """A span, or nothing where telemetry is off or failed."""

    def __init__(self, span: ApiSpan | None) -> None:
        self._span = span

    def note(self, attributes: Attributes) -> None:
        if self._span is not None:
            with guarded():
                self._span.set_attributes(_given(attributes))

    def fail(self, error: str) -> None:
        """Mark the span as failed. `error` is a code or the name of a class, never a message."""
        if self._span is not None:
            with guarded():
                from opentelemetry.trace import StatusCode

                self._span.set_status(StatusCode.ERROR)
                self._span.set_attribute("error.type", error)

    def end(self) -> None:
        if self._span is not None:
            with guarded():
                self._span.end()


@contextmanager
def invocation(name: str, of: Invocation, attributes: Attributes) -> Iterator[Span]:
    """The span of one invocation of a function. It belongs to the host's trace. Log lines get the invocation's id."""
    if not is_on():
        yield Span(None)
        return
    _name_invocations_in_logs()
    token = _invocation_id.set(of.id)
    try:
        with _started(name, "INTERNAL", {_INVOCATION_ID: of.id or None, **attributes}, _trace_of(of)) as span:
            yield span
    finally:
        _invocation_id.reset(token)


@contextmanager
def span(name: str, attributes: Attributes) -> Iterator[Span]:
    """A span of the app's own work, inside the current one."""
    if not is_on():
        yield Span(None)
        return
    with _started(name, "INTERNAL", attributes) as started:
        yield started


@contextmanager
def client_span(name: str, attributes: Attributes, headers: MutableMapping[str, str] | None = None) -> Iterator[Span]:
    """The span of a call to another service. `headers`, if given, get the trace, so that the other can continue it.

    The caller's `tracestate` is not passed on: it may be long, and the other service might refuse the call for that.
    """
    if not is_on():
        yield Span(None)
        return
    with _started(name, "CLIENT", attributes) as started:
        if headers is not None:
            with guarded():
                from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

                TraceContextTextMapPropagator().inject(headers)
                headers.pop("tracestate", None)
        yield started


def _trace_of(of: Invocation) -> Context | None:
    """The context of the host's trace. A new trace begins where there is none."""
    with guarded():
        from opentelemetry.context import Context as NewContext
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {"traceparent": of.traceparent, "tracestate": of.tracestate}
        return TraceContextTextMapPropagator().extract(carrier, context=NewContext())
    return None


@contextmanager
def _started(name: str, kind: str, attributes: Attributes, parent: Context | None = None) -> Iterator[Span]:
    """Start a span. An exception that leaves the block marks it by the name of its class: its text may hold secrets."""
    span, token = Span(None), None
    with guarded():
        from opentelemetry import context, trace

        kinds = trace.SpanKind
        started = trace.get_tracer(SCOPE).start_span(
            name, context=parent, kind=kinds[kind], attributes=_given(attributes)
        )
        span = Span(started)
        token = context.attach(trace.set_span_in_context(started, parent))
    try:
        yield span
    except Exception as error:
        span.fail(type(error).__name__)
        raise
    finally:
        _detach(token)
        span.end()


def _detach(token: Token[Context] | None) -> None:
    if token is not None:
        with guarded():
            from opentelemetry import context

            context.detach(token)


def _given(attributes: Attributes) -> dict[str, str | int]:
    return {name: value for name, value in attributes.items() if value is not None}


def flush() -> None:
    """Send what was collected, and wait up to 3 s. The platform may end the process right after a timer.

    Traces, logs and metrics are sent side by side, so that none holds up another. What still sends after an earlier
    flush is left alone. Source: https://github.com/Azure/azure-functions-host/issues/11943.
    """
    if not is_on():
        return
    ends_at = time.monotonic() + _FLUSH_SECONDS
    senders = [_start_to_flush(name) for name in ("traces", "logs", "metrics")]
    for sender in senders:
        if sender is not None:
            sender.join(max(0.0, ends_at - time.monotonic()))


def _start_to_flush(name: str) -> threading.Thread | None:
    with _lock:
        if name in _flushing:
            return None
        _flushing.add(name)
    sender = threading.Thread(target=_flush, args=(name,), name=f"flush of {name}", daemon=True)
    try:
        sender.start()
    except RuntimeError:  # the process has no thread left
        _flushing.discard(name)
        return None
    return sender


def _flush(name: str) -> None:
    """A provider of the API alone has nothing to flush."""
    try:
        with guarded():
            from opentelemetry import _logs, metrics, trace

            providers: dict[str, Callable[[], Any]] = {
                "traces": trace.get_tracer_provider,
                "logs": _logs.get_logger_provider,
                "metrics": metrics.get_meter_provider,
            }
            provider = providers[name]()
            if hasattr(provider, "force_flush"):
                provider.force_flush()
    finally:
        _flushing.discard(name)


def _name_invocations_in_logs() -> None:
    """Give each log record of an invocation its id. OpenTelemetry's handler sends it as an attribute."""
    make = logging.getLogRecordFactory()
    if getattr(make, "names_invocations", False):
        return

    def make_with_id(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if invocation_id := _invocation_id.get():
            setattr(record, _INVOCATION_ID, invocation_id)
        return record

    make_with_id.names_invocations = True  # type: ignore[attr-defined]
    with _lock:
        if not getattr(logging.getLogRecordFactory(), "names_invocations", False):
            logging.setLogRecordFactory(make_with_id)
