"""The store on a real mongod: the contract of the port, its preparations and its failures."""

from __future__ import annotations

from typing import Any

import pytest
from contracts.customers import CustomerStoreContract
from contracts.queries import QueryContract
from pymongo import MongoClient
from pymongo.collection import Collection
from support.customers import becoming, stored

from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.services.clock import now
from gateway.services.errors import StoreError, StoreUnavailable


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


class TestMongoCustomerStore(CustomerStoreContract, QueryContract):
    """The contract on a real mongod; the fixture `store` is that of conftest.py."""


class TestMongoCustomerStoreWithoutASchema(CustomerStoreContract, QueryContract):
    """Before a worker has been there, a gateway serves the same, without validator and indexes."""

    @pytest.fixture
    def store(self, mongo_client: MongoClient[dict[str, Any]], database_name: str) -> MongoCustomerStore:
        return MongoCustomerStore(mongo_client[database_name]["customers_without_a_schema"])


class TestFailures:
    def test_a_refused_document_is_a_store_error(self, store: MongoCustomerStore) -> None:
        with pytest.raises(StoreError) as caught:
            store.insert(stored("A") | {"BALANCE": -1.0})
        assert type(caught.value) is StoreError

    def test_a_refused_document_among_many_is_a_store_error(self, store: MongoCustomerStore) -> None:
        a, b = stored("A"), stored("B")
        store.insert_many([a, b])
        with pytest.raises(StoreError) as caught:
            store.update_many([becoming(a, a), becoming(b, {"BALANCE": -1.0})])
        assert type(caught.value) is StoreError
        assert not isinstance(caught.value, StoreUnavailable)


def test_of_an_outbox_only_what_is_not_logged_yet_goes_along_with_a_deleted_customer(
    store: MongoCustomerStore, customers: Collection
) -> None:
    store.insert_many([stored(name) for name in "AB"])
    waiting = [{"seq": 1, "at": now()}, {"seq": 2, "at": now()}]
    customers.update_many({}, {"$set": {"outbox": waiting, "logged": 1}})
    for found in (store.delete("A"), *store.delete_many(["B"], ())):
        assert found is not None
        assert found["outbox"] == waiting[1:]
        assert "logged" not in found
