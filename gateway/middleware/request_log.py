"""A request id on every answer and log line, and one log line per request."""

from __future__ import annotations

import logging
import sys
import time
from typing import Final
from urllib.parse import quote

from flask import Flask, Response, g, has_request_context, request

from shared.log_time import log_time
from shared.problems import REQUEST_ID_HEADER, request_id

log = logging.getLogger("gateway.access")
_HEADER: Final = f"HTTP_{REQUEST_ID_HEADER.upper().replace('-', '_')}"


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
    g.request_id = request_id(request.environ.get(_HEADER))


def _end(response: Response) -> Response:
    identity = g.request_id
    response.headers[REQUEST_ID_HEADER] = identity
    # Health is asked every few seconds; those lines would drown the others.
    level = logging.DEBUG if request.path.startswith("/health/") and response.status_code < 400 else logging.INFO
    if log.isEnabledFor(level):
        took = (time.perf_counter() - g.begun) * 1000
        begin = f"{log_time()} {logging.getLevelName(level)} [{identity}] {log.name}:"  # as all lines do
        # Quoted, so that a line break in the address cannot forge a line of the log.
        sys.stderr.write(f"{begin} {request.method} {quote(request.path)} {response.status_code} {took:.1f} ms\n")
    return response
