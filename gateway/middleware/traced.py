"""A span for each request, where traces are on; elsewhere the application is not even wrapped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from flask import Flask, Response, request
from werkzeug.wsgi import ClosingIterator

from gateway.middleware.request_log import route
from shared.telemetry import traces

_SPAN: Final = "gateway.span"
_UNTRACED: Final = ("/health/", "/metrics")
"""What a monitor reads every few seconds."""

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def register(app: Flask) -> None:
    """Let each request of the application be a span, named by its route."""
    if traces.on():
        app.wsgi_app = TracedRequests(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own way
        app.after_request(_named)


class TracedRequests:
    """WSGI middleware, the outermost: the span ends with the last piece of the answer."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle one request."""
        if environ.get("PATH_INFO", "").startswith(_UNTRACED):
            return self._application(environ, start_response)
        going_on = traces.span("request", "server", environ.get(f"HTTP_{traces.TRACEPARENT.upper()}"))
        environ[_SPAN] = going_on.__enter__()
        try:
            answer = self._application(environ, start_response)
        except BaseException:
            going_on.__exit__(*sys.exc_info())
            raise
        if isinstance(answer, list):  # all there is, and the server has a short way for it
            going_on.__exit__(None, None, None)
            return answer

        def end() -> None:
            going_on.__exit__(None, None, None)

        return ClosingIterator(answer, [end])


def _named(response: Response) -> Response:
    span: traces.Span | None = request.environ.get(_SPAN)
    where = route()
    if span is not None:
        span.name(f"{request.method} {where}" if where else request.method)
        span.note(http__request__method=request.method, http__response__status_code=response.status_code)
        if where:
            span.note(http__route=where)
        if response.status_code >= 500:
            span.fail()
    return response
