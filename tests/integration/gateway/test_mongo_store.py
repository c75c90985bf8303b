"""The store on a real mongod: the contract of the port, its preparations and its failures."""

from __future__ import annotations

import threading

import pytest
from fakes.customers import stored
from fakes.store_contract import CustomerStoreContract
from pymongo.collection import Collection

from gateway.data_access.customer_store import MongoCustomerStore
from gateway.data_access.mongo_schema import INDEXES
from gateway.services.errors import StoreError, StoreUnavailable


class TestMongoCustomerStore(CustomerStoreContract):
    """The contract on a real mongod; the fixture `store` is that of conftest.py."""


class TestPreparing:
    def test_makes_the_indexes(self, store: MongoCustomerStore, customers: Collection) -> None:
        store.get("nobody")
        assert set(customers.index_information()) == {"_id_", *(index.document["name"] for index in INDEXES)}

    def test_brings_an_older_validator_up_to_date(self, store: MongoCustomerStore, customers: Collection) -> None:
        customers.database.create_collection("customers", validator={"$jsonSchema": {"required": ["OLD"]}})
        store.insert(stored("A"))
        assert store.get("A") is not None

    def test_by_many_at_once(self, customers: Collection) -> None:
        failures: list[Exception] = []

        def use() -> None:
            try:
                MongoCustomerStore(customers).get("nobody")
            except StoreError as error:
                failures.append(error)

        threads = [threading.Thread(target=use) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


class TestFailures:
    def test_a_refused_document_is_a_store_error(self, store: MongoCustomerStore) -> None:
        with pytest.raises(StoreError) as caught:
            store.insert(stored("A") | {"BALANCE": -1.0})
        assert type(caught.value) is StoreError

    def test_a_refused_document_among_many_is_a_store_error(self, store: MongoCustomerStore) -> None:
        with pytest.raises(StoreError) as caught:
            store.insert_many([stored("A"), stored("B") | {"BALANCE": -1.0}])
        assert type(caught.value) is StoreError
        assert not isinstance(caught.value, StoreUnavailable)
