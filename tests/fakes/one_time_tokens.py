"""The `OneTimeTokenStore` port in memory."""

from __future__ import annotations

from datetime import datetime

from gateway.services.errors import StoreError


class InMemoryOneTimeTokens:
    """Tokens in a dict. Set `failure` to make every call raise it."""

    def __init__(self) -> None:
        self.tokens: dict[bytes, tuple[str, datetime]] = {}
        self.failure: StoreError | None = None

    def keep(self, digest: bytes, key_id: str, until: datetime) -> None:
        if self.failure:
            raise self.failure
        self.tokens[digest] = key_id, until

    def take(self, digest: bytes, at: datetime) -> str | None:
        if self.failure:
            raise self.failure
        key_id, until = self.tokens.get(digest, ("", at))
        if until <= at:
            return None
        del self.tokens[digest]
        return key_id
