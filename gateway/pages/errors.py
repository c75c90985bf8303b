"""Errors as pages; a module of its own, because the middleware decides by it who gets one, and who problem+json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from flask import Response, request

from gateway.controllers.http import see_other
from gateway.pages.rendering import page
from shared.problems import FieldError

_HEADLINES: Final = {
    401: "Please sign in",
    403: "You are not allowed to do this",
    404: "There is nothing here",
    429: "Too many requests",
    503: "Not available at the moment",
    504: "That took too long",
}
_BAD_ADDRESS: Final = "Something in the address of this page is not right:"
_NOT_ALLOWED: Final = "Your key may not do this; ask whoever made it."


def is_wanted() -> bool:
    """Whether somebody looks at a page: the browser says that it navigates, or takes HTML at an address of a page."""
    environ = request.environ
    if environ.get("HTTP_SEC_FETCH_MODE") == "navigate":
        return True
    return not request.path.startswith(("/api/", "/health/")) and "text/html" in environ.get("HTTP_ACCEPT", "")


def error_page(status: int, code: str, detail: str, errors: Sequence[FieldError], request_id: str) -> Response:
    """Return the page about an error; whoever is not signed in is led to where one signs in, and back afterwards."""
    if status == 401 and request.method == "GET" and request.path != "/sign-in":
        here = request.full_path.removesuffix("?")
        return see_other(f"/sign-in?{urlencode({'next': here})}")
    if code == "insufficient_scope":
        detail = _NOT_ALLOWED
    elif errors and request.method == "GET":
        detail = _BAD_ADDRESS
    headline = _HEADLINES.get(status, "That did not work" if status < 500 else "Something went wrong")
    return page("error.html", status, headline=headline, code=code, detail=detail, errors=errors, request_id=request_id)
