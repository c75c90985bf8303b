"""The cookies that a browser keeps: its session's token, and for minutes what an attempt to sign in is known by.

A module of its own, because the middleware reads and renews the first.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from flask import Response, request

from gateway.services.access import issuer_sign_in
from gateway.services.access.sessions import LONGEST

_SESSION: Final = "session"
_ATTEMPT: Final = "sign-in"


def token_of_request() -> str | None:
    """Return the session's token that the browser has sent."""
    return request.cookies.get(_named(_SESSION))


def attempt_of_request() -> str | None:
    """Return what the browser has kept of an attempt to sign in."""
    return request.cookies.get(_named(_ATTEMPT))


def keep_session(answer: Response, token: str) -> None:
    """Let the browser keep a session's token: no script sees it, and no form of another site sends it along."""
    _keep(answer, _SESSION, token, LONGEST)


def keep_attempt(answer: Response, kept: str) -> None:
    """Let the browser keep what an attempt to sign in is known by."""
    _keep(answer, _ATTEMPT, kept, issuer_sign_in.LASTS)


def forget_session(answer: Response) -> None:
    """Let the browser forget the session's token."""
    _forget(answer, _SESSION)


def forget_attempt(answer: Response) -> None:
    """Let the browser forget the attempt."""
    _forget(answer, _ATTEMPT)


def _keep(answer: Response, name: str, value: str, lifetime: timedelta) -> None:
    answer.set_cookie(_named(name), value, max_age=lifetime, secure=_over_tls(), httponly=True, samesite="Lax")


def _forget(answer: Response, name: str) -> None:
    answer.delete_cookie(_named(name), secure=_over_tls(), httponly=True, samesite="Lax")


def _named(name: str) -> str:
    """Return a cookie's name; over TLS one that no other host of the domain can set (RFC 6265bis section 4.1.3.2)."""
    return f"__Host-{name}" if _over_tls() else name


def _over_tls() -> bool:
    return request.scheme == "https"
