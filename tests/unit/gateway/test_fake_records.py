"""The fakes of the audit trail and of the idempotency keys keep the contracts that the real adapters keep."""

from __future__ import annotations

import pytest
from fakes.audit import InMemoryAuditTrail
from fakes.audit_contract import AuditTrailContract
from fakes.idempotency import InMemoryIdempotencyStore
from fakes.idempotency_contract import IdempotencyStoreContract


class TestInMemoryAuditTrail(AuditTrailContract):
    @pytest.fixture
    def trail(self) -> InMemoryAuditTrail:
        return InMemoryAuditTrail()


class TestInMemoryIdempotencyStore(IdempotencyStoreContract):
    @pytest.fixture
    def keys(self) -> InMemoryIdempotencyStore:
        return InMemoryIdempotencyStore()
