"""Guards on the query string."""

from __future__ import annotations

from functools import wraps
from typing import Any

from flask import request

from gateway.routes import Route, View
from gateway.schemas.queries import load_parameters


def known_parameters(route: Route, view: View) -> View:
    """Refuse query parameters that the route does not know."""

    @wraps(view)
    def guarded(**parts: Any) -> Any:
        if request.query_string:
            load_parameters(request.args.items(multi=True), route.parameters)
        return view(**parts)

    return guarded
