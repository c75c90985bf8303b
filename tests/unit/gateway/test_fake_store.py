"""The in-memory store and the one on mongomock keep the contract of the real one."""

from __future__ import annotations

from typing import Any

import mongomock
import pytest
from contracts.customers import CustomerStoreContract, SingleOperations
from contracts.queries import QueryContract
from fakes.store import InMemoryCustomerStore

from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.services.errors import StoreUnavailable


class TestInMemoryCustomerStore(CustomerStoreContract, QueryContract):
    @pytest.fixture
    def store(self) -> InMemoryCustomerStore:
        return InMemoryCustomerStore()

    def test_every_call_raises_the_failure(self, store: InMemoryCustomerStore) -> None:
        store.failure = StoreUnavailable("away")
        with pytest.raises(StoreUnavailable):
            store.get("A")
        with pytest.raises(StoreUnavailable):
            store.ping()


class TestMongoCustomerStoreOnMongomock(SingleOperations):
    # mongomock 4.3 takes no bulk_write of PyMongo 4.20's requests and knows no hello.

    @pytest.fixture
    def store(self, monkeypatch: pytest.MonkeyPatch) -> MongoCustomerStore:
        customers = mongomock.MongoClient()["test"]["customers"]

        def command(find: dict[str, Any], **_: Any) -> dict[str, Any]:  # mongomock 4.3 knows none
            order = list(find.get("sort", {}).items()) or None
            found = customers.find(find["filter"], find.get("projection"), sort=order, limit=find.get("limit", 0))
            return {"cursor": {"id": 0, "firstBatch": list(found)}}

        monkeypatch.setattr(customers.database, "command", command)
        return MongoCustomerStore(customers)
