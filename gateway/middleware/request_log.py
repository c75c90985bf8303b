"""A request id on every answer and log line, and one log line per request."""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from flask import Flask, Response, g, has_request_context, request

from shared.problems import REQUEST_ID_HEADER, request_id

log = logging.getLogger("gateway.access")


def current_request_id() -> str | None:
    """Return the id of the request being served, or None outside of one."""
    return g.get("request_id") if has_request_context() else None


def register(app: Flask) -> None:
    """Make the application name and log its requests."""
    app.before_request(_begin)
    app.after_request(_end)


def configure(level: str) -> None:
    """Log to standard error, each line with the time, the level and the request id."""
    handler = logging.StreamHandler()
    handler.addFilter(_add_request_id)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # No line names its source or thread: not looking for them halves the cost of a line (Python's logging
    # HOWTO, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logMultiprocessing = False  # not logProcesses: gunicorn prints the pid


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = current_request_id() or "-"
    return True


def _begin() -> None:
    g.begun = time.perf_counter()
    g.request_id = request_id(request.headers.get(REQUEST_ID_HEADER))


def _end(response: Response) -> Response:
    response.headers[REQUEST_ID_HEADER] = g.request_id
    took = (time.perf_counter() - g.begun) * 1000
    # Health is asked every few seconds; those lines would drown the others.
    level = logging.DEBUG if request.path.startswith("/health/") and response.status_code < 400 else logging.INFO
    # Quoted, so that a line break in the address cannot forge a log line.
    log.log(level, "%s %s %d %.1f ms", request.method, quote(request.path), response.status_code, took)
    return response
