"""Sessions of people in a browser: a signed token that stands for an API key, and ends with it.

Nothing is stored: the token names the key, and the key is looked up at every request, so that revoking it ends every
session that was begun with it. Signed by itsdangerous, as Flask's own sessions are.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer

from gateway.services.access.authentication import Authentication
from gateway.services.clock import now
from gateway.services.errors import CsrfTokenWrong, Unauthenticated
from gateway.services.principal import Principal

IDLE: Final = timedelta(hours=1)
"""How long a session lasts after the last request."""

LONGEST: Final = timedelta(hours=12)
"""How long it lasts at most."""

RENEWED_AFTER: Final = timedelta(minutes=5)
"""The age from which a request has the session's token signed anew."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session that holds.

    Attributes
    ----------
    principal : who has signed in, with what the key may do now.
    csrf_token : what a request that changes something has to bring along; a page of another site does not know it.
    key_id : the API key that it was begun with.
    begun_at, signed_at : when it was begun, and when its token was signed last.
    """

    principal: Principal
    csrf_token: str
    key_id: str
    begun_at: datetime
    signed_at: datetime

    def is_due(self) -> bool:
        """Whether the token should be signed anew."""
        return now() - self.signed_at > RENEWED_AFTER

    def check(self, csrf_token: str | None) -> None:
        """Do nothing if this is the session's CSRF token.

        Raises
        ------
        CsrfTokenWrong
        """
        if not hmac.compare_digest(self.csrf_token.encode(), (csrf_token or "").encode()):
            raise CsrfTokenWrong


class Sessions:
    """Begins and reads sessions.

    Parameters
    ----------
    secret : signs their tokens.
    """

    def __init__(self, authentication: Authentication, secret: str) -> None:
        self._authentication = authentication
        self._tokens = URLSafeTimedSerializer(secret, salt="session")

    def begin(self, key: str) -> str:
        """Begin a session with an API key; return its token.

        Raises
        ------
        Unauthenticated, StoreError
        """
        principal = self._authentication.principal(key)
        if principal.kind != "api_key":
            raise Unauthenticated
        return self._signed(principal.id, secrets.token_urlsafe(18), now())

    def renewed(self, session: Session) -> str:
        """Return a token of the same session that is signed now."""
        return self._signed(session.key_id, session.csrf_token, session.begun_at)

    def read(self, token: str) -> Session:
        """Return the session that a token stands for.

        Raises
        ------
        Unauthenticated
            unless it holds, and the key that it was begun with does.
        StoreError
        """
        try:
            said, signed_at = self._tokens.loads(token, max_age=int(IDLE.total_seconds()), return_timestamp=True)
        except BadData as error:
            raise Unauthenticated from error
        begun_at = datetime.fromtimestamp(said["begun"], UTC).replace(tzinfo=None)
        if now() - begun_at > LONGEST:
            raise Unauthenticated
        principal = self._authentication.key_holder(said["key"])
        return Session(principal, said["csrf"], said["key"], begun_at, signed_at.replace(tzinfo=None))

    def _signed(self, key_id: str, csrf_token: str, begun_at: datetime) -> str:
        begun = int(begun_at.replace(tzinfo=UTC).timestamp())
        return str(self._tokens.dumps({"key": key_id, "csrf": csrf_token, "begun": begun}))
