"""Which address and method lead to which controller method: tables, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from flask import Flask

from gateway.services.principal import Scope

View = Callable[..., Any]


class Repeats(NamedTuple):
    """How a POST may be repeated under an Idempotency-Key (`gateway.middleware.idempotency`).

    Attributes
    ----------
    again : whether it is carried out again after an attempt that broke off: it comes to the same, or the view
        recognises its own work (`exchange.first_tried_at`).
    kept : whether its answer may be kept; not one with a secret, or with customers that nobody can name.
    upload : whether its body is a file of any size, which is not read beforehand.
    """

    again: bool = True
    kept: bool = True
    upload: bool = False


class Route(NamedTuple):
    """What a method of an address does.

    Attributes
    ----------
    scope : what a caller needs; None where anybody may call.
    parameters : the query parameters that it knows; any other is refused.
    repeats : what an Idempotency-Key does for a POST.
    judges_query : whether the view itself refuses query parameters, where it can say more than that one is unknown.
    """

    method: str
    path: str
    view: View
    scope: Scope | None
    parameters: Collection[str] = ()
    repeats: Repeats = Repeats()
    judges_query: bool = False


Around = Callable[[Route, View], View]
"""A guard (`gateway.middleware`)."""


def register(app: Flask, prefix: str, routes: Sequence[Route], guards: Sequence[Around]) -> None:
    """Add a table of routes to the application, within the guards: the first is asked first."""
    registered(app).extend((prefix, route) for route in routes)
    for route in routes:
        view = route.view
        for around in reversed(guards):
            view = around(route, view)
        app.add_url_rule(prefix + route.path, f"{route.method} {prefix}{route.path}", view, methods=[route.method])


def registered(app: Flask) -> list[tuple[str, Route]]:
    """Return the application's routes, each with the prefix of its address."""
    routes: list[tuple[str, Route]] = app.extensions.setdefault("gateway.routes", [])
    return routes
