"""Signing in with an API key, and out."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from flask import Response, request
from werkzeug.exceptions import Forbidden

from gateway.controllers.http import query, see_other
from gateway.pages.cookies import forget_session, keep_session, token_of_request
from gateway.pages.rendering import page
from gateway.schemas.queries import Parameter
from gateway.services.access.sessions import Sessions
from gateway.services.errors import Unauthenticated

_FIRST_PAGE = "/overview"


def _local(text: str) -> str:
    """Return an address of this service; that of any other becomes our first page (no open redirect)."""
    url = urlsplit(text)
    local = not (url.scheme or url.netloc) and text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if local else _FIRST_PAGE


class SignInController:
    """Begins and ends sessions."""

    PARAMETERS: Final = (Parameter("next", _local, "The page to go to afterwards.", {"type": "string"}, _FIRST_PAGE),)

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def form(self) -> Response:
        """GET /sign-in."""
        return page("sign_in.html", next=query()["next"], wrong=False)

    def sign_in(self) -> Response:
        """POST /sign-in."""
        _refuse_other_sites()
        following = _local(request.form.get("next", ""))
        try:
            token = self._sessions.begin(request.form.get("key", "").strip())
        except Unauthenticated:
            return page("sign_in.html", 401, next=following, wrong=True)
        answer = see_other(following)
        keep_session(answer, token)
        return answer

    def sign_out(self) -> Response:
        """POST /sign-out."""
        _refuse_other_sites()
        if token := token_of_request():
            self._check(token)
        answer = see_other("/sign-in")
        forget_session(answer)
        return answer

    def _check(self, token: str) -> None:
        try:
            session = self._sessions.read(token)
        except Unauthenticated:
            return
        session.check(request.form.get("csrf_token"))


def _refuse_other_sites() -> None:
    """Do nothing unless the form was sent from a page of another site, as the browser says (Fetch Metadata)."""
    if request.environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("This form was sent from another site.")
