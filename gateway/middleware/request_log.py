"""A request id on every answer and log line, and one log line per request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from flask import Flask, Request, Response, g, request

from gateway import metrics
from gateway.routes import address
from shared.problems import REQUEST_ID_HEADER, request_id
from shared.telemetry.logs import AccessLog, current_request_id

log = AccessLog("gateway.access")
_HEADER: Final = f"HTTP_{REQUEST_ID_HEADER.upper().replace('-', '_')}"


def register(app: Flask, digest: Callable[[str], str]) -> None:
    """Make the application name and log its requests.

    Parameters
    ----------
    digest : makes of a CUST_ID what stands for it in the log.
    """

    def end(response: Response) -> Response:
        # Each look through Flask's proxies costs a third of a microsecond, so it is done once.
        asked, known = _asked(), _known()
        response.headers[REQUEST_ID_HEADER] = known.request_id
        where, seconds = route(asked), time.perf_counter() - known.begun
        metrics.requests.answered(asked.method, where, response.status_code, seconds)
        _log(asked, known, where, response.status_code, seconds, digest)
        return response

    app.before_request(_begin)
    app.after_request(end)


def _asked() -> Request:
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]  # that of werkzeug's LocalProxy
    return asked


def _known() -> Any:
    return g._get_current_object()


def route(asked: Request = request) -> str | None:
    """Return the address of the request's route, with the names of its variables; None where nothing is there."""
    rule = asked.url_rule
    return _template(rule.rule) if rule else None


@lru_cache(1024)
def _template(rule: str) -> str:
    return address(rule).replace("{cust_id}", "{CUST_ID}")  # as the proxy and the metrics write it


def _begin() -> None:
    known = _known()
    known.begun = time.perf_counter()
    known.request_id = identity = request_id(_asked().environ.get(_HEADER))
    current_request_id.set(identity)


def _log(
    asked: Request, known: Any, where: str | None, status: int, seconds: float, digest: Callable[[str], str]
) -> None:
    """Write the request's line: no address as it was sent, which may name a customer, and no query string."""
    # Health is asked every few seconds; those lines would drown the others.
    level = logging.DEBUG if status < 400 and where is not None and where.startswith("/health/") else logging.INFO
    if not log.takes(level):
        return
    principal, cust_id = known.get("principal"), (asked.view_args or {}).get("cust_id")
    log.write(
        level,
        known.request_id,
        method=asked.method,
        route=where,
        status=status,
        duration_ms=round(seconds * 1000, 2),
        key=principal.id if principal else None,
        customer=digest(cust_id) if cust_id else None,
        **({"client": asked.remote_addr} if log.takes(logging.DEBUG) else {}),
    )
