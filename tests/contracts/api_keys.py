"""What every `KeyStore` does: run over the fake and over a real mongod, so that neither can drift.

Subclass it in a test module and give it a fixture `keys` with an empty store.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from fakes.api_keys import key_of

from gateway.services.access.api_keys import KeyStore, Rotation
from gateway.services.principal import Scope

AT = datetime(2024, 6, 1, 12, 0, 0, 123000)
KEY = key_of("csk_000000000001_" + "a" * 43, [Scope.CUSTOMERS_READ, Scope.PREDICTIONS])
NEW = Rotation(b"n" * 32, AT + timedelta(hours=1), AT + timedelta(days=1))


class KeyStoreContract:
    """Reads and changes of keys."""

    def test_get_returns_none_for_an_unknown_key(self, keys: KeyStore) -> None:
        assert keys.get("nobody") is None

    @pytest.mark.parametrize(
        "old", [{}, {"old_digest": b"o" * 32, "old_until": AT, "revoked_at": AT, "last_used_at": AT}]
    )
    def test_get_returns_what_was_inserted(self, keys: KeyStore, old: dict) -> None:
        keys.insert(replace(KEY, **old))
        assert keys.get(KEY.id) == replace(KEY, **old)

    def test_pages_go_through_all_keys_in_order(self, keys: KeyStore) -> None:
        ids = [f"00000000000{number}" for number in (3, 1, 2)]
        for key_id in ids:
            keys.insert(replace(KEY, id=key_id))
        assert [key.id for key in keys.page(None, 2)] == sorted(ids)[:2]
        assert [key.id for key in keys.page(sorted(ids)[1], 2)] == sorted(ids)[2:]
        assert keys.page(sorted(ids)[2], 2) == []

    def test_revoke_keeps_the_first_time(self, keys: KeyStore) -> None:
        keys.insert(KEY)
        assert keys.revoke(KEY.id, AT)
        assert keys.revoke(KEY.id, AT + timedelta(days=1))
        assert keys.get(KEY.id) == replace(KEY, revoked_at=AT)

    def test_revoke_of_an_unknown_key_says_so(self, keys: KeyStore) -> None:
        assert not keys.revoke("nobody", AT)
        assert keys.get("nobody") is None

    def test_rotate_keeps_the_old_secret_beside_the_new(self, keys: KeyStore) -> None:
        keys.insert(replace(KEY, old_digest=b"o" * 32, old_until=AT))
        assert keys.rotate(KEY, NEW)
        rotated = replace(
            KEY, digest=NEW.digest, expires_at=NEW.expires_at, old_digest=KEY.digest, old_until=NEW.old_until
        )
        assert keys.get(KEY.id) == rotated

    @pytest.mark.parametrize("change", [{"revoked_at": AT}, {"digest": b"x" * 32}], ids=["revoked", "rotated"])
    def test_rotate_of_a_key_that_changed_changes_nothing(self, keys: KeyStore, change: dict) -> None:
        keys.insert(replace(KEY, **change))
        assert not keys.rotate(KEY, NEW)
        assert keys.get(KEY.id) == replace(KEY, **change)

    def test_rotate_of_an_unknown_key_makes_none(self, keys: KeyStore) -> None:
        assert not keys.rotate(KEY, NEW)
        assert keys.get(KEY.id) is None

    def test_used_keeps_the_latest_time(self, keys: KeyStore) -> None:
        keys.insert(KEY)
        for at in (AT, AT - timedelta(minutes=1), AT + timedelta(minutes=1), AT):
            keys.used(KEY.id, at)
        assert keys.get(KEY.id) == replace(KEY, last_used_at=AT + timedelta(minutes=1))

    def test_used_of_an_unknown_key_makes_none(self, keys: KeyStore) -> None:
        keys.used("nobody", AT)
        assert keys.get("nobody") is None
