"""The guard that asks who calls and whether they may."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import Any

from flask import g, request

from gateway.routes import Around, Route, View
from gateway.services.access.authentication import Authentication
from gateway.services.errors import ScopeMissing, Unauthenticated
from shared.networks import Network, is_within

_SCHEME = "bearer"
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")


def authenticated(authentication: Authentication) -> Around:
    """Return a guard that lets only callers through that have the route's scope; the controller finds them in ``g``.

    OPTIONS never gets here: Flask answers it, as browsers ask it without credentials before they send any.
    """

    def around(route: Route, view: View) -> View:
        scope = route.scope
        if scope is None:
            return view

        @wraps(view)
        def guarded(**parts: Any) -> Any:
            g.principal = principal = authentication.principal(_credential())
            if not principal.may(scope):
                raise ScopeMissing(scope)
            return view(**parts)

        return guarded

    return around


def open_to(networks: Sequence[Network], guards: Sequence[Around]) -> Around:
    """Return a guard that lets through who calls from one of the networks; all others have to pass these guards.

    What a proxy has passed on comes from elsewhere, whatever it says.
    """

    def around(route: Route, view: View) -> View:
        closed = view
        for guard in reversed(guards):
            closed = guard(route, closed)

        @wraps(view)
        def guarded(**parts: Any) -> Any:
            forwarded = any(name in request.environ for name in _FORWARDED)
            inside = not forwarded and is_within(request.remote_addr, networks)
            return view(**parts) if inside else closed(**parts)

        return guarded

    return around


def _credential() -> str:
    """Return what follows ``Authorization: Bearer`` (RFC 6750 section 2.1); a query parameter would end up in logs."""
    scheme, _, credential = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != _SCHEME:
        raise Unauthenticated(given=False)
    return str(credential.strip())
