"""The `KeyStore` port in memory, with an administrator's key in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from gateway.services.access.api_keys import ApiKey, Rotation, parse_key
from gateway.services.errors import StoreError
from gateway.services.principal import Scope

ADMIN_KEY = "csk_AdminAdmin01_" + "0123456789" * 4 + "abc"


class InMemoryKeyStore:
    """API keys in a dict. Set `failure` to make every call raise it; `reads` counts the lookups."""

    def __init__(self, *, with_administrator: bool = True) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.failure: StoreError | None = None
        self.reads = 0
        if with_administrator:
            self.insert(key_of(ADMIN_KEY, [Scope.ADMIN]))

    def get(self, key_id: str) -> ApiKey | None:
        self._use()
        self.reads += 1
        return self.keys.get(key_id)

    def page(self, after: str | None, limit: int) -> list[ApiKey]:
        self._use()
        return [key for key_id, key in sorted(self.keys.items()) if after is None or key_id > after][:limit]

    def insert(self, key: ApiKey) -> None:
        self._use()
        self.keys[key.id] = key

    def revoke(self, key_id: str, at: datetime) -> bool:
        self._use()
        key = self.keys.get(key_id)
        if key is not None and key.revoked_at is None:
            self.keys[key_id] = replace(key, revoked_at=at)
        return key is not None

    def rotate(self, key: ApiKey, rotation: Rotation) -> bool:
        self._use()
        stored = self.keys.get(key.id)
        if stored is None or stored.digest != key.digest or stored.revoked_at:
            return False
        self.keys[key.id] = replace(
            stored,
            digest=rotation.digest,
            old_digest=key.digest,
            old_until=rotation.old_until,
            expires_at=rotation.expires_at,
        )
        return True

    def used(self, key_id: str, at: datetime) -> None:
        self._use()
        key = self.keys.get(key_id)
        if key is not None and (key.last_used_at is None or key.last_used_at < at):
            self.keys[key_id] = replace(key, last_used_at=at)

    def _use(self) -> None:
        if self.failure:
            raise self.failure


def key_of(text: str, scopes: Collection[Scope], expires_at: datetime = datetime(2200, 1, 1)) -> ApiKey:
    """Return the stored form of a key with this text."""
    parsed = parse_key(text)
    assert parsed is not None
    key_id, digest = parsed
    return ApiKey(key_id, f"the key {key_id}", frozenset(scopes), digest, datetime(2024, 5, 1), "test:x", expires_at)
