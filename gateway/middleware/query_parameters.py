"""Reading the query string by the route's parameters; short, because `schemas.queries` does the work."""

from __future__ import annotations

from functools import wraps
from typing import Any, Final

from flask import g, request
from werkzeug.exceptions import RequestURITooLarge

from gateway.routes import Route, View
from gateway.schemas.queries import QueryReader

LONGEST_QUERY: Final = 60 * 1024
"""Bytes of a query string: below the 65,534 of an address that granian takes. gunicorn takes addresses of 8 KiB."""


def query_parameters(route: Route, view: View) -> View:
    """Read the query string into ``g`` (see `http.query`); parameters that the route does not know are refused."""
    reader = QueryReader(route.parameters, lenient=route.lenient)

    @wraps(view)
    def guarded(**parts: Any) -> Any:
        query = request.query_string
        if len(query) > LONGEST_QUERY:
            raise RequestURITooLarge(f"The query string must be no longer than {LONGEST_QUERY} bytes.")
        g.query = reader.read(request.args.items(multi=True)) if query or reader.required else reader.defaults
        return view(**parts)

    return guarded
