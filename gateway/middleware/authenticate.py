"""The guard that asks who calls and whether they may: programs show a key or token, people's browsers a session."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from typing import Any, Final

from flask import Response, g, request

from gateway.pages.cookies import keep_session, token_of_request
from gateway.routes import API, Around, Route, View
from gateway.services.access.authentication import Authentication
from gateway.services.access.sessions import Session, Sessions
from gateway.services.errors import ScopeMissing, Unauthenticated
from shared.networks import Network, is_within

CSRF_HEADER: Final = "HTTP_X_CSRF_TOKEN"

_SCHEME = "bearer"
_SAFE = ("GET", "HEAD", "OPTIONS")
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")


def authenticated(authentication: Authentication, sessions: Sessions) -> Around:
    """Return a guard that lets only callers through that have the route's scope; the controller finds them in ``g``.

    OPTIONS never gets here: Flask answers it, as browsers ask it without credentials before they send any.
    """

    def around(route: Route, view: View) -> View:
        scope = route.scope
        if scope is None:
            return view

        @wraps(view)
        def guarded(**parts: Any) -> Any:
            session = None if "HTTP_AUTHORIZATION" in request.environ else _session(sessions)
            g.principal = principal = session.principal if session else authentication.principal(_credential())
            if not principal.may(scope) and not any(map(principal.may, route.or_scopes)):
                raise ScopeMissing(scope)
            answer = view(**parts)
            if session and isinstance(answer, Response):
                answer.headers.setdefault("Cache-Control", "no-store")  # or going back shows it after signing out
                if session.is_due() and _opens_a_page():
                    keep_session(answer, sessions.token_of(session))
            return answer

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


def _session(sessions: Sessions) -> Session | None:
    """Return the session of a request that comes from a browser; None if there is no cookie.

    Raises
    ------
    Unauthenticated
    CsrfTokenWrong
        where the request would change something, and does not come from one of our pages.
    """
    token = token_of_request()
    if token is None:
        return None
    g.session = session = sessions.read(token)
    if request.method not in _SAFE:
        session.check(request.environ.get(CSRF_HEADER))
    return session


def _opens_a_page() -> bool:
    """Whether somebody goes to a page; an answer to a script may be late, and bring back a session of before."""
    going = request.environ.get("HTTP_SEC_FETCH_MODE", "navigate") == "navigate"
    return going and request.method == "GET" and not request.path.startswith(API)


def _credential() -> str:
    """Return what follows ``Authorization: Bearer`` (RFC 6750 section 2.1); a query parameter would end up in logs."""
    scheme, _, credential = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != _SCHEME:
        raise Unauthenticated(given=False)
    return str(credential.strip())
