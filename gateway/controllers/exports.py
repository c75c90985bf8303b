"""Exports of customers as files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from flask import Response, g, request
from werkzeug.exceptions import NotAcceptable

from gateway.controllers.http import preferred, query
from gateway.files.writer import KINDS, csv_for_people, flat_paths
from gateway.schemas.customer_queries import columns_for_people, filters_of
from gateway.services.clock import now
from gateway.services.customers.exports import ExportService
from gateway.services.customers.query import MEMBERS, Filters

log = logging.getLogger(__name__)

BROKEN_OFF = b'"this file is not complete: the export broke off here'
"""Ends a file that broke off. Whoever reads it as CSV, NDJSON or Parquet fails on it: the quote is never closed.

The connection breaks as well where the server can break it. granian (2.8) cannot: to a client the answer then looks
whole, as it does through HTTP/1.0 with any server. Worse, it may drop this last piece of an answer that then fails, so
that under granian the answer must end as if all were well.
"""

_GRANIAN = "Granian"


class ExportController:
    """Files of stored customers, written while they are read.

    Parameters
    ----------
    names : returns what segments are called, by id; nothing where that is not known.
    """

    def __init__(self, exports: ExportService, names: Callable[[], Mapping[str, str]]) -> None:
        self._exports = exports
        self._names = names

    def customers(self) -> Response:
        """GET /exports/customers."""
        values = query()
        shown, filters = columns_for_people(values), filters_of(values)
        name = "csv" if shown else values.get("format") or _preferred()
        stem = "customers-as-shown" if shown else "customers"
        headers = {
            "Content-Disposition": f'attachment; filename="{stem}-{now():%Y-%m-%d}.{name}"',
            "Vary": "Accept",
        }
        kind = KINDS[name]
        if request.method == "HEAD":
            return Response(iter(()), headers=headers, mimetype=kind.media_type)  # as GET, it tells no length
        if shown:
            pieces = self._for_people(filters, shown)
        else:
            columns = kind.columns(values.get("fields") or MEMBERS)
            pieces = kind.write(self._exports.customers(filters, kind.paths(columns)), columns)
        return Response(whole_or_marked(pieces, "export"), headers=headers, mimetype=kind.media_type)

    def _for_people(self, filters: Filters, columns: Sequence[str]) -> Iterator[bytes]:
        return csv_for_people(self._exports.customers(filters, flat_paths(columns)), columns, self._names())


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
