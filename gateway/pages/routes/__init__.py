"""Which address shows which page, and what a key must be allowed to see it: one table for each room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.routes import Resource, Route, View, Work
from gateway.routes.operation import Operation
from gateway.schemas.queries import Parameter
from gateway.services.principal import Scope

_NONE: Final = Operation("", "", "", {})
"""Pages are no operations of the API."""


def page(
    path: str,
    view: View,
    scope: Scope | None,
    parameters: Sequence[Parameter] = (),
    work: Work = Work.MANY,
    method: str = "GET",
    or_scopes: Sequence[Scope] = (),
) -> Route:
    """Return the route of a page; its arguments are those of `gateway.routes.Route`.

    Unknown query parameters are ignored: others add theirs to a link that they pass on.
    """
    return Route(method, path, view, scope, _NONE, parameters, work, or_scopes=or_scopes, lenient=True)


def all_pages(*rooms: Sequence[Route]) -> Resource:
    """Return the routes of all rooms."""
    return Resource("Pages", "Pages for people.", [route for room in rooms for route in room], prefix="")
