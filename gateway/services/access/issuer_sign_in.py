"""Signing in by way of an OpenID Connect issuer: authorization code with PKCE (RFC 6749 section 4.1, RFC 7636)."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final, NamedTuple, Protocol

from itsdangerous import BadData, URLSafeTimedSerializer

from gateway.services.access.sessions import Session, Sessions
from gateway.services.errors import Unauthenticated
from gateway.services.principal import Principal

LASTS: Final = timedelta(minutes=10)
"""How long somebody may take to sign in at the issuer."""

LONGEST_ADDRESS: Final = 1500
"""Characters of the page to go to afterwards: a browser keeps no more than 4,096 of the attempt."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt to sign in is known by; nobody but the browser that made it can complete it.

    Attributes
    ----------
    state : comes back with the answer: it belongs to this attempt.
    verifier : shows that who brings the code is who asked for it (PKCE).
    nonce : comes back within the ID token: it was made for this attempt.
    callback : the address that the issuer sends the browser back to.
    following : the page that was asked for.
    """

    state: str
    verifier: str
    nonce: str
    callback: str
    following: str


class Issuer(Protocol):
    """An issuer that people sign in at."""

    def address(self, attempt: Attempt) -> str:
        """Return the address where somebody signs in.

        Raises
        ------
        IssuerUnavailable, IssuerMisconfigured
        """

    def principal(self, attempt: Attempt, code: str, said_issuer: str | None) -> Principal:
        """Return who has signed in, in exchange for the code that the issuer gave.

        Parameters
        ----------
        said_issuer : who the answer says it comes from (RFC 9207), if it does.

        Raises
        ------
        Unauthenticated
            unless code and tokens belong to the attempt.
        IssuerUnavailable, IssuerMisconfigured
        """


class Begun(NamedTuple):
    """Where the browser goes, and what it keeps meanwhile."""

    address: str
    kept: str


class Completed(NamedTuple):
    """The session, and the page that was asked for."""

    session: Session
    following: str


class IssuerSignIn:
    """Begins and completes attempts to sign in at the issuer.

    Parameters
    ----------
    secret : signs what the browser keeps meanwhile.
    """

    def __init__(self, issuer: Issuer, sessions: Sessions, secret: str) -> None:
        self._issuer = issuer
        self._sessions = sessions
        self._attempts = URLSafeTimedSerializer(secret, salt="sign-in")

    def begin(self, callback: str, following: str) -> Begun:
        """Begin an attempt.

        Raises
        ------
        IssuerUnavailable, IssuerMisconfigured
        """
        state, nonce, verifier = (secrets.token_urlsafe(length) for length in (18, 18, 48))
        attempt = Attempt(state, verifier, nonce, callback, following if len(following) <= LONGEST_ADDRESS else "")
        return Begun(self._issuer.address(attempt), str(self._attempts.dumps(asdict(attempt))))

    def complete(self, kept: str | None, state: str, code: str, said_issuer: str | None = None) -> Completed:
        """Complete the attempt of which the browser has kept this.

        Raises
        ------
        Unauthenticated
            if it has kept nothing, for too long, or the answer belongs to another attempt.
        IssuerUnavailable, IssuerMisconfigured
        """
        try:
            attempt = Attempt(**self._attempts.loads(kept or "", max_age=int(LASTS.total_seconds())))
        except BadData as error:
            raise Unauthenticated from error
        if not hmac.compare_digest(attempt.state.encode(), state.encode()):
            raise Unauthenticated
        principal = self._issuer.principal(attempt, code, said_issuer)
        return Completed(self._sessions.begin_as(principal), attempt.following)
