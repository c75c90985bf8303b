"""The fake of the `KeyStore` obeys the port's contract."""

from __future__ import annotations

import pytest
from contracts.api_keys import KeyStoreContract
from fakes.api_keys import InMemoryKeyStore


class TestInMemoryKeyStore(KeyStoreContract):
    @pytest.fixture
    def keys(self) -> InMemoryKeyStore:
        return InMemoryKeyStore(with_administrator=False)
