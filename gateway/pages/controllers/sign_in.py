"""Signing in with an API key, once with a token in an address, or by way of an issuer; and out."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import urlsplit

from flask import Response, g, request
from werkzeug.exceptions import Forbidden, NotFound

from gateway.controllers.http import query, see_other
from gateway.pages.cookies import (
    attempt_of_request,
    forget_attempt,
    forget_session,
    keep_attempt,
    keep_session,
    token_of_request,
)
from gateway.pages.rendering import first_page, page
from gateway.schemas.queries import Parameter
from gateway.services.access.issuer_sign_in import IssuerSignIn
from gateway.services.access.one_time_tokens import OneTimeTokens
from gateway.services.access.sessions import Session, Sessions
from gateway.services.errors import IssuerMisconfigured, IssuerUnavailable, StoreError, Unauthenticated

log = logging.getLogger(__name__)

_CALLBACK: Final = "/sign-in/callback"
_OURS = ("same-origin", "none")


def local(text: str) -> str:
    """Return an address of this service; nothing for that of any other (no open redirect)."""
    url = urlsplit(text)
    ours = not (url.scheme or url.netloc) and text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if ours and text.isprintable() else ""


def _text(name: str, description: str) -> Parameter:
    return Parameter(name, str, description, {"type": "string"}, "")


class SignInController:
    """Begins and ends sessions.

    Parameters
    ----------
    issuer : None where nobody signs in at an issuer.
    """

    FORM: Final = (Parameter("next", local, "The page to go to afterwards.", {"type": "string"}, ""),)
    CALLBACK: Final = (
        _text("state", "Which attempt this answers."),
        _text("code", "What the issuer gives tokens for."),
        _text("iss", "Who answers."),
        _text("error", "Why there is no code."),
    )

    def __init__(self, sessions: Sessions, one_time_tokens: OneTimeTokens, issuer: IssuerSignIn | None) -> None:
        self._sessions = sessions
        self._one_time_tokens = one_time_tokens
        self._issuer = issuer

    def form(self) -> Response:
        """GET /sign-in; whoever has signed in already is led on."""
        if session := self._session():
            return see_other(query()["next"] or first_page(session.principal))
        return self._form(query()["next"])

    def once(self) -> Response:
        """GET /sign-in/once: its script sends the token, which stands where no server sees it.

        At once only where the browser says that no other site has led here.
        """
        return page("sign_in_once.html", at_once=request.environ.get("HTTP_SEC_FETCH_SITE") in _OURS)

    def sign_in(self) -> Response:
        """POST /sign-in: with an API key, or with a token that signs in once."""
        _refuse_other_sites()
        form, following = request.form, local(request.form.get("next", ""))
        once = form.get("once", "")
        try:
            if once:
                session = self._sessions.begin_with(self._one_time_tokens.take(once))
            else:
                session = self._sessions.begin(form.get("key", "").strip())
        except Unauthenticated:
            if once and (session_before := self._session()):  # the same address again
                return see_other(following or first_page(session_before.principal))
            return self._form(following, 401, "once" if once else "key")
        return self._signed_in(session, following)

    def to_issuer(self) -> Response:
        """GET /sign-in/issuer."""
        issuer = self._require_issuer()
        following = query()["next"]
        try:
            begun = issuer.begin(request.host_url.rstrip("/") + _CALLBACK, following)
        except (IssuerUnavailable, IssuerMisconfigured) as error:
            return self._issuer_failed(error, following)
        answer = see_other(begun.address)
        keep_attempt(answer, begun.kept)
        return answer

    def from_issuer(self) -> Response:
        """GET /sign-in/callback: the issuer has sent the browser back."""
        issuer, said = self._require_issuer(), query()
        try:
            if not said["code"]:
                log.info("the issuer has signed nobody in: %.40r", said["error"])
                raise Unauthenticated
            session, following = issuer.complete(attempt_of_request(), said["state"], said["code"], said["iss"] or None)
        except Unauthenticated:
            answer = self._form("", 401, "issuer")
        except (IssuerUnavailable, IssuerMisconfigured) as error:
            answer = self._issuer_failed(error, "")
        else:
            answer = self._signed_in(session, following)
        forget_attempt(answer)
        return answer

    def sign_out(self) -> Response:
        """POST /sign-out."""
        _refuse_other_sites()
        try:
            if session := self._session():
                session.check(request.form.get("csrf_token"))
                self._sessions.end(session)
            answer = see_other("/sign-in")
        except StoreError as error:
            log.warning("a session could not be ended: %s", error)
            answer = self._form("", 503, "not_ended")
        forget_session(answer)
        return answer

    def _form(self, following: str, status: int = 200, wrong: str = "") -> Response:
        return page("sign_in.html", status, next=following, wrong=wrong, has_issuer=self._issuer is not None)

    def _issuer_failed(self, error: IssuerUnavailable | IssuerMisconfigured, following: str) -> Response:
        return self._form(following, 503 if isinstance(error, IssuerUnavailable) else 500, "issuer_away")

    def _signed_in(self, session: Session, following: str) -> Response:
        g.principal = session.principal  # so that the log says who it was
        answer = see_other(following or first_page(session.principal))
        keep_session(answer, self._sessions.token_of(session))
        return answer

    def _session(self) -> Session | None:
        token = token_of_request()
        try:
            return self._sessions.read(token) if token else None
        except Unauthenticated:
            return None

    def _require_issuer(self) -> IssuerSignIn:
        if self._issuer is None:
            raise NotFound
        return self._issuer


def _refuse_other_sites() -> None:
    """Do nothing unless the form was sent from a page of another site, as the browser says.

    Else somebody could sign others in with a key of his own, and read what they believe to write for themselves. Fetch
    Metadata say it; in the clear, browsers send none but to this machine itself, and the origin has to do. A program
    names no origin, which a form of a browser always does.
    """
    site = request.environ.get("HTTP_SEC_FETCH_SITE")
    if site is None:
        sent_from = request.environ.get("HTTP_ORIGIN") or request.environ.get("HTTP_REFERER")
        ours = sent_from is None or _origin(sent_from) == f"{request.scheme}://{request.host}".lower()
    else:
        ours = site in _OURS
    if not ours:
        raise Forbidden("This form was sent from another site.")


def _origin(address: str) -> str:
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}".lower()
