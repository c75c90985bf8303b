"""How an address leads to an endpoint: every module of endpoints has a table, and the application adds them all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, NamedTuple

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

Endpoint = Callable[[Request], Awaitable[Response]]


class Route(NamedTuple):
    """One line of a table; `described` is what the OpenAPI text says (keywords of ``FastAPI.add_api_route``)."""

    method: str
    path: str
    endpoint: Endpoint
    described: dict[str, Any]


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request and gives the answer itself.

    FastAPI's own handler resolves parameters and builds answers, neither of which is left to do here; leaving it out
    halves the cost of a prediction.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint as it is."""
        return self.endpoint


def add_routes(app: FastAPI, tables: Iterable[Iterable[Route]]) -> None:
    """Give `app` the routes of all `tables`."""
    app.router.route_class = DirectRoute
    for route in (route for table in tables for route in table):
        app.add_api_route(route.path, route.endpoint, methods=[route.method], **route.described)


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")
