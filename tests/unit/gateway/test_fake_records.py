"""The fakes of the audit trail and of the idempotency keys keep the contracts that the real adapters keep."""

from __future__ import annotations

import pytest
from contracts.audit import AuditTrailContract
from contracts.idempotency import IdempotencyStoreContract
from fakes.audit import InMemoryAuditTrail
from fakes.idempotency import InMemoryIdempotencyStore


class TestInMemoryAuditTrail(AuditTrailContract):
    @pytest.fixture
    def trail(self) -> InMemoryAuditTrail:
        return InMemoryAuditTrail()


class TestInMemoryIdempotencyStore(IdempotencyStoreContract):
    @pytest.fixture
    def keys(self) -> InMemoryIdempotencyStore:
        return InMemoryIdempotencyStore()
