"""Which address and method lead to which controller method: one table a resource.

A row says all there is to say about a route: who may call it (`scope`), which query parameters it takes, what kind of
work it is (`gateway.middleware` chooses what surrounds it by that), how it may be repeated, and what it means to a
caller (`operation`, from which `gateway.openapi` makes the document).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from flask import Flask
from werkzeug.routing import BaseConverter

from gateway.routes.operation import Operation
from gateway.schemas.queries import VERSION_OR_ACTIVE, Parameter
from gateway.services.principal import Scope

View = Callable[..., Any]
API: Final = "/api/v1"


class Work(StrEnum):
    """What kind of work a route is: each kind has bounds of its own."""

    LIVENESS = "liveness"
    """Answers at once, from memory, whatever else goes on: the one kind without a bound."""
    PAGE = "page"
    """Sends what is the same for everybody."""
    QUICK = "quick"
    """Reads and writes single documents of the database, with a segment that may come later."""
    MANY = "many"
    """Reads or writes many documents at once: lists, counts, batches."""
    MODEL = "model"
    """Waits for an answer of the model service."""
    BOTH = "both"
    """Waits for the database and for the model service."""
    EXPORT = "export"
    """Sends a file of any length, as fast as the client takes it."""
    BULK = "bulk"
    """Takes in a whole file, or writes to all customers."""
    LONG = "long"
    """Goes over all customers, and waits for the model service meanwhile."""
    WAIT = "wait"
    """Waits until something happens; no route is always so, but some are with a parameter."""
    METRICS = "metrics"
    """Answers from memory, and those who come from certain networks without asking who they are."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """How a POST may be repeated under an Idempotency-Key (`gateway.middleware.idempotency`).

    Attributes
    ----------
    again : whether it is carried out again after an attempt that broke off: it comes to the same, or the view
        recognises its own work (`http.first_tried_at`).
    kept : whether its answer may be kept; not one with a secret, or with customers that nobody can name.
    upload : whether its body is a file of any size, which is not read beforehand.
    """

    again: bool = True
    kept: bool = True
    upload: bool = False


ONCE: Final = Repeats(again=False)
WITH_SECRET: Final = Repeats(again=False, kept=False)


@dataclass(frozen=True, slots=True)
class Route:
    """What a method of an address does.

    Attributes
    ----------
    scope : what a caller needs; None where anybody may call.
    or_scopes : any of these is enough as well.
    parameters : the query parameters that it knows; any other is refused, or ignored where `lenient`.
    repeats : what an Idempotency-Key does for a POST.
    """

    method: str
    path: str
    view: View
    scope: Scope | None
    operation: Operation
    parameters: Sequence[Parameter] = ()
    work: Work = Work.QUICK
    repeats: Repeats = Repeats()
    or_scopes: Sequence[Scope] = ()
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """The routes of one resource; `prefix` begins their addresses."""

    name: str
    text: str
    routes: Sequence[Route]
    prefix: str = API


class VersionConverter(BaseConverter):
    """A model version's name, or ``active``, as a part of an address; anything else is an unknown address."""

    regex = VERSION_OR_ACTIVE


class NameConverter(BaseConverter):
    """An id that the service has made, or the name of a plot, as a part of an address."""

    regex = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


class SegmentConverter(BaseConverter):
    """The id of a segment as a part of an address, and none of what stands beside the segments."""

    regex = "(?!(?:sizes|transitions)$)[^/]+"
    part_isolating = True


VARIABLE: Final = re.compile(r"<(?:(?P<converter>\w+)(?:\((?P<choices>[^)]*)\))?:)?(?P<name>\w+)>")
"""A variable part of a route's address, as Flask writes it."""


def address(rule: str) -> str:
    """Return the address of a route as OpenAPI writes it: ``/models/{version}`` for ``/models/<version:version>``."""
    return VARIABLE.sub(r"{\g<name>}", rule)


Around = Callable[[Route, View], View]
"""Middleware of a route: returns the view to call in the place of another."""


def register(
    app: Flask,
    resources: Sequence[Resource],
    middleware: Mapping[Work, Sequence[Around]],
    pages: Resource | None = None,
) -> None:
    """Add the routes to the application, each within the middleware of its kind of work: the first is asked first.

    Parameters
    ----------
    pages : those for people, which are no part of the API.
    """
    app.extensions[_EXTENSION] = resources
    app.extensions[_PAGES] = pages.routes if pages else ()
    app.url_map.converters |= {"version": VersionConverter, "name": NameConverter, "segment": SegmentConverter}
    for resource in (*resources, *([pages] if pages else ())):
        for route in resource.routes:
            view = route.view
            for around in reversed(middleware[route.work]):
                view = around(route, view)
            rule = resource.prefix + route.path
            app.add_url_rule(rule, f"{route.method} {rule}", view, methods=[route.method])


def registered(app: Flask) -> Sequence[Resource]:
    """Return the application's resources."""
    resources: Sequence[Resource] = app.extensions[_EXTENSION]
    return resources


def registered_pages(app: Flask) -> Sequence[Route]:
    """Return the routes of the pages for people."""
    routes: Sequence[Route] = app.extensions[_PAGES]
    return routes


_EXTENSION = "gateway.routes"
_PAGES = "gateway.routes.pages"
