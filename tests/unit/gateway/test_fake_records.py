"""The fake of the idempotency keys keeps the contract that the real adapter keeps."""

from __future__ import annotations

import pytest
from contracts.idempotency import IdempotencyStoreContract
from fakes.idempotency import InMemoryIdempotencyStore


class TestInMemoryIdempotencyStore(IdempotencyStoreContract):
    @pytest.fixture
    def keys(self) -> InMemoryIdempotencyStore:
        return InMemoryIdempotencyStore()
