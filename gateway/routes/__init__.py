"""Which address and method lead to which controller method: tables, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from flask import Flask

from gateway.services.access import Scope

View = Callable[..., Any]


class Route(NamedTuple):
    """What a method of an address does.

    Attributes
    ----------
    scope : what a caller needs; None where anybody may call.
    parameters : the query parameters that it knows; any other is refused.
    """

    method: str
    path: str
    view: View
    scope: Scope | None
    parameters: Collection[str] = ()


Around = Callable[[Route, View], View]
"""A guard (`gateway.guards`)."""


def register(app: Flask, prefix: str, routes: Sequence[Route], guards: Sequence[Around]) -> None:
    """Add a table of routes to the application, within the guards: the first is asked first."""
    for route in routes:
        view = route.view
        for around in reversed(guards):
            view = around(route, view)
        app.add_url_rule(prefix + route.path, f"{route.method} {prefix}{route.path}", view, methods=[route.method])
