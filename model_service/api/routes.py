"""How an address leads to an endpoint: every module of endpoints has a table, and the application adds them all."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, NamedTuple

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from model_service.api.documentation import problems
from model_service.api.errors import validation_failed
from shared.problems import FieldError

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
    """Give `app` the routes of all `tables`; those of our own API that describe no query refuse any."""
    app.router.route_class = DirectRoute
    routes = [route for table in tables for route in table]
    for path, methods in _mistakable(routes):
        app.add_api_route(path, _refuse_method, methods=methods, include_in_schema=False)
    for route in routes:
        checked = _without_query(route) if _takes_no_query(route) else route
        app.add_api_route(checked.path, checked.endpoint, methods=[checked.method], **checked.described)


def _mistakable(routes: list[Route]) -> Iterator[tuple[str, list[str]]]:
    """Yield addresses such as ``/v1/models/rollback`` with methods that would end up at ``/v1/models/{version}``."""
    for path in {route.path for route in routes if "{" not in route.path}:
        own = {route.method for route in routes if route.path == path}
        others = {route.method for route in routes if re.fullmatch(re.sub("{[^}]+}", "[^/]+", route.path), path)}
        if others - own:
            yield path, sorted(others - own)


async def _refuse_method(_request: Request) -> Response:
    raise HTTPException(405)


def _takes_no_query(route: Route) -> bool:
    parameters = route.described.get("openapi_extra", {}).get("parameters", [])
    return route.path.startswith("/v1/") and not any(parameter["in"] == "query" for parameter in parameters)


def _without_query(route: Route) -> Route:
    """Return `route` refusing parameters that it would not look at, since they may be misspelt or misplaced."""

    @functools.wraps(route.endpoint)
    async def answering(request: Request) -> Response:
        names = sorted(set(request.query_params))
        if names:
            detail = "is not a parameter of this request"
            raise validation_failed([FieldError(pointer=f"?{name}", detail=detail) for name in names])
        return await route.endpoint(request)

    responses = problems(s422="A query, which this request has not") | route.described.get("responses", {})
    return route._replace(endpoint=answering, described=route.described | {"responses": responses})


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")
