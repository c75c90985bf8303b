"""Sessions of people in a browser: a signed token that stands for an API key, and ends with it.

The token names the key, and the key is looked up at every request, so that revoking it ends every session that was
begun with it, and rotating it does when the old secret ends. Nothing is stored of a session but that it was ended. Who
has come by way of an issuer is named with what the issuer has said, which therefore holds for a shorter time. Signed by
itsdangerous, as Flask's own sessions are.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from itsdangerous import BadData, URLSafeTimedSerializer

from gateway.services.access.api_keys import parse_key
from gateway.services.access.authentication import Authentication, mark_of
from gateway.services.access.ended_sessions import EndedSessions
from gateway.services.clock import now
from gateway.services.errors import CsrfTokenWrong, Unauthenticated
from gateway.services.principal import Principal, Scope

IDLE: Final = timedelta(hours=1)
"""How long a session lasts after the last page that was opened in it."""

LONGEST: Final = timedelta(hours=12)
"""How long it lasts at most."""

LONGEST_OF_ISSUER: Final = timedelta(hours=1)
"""How long it lasts at most where an issuer has said who somebody is: so late is noticed what the issuer takes away."""

RENEWED_AFTER: Final = timedelta(minutes=5)
"""The age from which opening a page has the session's token signed anew."""

_SCOPES = {str(scope): scope for scope in Scope}


@dataclass(frozen=True, slots=True)
class Session:
    """A session that holds.

    Attributes
    ----------
    principal : who has signed in, with what they may do now.
    csrf_token : what a request that changes something has to bring along; a page of another site does not know it.
        Whoever signs in again with the same key has the same, so that a page that was open before goes on.
    who : what the session's token says of who has signed in.
    id : tells the session from others of the same key.
    begun_at, signed_at : when it was begun, and when its token was signed last.
    """

    principal: Principal
    csrf_token: str
    who: Mapping[str, Any]
    id: str
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
    """Begins, reads and ends sessions.

    Parameters
    ----------
    secret : signs their tokens.
    """

    def __init__(self, authentication: Authentication, ended: EndedSessions, secret: str) -> None:
        self._authentication = authentication
        self._ended = ended
        self._tokens = URLSafeTimedSerializer(secret, salt="session-2")
        self._secret = secret.encode()

    def begin(self, key: str) -> Session:
        """Begin a session with an API key.

        Raises
        ------
        Unauthenticated, StoreError
        """
        principal, parsed = self._authentication.principal(key), parse_key(key)
        if parsed is None:  # somebody's token: it would outlive its time
            raise Unauthenticated
        return self._begun(principal, {"key": principal.id, "mark": mark_of(parsed[1])})

    def begin_with(self, key_id: str) -> Session:
        """Begin a session with an API key of which only the id is at hand.

        Raises
        ------
        Unauthenticated, StoreError
        """
        mark = self._authentication.mark(key_id)
        return self._begun(self._authentication.key_holder(key_id, mark), {"key": key_id, "mark": mark})

    def begin_as(self, principal: Principal) -> Session:
        """Begin a session of somebody whom the issuer has named."""
        scopes = sorted(principal.scopes)
        return self._begun(principal, {"sub": principal.id, "name": principal.name, "scopes": scopes})

    def token_of(self, session: Session) -> str:
        """Return a token of the session that is signed now."""
        begun = int(session.begun_at.replace(tzinfo=UTC).timestamp())
        return str(self._tokens.dumps({**session.who, "id": session.id, "begun": begun}))

    def read(self, token: str) -> Session:
        """Return the session that a token stands for.

        Raises
        ------
        Unauthenticated
            unless it holds, the key that it was begun with does, and nobody has signed out of it.
        StoreError
        """
        try:
            said, signed_at = self._tokens.loads(token, max_age=int(IDLE.total_seconds()), return_timestamp=True)
        except BadData as error:
            raise Unauthenticated from error
        begun_at = datetime.fromtimestamp(said.pop("begun"), UTC).replace(tzinfo=None)
        if now() - begun_at > (LONGEST if "key" in said else LONGEST_OF_ISSUER):
            raise Unauthenticated
        id_ = said.pop("id")
        principal = self._principal(said)
        self._ended.refuse(id_)
        token = self._csrf_token(principal, said)
        return Session(principal, token, said, id_, begun_at, signed_at.replace(tzinfo=None))

    def end(self, session: Session) -> None:
        """End a session for whoever has a token of it.

        Raises
        ------
        StoreError
        """
        self._ended.end(session.id, session.begun_at + LONGEST)

    def _begun(self, principal: Principal, who: Mapping[str, Any]) -> Session:
        return Session(principal, self._csrf_token(principal, who), who, secrets.token_urlsafe(12), now(), now())

    def _principal(self, who: Mapping[str, Any]) -> Principal:
        if "key" in who:
            return self._authentication.key_holder(who["key"], who["mark"])
        scopes = frozenset(_SCOPES[scope] for scope in who["scopes"] if scope in _SCOPES)
        return Principal("token", who["sub"], who["name"], scopes)

    def _csrf_token(self, principal: Principal, who: Mapping[str, Any]) -> str:
        of = f"csrf-token {principal.identity} {who.get('mark', '')}"
        return base64.urlsafe_b64encode(hmac.digest(self._secret, of.encode(), "sha256")[:18]).decode()
