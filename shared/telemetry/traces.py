"""Traces by OpenTelemetry where OTEL_EXPORTER_OTLP_ENDPOINT is set; elsewhere nothing of it is imported or done.

Spans are named by routes and operations. None has an address as it was sent, a CUST_ID, a value of a customer, a
statement of the database or the text of an exception. That is why they are made by hand, at the few places where
durations are known anyway, and not by OpenTelemetry's instrumentation of Flask, FastAPI and PyMongo, which notes
addresses.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Literal, Protocol

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables that turn traces on; OpenTelemetry itself reads all others that begin with OTEL_."""

TRACEPARENT: Final = "traceparent"
"""The header that carries a trace to the next process (W3C Trace Context)."""

DONE: Final = "worker__done"
"""What a duty of the worker notes: how many things it has done. A trace of none is not sent."""

Kind = Literal["server", "client", "internal"]


class Span(Protocol):
    """A piece of work in a trace."""

    def name(self, name: str) -> None:
        """Name it anew, once it is known what it is."""

    def note(self, **attributes: str | int) -> None:
        """Note something about it; two underscores stand for a dot."""

    def fail(self) -> None:
        """Note that it has failed."""


class Tracer(Protocol):
    """Makes spans and sends them to the endpoint."""

    def span(self, name: str, kind: Kind, parent: str | None, attributes: Mapping[str, Any]) -> Any:
        """Return a context manager that gives a `Span`."""

    def trace_id(self) -> str | None:
        """Return the id of the trace that goes on here."""

    def headers(self) -> Mapping[str, str]:
        """Return what a request must carry to belong to the trace."""

    def flush(self) -> None:
        """Send what is left."""


class _NoSpan:
    """Where traces are off."""

    def name(self, name: str) -> None:
        """Do nothing."""

    def note(self, **attributes: str | int) -> None:
        """Do nothing."""

    def fail(self) -> None:
        """Do nothing."""


_NO_SPAN: Final = nullcontext(_NoSpan())
_tracer: Tracer | None = None


def begin(service: str) -> None:
    """Turn traces on in this process, if an endpoint is set; `service` names it unless OTEL_SERVICE_NAME does."""
    global _tracer
    if _tracer is None and any(os.environ.get(name) for name in ENDPOINTS):
        from shared.telemetry.open_telemetry import OpenTelemetry

        _tracer = OpenTelemetry(service)


def on() -> bool:
    """Whether traces are on."""
    return _tracer is not None


def span(name: str, kind: Kind, parent: str | None = None, **attributes: str | int) -> AbstractContextManager[Span]:
    """Give a span for what is done in the block.

    Parameters
    ----------
    parent : the header `TRACEPARENT` of the request that brings it about.
    attributes : two underscores stand for a dot.
    """
    if _tracer is None:
        return _NO_SPAN
    made: AbstractContextManager[Span] = _tracer.span(name, kind, parent, attributes)
    return made


def current_trace_id() -> str | None:
    """Return the id of the trace that goes on here, or None."""
    return None if _tracer is None else _tracer.trace_id()


def headers() -> Mapping[str, str]:
    """Return the headers that carry the trace on to another process."""
    return {} if _tracer is None else _tracer.headers()


def flush() -> None:
    """Send what has not been sent; for processes that may end without notice."""
    if _tracer is not None:
        _tracer.flush()
