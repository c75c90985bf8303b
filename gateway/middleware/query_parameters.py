"""Guards on the query string."""

from __future__ import annotations

from functools import wraps
from typing import Any, Final

from flask import request
from werkzeug.exceptions import RequestURITooLarge

from gateway.routes import Route, View
from gateway.schemas.queries import load_parameters

LONGEST_QUERY: Final = 16 * 1024
"""Bytes of a query string: some hundred customers in a filter. gunicorn takes addresses of half as much."""


def known_parameters(route: Route, view: View) -> View:
    """Refuse query parameters that the route does not know."""
    if route.judges_query:
        return view

    @wraps(view)
    def guarded(**parts: Any) -> Any:
        if query := request.query_string:
            if len(query) > LONGEST_QUERY:
                raise RequestURITooLarge(f"the query string must be no longer than {LONGEST_QUERY} bytes")
            load_parameters(request.args.items(multi=True), route.parameters)
        return view(**parts)

    return guarded
