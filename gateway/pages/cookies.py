"""The cookie that a browser keeps a session's token in; on its own, because the middleware reads and renews it."""

from __future__ import annotations

from typing import Final

from flask import Response, request

from gateway.services.access.sessions import LONGEST

COOKIE: Final = "session"


def token_of_request() -> str | None:
    """Return the token that the browser has sent."""
    return request.cookies.get(COOKIE)


def keep_session(answer: Response, token: str) -> None:
    """Let the browser keep a token: no script sees it, and no form or frame of another site sends it along."""
    answer.set_cookie(
        COOKIE,
        token,
        max_age=LONGEST,
        secure=request.scheme == "https",
        httponly=True,
        samesite="Lax",
    )


def forget_session(answer: Response) -> None:
    """Let the browser forget the token."""
    answer.delete_cookie(COOKIE, secure=request.scheme == "https", httponly=True, samesite="Lax")
