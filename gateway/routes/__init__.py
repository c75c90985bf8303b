"""Which address and method lead to which controller method: tables, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import wraps
from typing import Any, NamedTuple

from flask import Flask, request

from gateway.schemas.queries import load_parameters
from gateway.services.slots import Slots

View = Callable[..., Any]


class Route(NamedTuple):
    """What a method of an address does, and the query parameters that it knows; any other is refused."""

    method: str
    path: str
    view: View
    parameters: Collection[str] = ()


def register(app: Flask, prefix: str, routes: tuple[Route, ...], *within: Slots) -> None:
    """Add a table of routes to the application; each request holds a slot of every bound that is given."""
    for route in routes:
        name = f"{route.method} {prefix}{route.path}"
        app.add_url_rule(prefix + route.path, name, _guarded(route, within), methods=[route.method])


def _guarded(route: Route, within: tuple[Slots, ...]) -> View:
    @wraps(route.view)
    def view(**parts: Any) -> Any:
        if request.query_string:
            load_parameters(request.args.items(multi=True), route.parameters)
        with ExitStack() as held:
            for slots in within:
                held.enter_context(slots.taken())
            return route.view(**parts)

    return view
