"""Exports of customers as files."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from flask import Response, g, request
from werkzeug.exceptions import NotAcceptable

from gateway.controllers.http import preferred, query
from gateway.files.writer import KINDS
from gateway.schemas.customer_queries import filters_of
from gateway.services.clock import now
from gateway.services.customers.exports import ExportService
from gateway.services.customers.query import MEMBERS

log = logging.getLogger(__name__)

BROKEN_OFF = b'"this file is not complete: the export broke off here'
"""Ends a file that broke off. Whoever reads it as CSV, NDJSON or Parquet fails on it: the quote is never closed.

The connection breaks as well where the server can break it. granian (2.8) cannot: to a client the answer then looks
whole, as it does through HTTP/1.0 with any server. Worse, it may drop this last piece of an answer that then fails, so
that under granian the answer must end as if all were well.
"""

_GRANIAN = "Granian"


class ExportController:
    """Files of stored customers, written while they are read."""

    def __init__(self, exports: ExportService) -> None:
        self._exports = exports

    def customers(self) -> Response:
        """GET /exports/customers."""
        values = query()
        name = values.get("format") or _preferred()
        filters, members = filters_of(values), values.get("fields") or MEMBERS
        headers = {
            "Content-Disposition": f'attachment; filename="customers-{now():%Y-%m-%d}.{name}"',
            "Vary": "Accept",
        }
        kind = KINDS[name]
        if request.method == "HEAD":
            return Response(iter(()), headers=headers, mimetype=kind.media_type)  # as GET, it tells no length
        columns = kind.columns(members)
        pieces = kind.write(self._exports.customers(filters, kind.paths(columns)), columns)
        return Response(whole_or_marked(pieces, "export"), headers=headers, mimetype=kind.media_type)


def _preferred() -> str:
    """Return the kind of file that the Accept header likes best."""
    kinds = {kind.media_type: name for name, kind in KINDS.items()}
    best = preferred([*kinds])
    if best is None:
        raise NotAcceptable(f"Exports are available as {', '.join(kinds)}.")
    return kinds[best]


def whole_or_marked(pieces: Iterator[bytes], what: str) -> Iterator[bytes]:
    """Return the pieces of a file; if it breaks off, it ends with `BROKEN_OFF`."""
    request_id, breaks = g.request_id, request.environ.get("SERVER_SOFTWARE") != _GRANIAN

    def yielded() -> Iterator[bytes]:
        try:
            yield from pieces
        except Exception as error:
            log.error("the %s of request %s broke off: %s", what, request_id, error)
            yield BROKEN_OFF
            if breaks:  # the server breaks the connection when an answer fails midway
                raise

    return yielded()
