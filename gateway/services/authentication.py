"""Who calls: the API key or bearer token of a request, checked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from gateway.services.access import Principal
from gateway.services.clock import now
from gateway.services.errors import Unauthenticated
from gateway.services.key_cache import KeyCache, LastUses
from gateway.services.key_ports import PREFIX, KeyStore, parse


class TokenCheck(Protocol):
    """Bearer tokens of an issuer that this installation trusts."""

    def principal(self, token: str) -> Principal:
        """Return whom the token names.

        Raises
        ------
        Unauthenticated
            unless it is signed by the issuer, meant for this service and in force.
        IssuerUnavailable
            when that cannot be told, because the issuer's keys cannot be had.
        """


class Authentication:
    """Tells who calls. `tokens` is None where no issuer is configured: API keys alone open then."""

    def __init__(
        self,
        keys: KeyCache,
        uses: LastUses,
        tokens: TokenCheck | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._keys = keys
        self._uses = uses
        self._tokens = tokens
        self._clock = clock

    def principal(self, credential: str) -> Principal:
        """Return who shows this API key or token.

        Raises
        ------
        Unauthenticated
            whatever is wrong with it, in the same words: the answer never says whether a key exists.
        StoreError, StoreUnavailable, IssuerUnavailable
            when that cannot be told.
        """
        if credential.startswith(PREFIX):
            return self._key_holder(credential)
        if self._tokens is not None:
            return self._tokens.principal(credential)
        raise Unauthenticated

    def _key_holder(self, text: str) -> Principal:
        parsed = parse(text)
        if parsed is None:
            raise Unauthenticated
        key_id, digest = parsed
        key = self._keys.get(key_id)
        if key is None or not key.opens(digest, self._clock()):
            raise Unauthenticated
        self._uses.note(key_id)
        return Principal("api_key", key.id, key.name, key.scopes)


def on_keys(store: KeyStore, tokens: TokenCheck | None = None) -> tuple[Authentication, KeyCache]:
    """Return the authentication on a store of keys, and the cache that must hear of changes to them."""
    cache = KeyCache(store)
    return Authentication(cache, LastUses(store), tokens), cache
