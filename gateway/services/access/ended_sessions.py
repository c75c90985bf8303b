"""Sessions that somebody has ended by signing out, until their time would have been up: they open nothing anywhere."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from gateway.services.access.authentication import FreshCache
from gateway.services.access.concurrency import Held, unbounded
from gateway.services.errors import Unauthenticated


class EndedSessionStore(Protocol):
    """Sessions that have been ended, by id. Every method may raise `StoreError` or `StoreUnavailable`."""

    def end(self, session_id: str, until: datetime) -> None:
        """Note that a session is over, until a time from which its token opens nothing anyway; again does nothing."""

    def has_ended(self, session_id: str) -> bool:
        """Return whether that has been noted of a session."""


class EndedSessions:
    """Ends sessions; every process notices it as soon as the revocation of a key, and asks the database as seldom."""

    def __init__(self, store: EndedSessionStore, waiting: Held = unbounded) -> None:
        self._store = store
        self._known = FreshCache(store.has_ended, waiting=waiting)

    def end(self, session_id: str, until: datetime) -> None:
        """End a session, whose token would open something until a time.

        Raises
        ------
        StoreError
        """
        self._store.end(session_id, until)
        self._known.forget(session_id)

    def refuse(self, session_id: str) -> None:
        """Do nothing unless a session has been ended.

        Raises
        ------
        Unauthenticated
        StoreError
            when that cannot be told, and was not known within the time for which keys stay known either.
        """
        if self._known.get(session_id):
            raise Unauthenticated
