"""Traces by OpenTelemetry's own SDK and exporter (extra `traces`); imported only where an endpoint is set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_PROPAGATOR = TraceContextTextMapPropagator()
_TRACEPARENT = "traceparent"
_MOST_WAITING = 1_000


class OpenTelemetrySpan:
    """`shared.telemetry.traces.Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def name(self, name: str) -> None:
        """Name it anew."""
        self._span.update_name(name)

    def note(self, **attributes: str | int) -> None:
        """Note something about it."""
        self._span.set_attributes(_dotted(attributes))

    def fail(self) -> None:
        """Note that it has failed."""
        self._span.set_status(StatusCode.ERROR)


class _WhatWasDone(SpanProcessor):
    """Passes on what has to be sent. Of a duty that looked and found nothing, as all do every second, that is nothing.

    So spans of a duty's trace wait until it has ended, `_MOST_WAITING` of them.
    """

    def __init__(self, sender: SpanProcessor) -> None:
        self._sender = sender
        self._waiting: dict[int, list[ReadableSpan]] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Begin to wait where a duty begins."""
        self._sender.on_start(span, parent_context)
        if span.parent is None and span.name.startswith("duty ") and span.context is not None:
            self._waiting[span.context.trace_id] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span back, or pass on all that have been kept of its trace."""
        assert span.context is not None
        kept = self._waiting.get(span.context.trace_id)
        if kept is not None and span.parent is not None and len(kept) < _MOST_WAITING:
            kept.append(span)
        elif kept is not None and span.parent is None:
            del self._waiting[span.context.trace_id]
            if span.attributes is None or span.attributes.get("worker.done") != 0:
                for one in (*kept, span):
                    self._sender.on_end(one)
        elif kept is None:
            self._sender.on_end(span)

    def shutdown(self) -> None:
        """Send what is left, and end."""
        self._sender.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is left."""
        return self._sender.force_flush(timeout_millis)


class OpenTelemetry:
    """`shared.telemetry.traces.Tracer`: sends spans in the background, in batches."""

    def __init__(self, service: str) -> None:
        resource = Resource.create({SERVICE_NAME: service}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(_WhatWasDone(BatchSpanProcessor(OTLPSpanExporter())))
        self._tracer = self._provider.get_tracer("customer-segmentation")

    @contextmanager
    def span(
        self, name: str, kind: str, parent: str | None, attributes: Mapping[str, Any]
    ) -> Iterator[OpenTelemetrySpan]:
        """Give a span. What is raised is noted by its type alone: its text may name a customer."""
        context = _PROPAGATOR.extract({_TRACEPARENT: parent}) if parent else None
        with self._tracer.start_as_current_span(
            name,
            context,
            _KINDS[kind],
            _dotted(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            try:
                yield OpenTelemetrySpan(made)
            except BaseException as error:
                made.set_attribute("error.type", type(error).__name__)
                made.set_status(StatusCode.ERROR)
                raise

    def trace_id(self) -> str | None:
        """Return the id of the trace that goes on here."""
        context = trace.get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid else None

    def headers(self) -> Mapping[str, str]:
        """Return the header of the current span."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier

    def flush(self) -> None:
        """Send what is left."""
        self._provider.force_flush(2_000)


def _dotted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("__", "."): value for name, value in attributes.items()}
