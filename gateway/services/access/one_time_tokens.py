"""Tokens that sign in once, in an address: for whoever has just started the service, or looks after it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

from gateway.services.access.api_keys import KeyStore, digest_of
from gateway.services.clock import now
from gateway.services.errors import ApiKeyNotFound, ApiKeyUnusable, Unauthenticated

PREFIX: Final = "cst_"
"""What every one begins with, so that people and scanners for leaked secrets recognise it."""

LIFETIME: Final = timedelta(minutes=10)
LONGEST_LIFETIME: Final = timedelta(hours=24)


class OneTimeTokenStore(Protocol):
    """Tokens that have not been used, by their digests. Every method may raise `StoreError` or `StoreUnavailable`."""

    def keep(self, digest: bytes, key_id: str, until: datetime) -> None:
        """Store a new token, which stands for an API key until a time."""

    def take(self, digest: bytes, at: datetime) -> str | None:
        """Return the id of the key that a token stands for, to one caller only; None if it is used up or too old."""


class OneTimeTokens:
    """Makes tokens that sign in once with an API key, and takes them."""

    def __init__(self, store: OneTimeTokenStore, keys: KeyStore, clock: Callable[[], datetime] = now) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock

    def make(self, key_id: str, lifetime: timedelta = LIFETIME) -> str:
        """Return a new token; whoever shows it signs in with the key, whose text nobody needs to know.

        Raises
        ------
        ApiKeyNotFound, ApiKeyUnusable, StoreError
        """
        key, at = self._keys.get(key_id), self._clock()
        if key is None:
            raise ApiKeyNotFound(key_id)
        if not key.usable(at):
            raise ApiKeyUnusable(key_id)
        token = PREFIX + secrets.token_urlsafe(32)
        self._store.keep(digest_of(token), key_id, at + lifetime)
        return token

    def take(self, token: str) -> str:
        """Return the id of the key that a token stands for; nobody gets it again.

        Raises
        ------
        Unauthenticated
            if it is unknown, used up or too old.
        StoreError
        """
        key_id = self._store.take(digest_of(token), self._clock()) if token.startswith(PREFIX) else None
        if key_id is None:
            raise Unauthenticated
        return key_id
