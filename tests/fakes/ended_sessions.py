"""The `EndedSessionStore` port in memory."""

from __future__ import annotations

from datetime import datetime

from gateway.services.errors import StoreError


class InMemoryEndedSessions:
    """Sessions in a dict. Set `failure` to make every call raise it."""

    def __init__(self) -> None:
        self.until: dict[str, datetime] = {}
        self.failure: StoreError | None = None

    def end(self, session_id: str, until: datetime) -> None:
        if self.failure:
            raise self.failure
        self.until[session_id] = until

    def has_ended(self, session_id: str) -> bool:
        if self.failure:
            raise self.failure
        return session_id in self.until
