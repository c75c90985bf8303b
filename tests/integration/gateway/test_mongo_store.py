"""The store on a real mongod: the contract of the port, its preparations and its failures."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest
from contracts.customers import CustomerStoreContract
from contracts.queries import QueryContract
from pymongo import IndexModel
from pymongo.collection import Collection
from support.customers import stored

from gateway.data_access.mongo.customer_schema import INDEXES, SORT_INDEXES
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.services.errors import StoreError, StoreUnavailable
from gateway.services.imports.first_load import SortIndexes


class TestMongoCustomerStore(CustomerStoreContract, QueryContract):
    """The contract on a real mongod; the fixture `store` is that of conftest.py."""


def _names(indexes: Iterable[IndexModel]) -> set[str]:
    return {index.document["name"] for index in indexes}


class TestPreparing:
    def test_makes_the_indexes(self, store: MongoCustomerStore, customers: Collection) -> None:
        store.get("nobody")
        assert set(customers.index_information()) == {"_id_", *_names((*INDEXES, *SORT_INDEXES))}

    def test_leaves_what_takes_long_to_the_worker(self, store: MongoCustomerStore, customers: Collection) -> None:
        """Half a minute for a million customers, and nobody can say whether an import is running."""
        store.insert(stored("A"))
        store.drop_sort_indexes()
        customers.create_index("segment_status", name="segment_status")
        MongoCustomerStore(customers).get("nobody")
        assert set(customers.index_information()) == {"_id_", *_names(INDEXES)}
        assert SortIndexes(store).run_once() == len(SORT_INDEXES)
        assert set(customers.index_information()) == {"_id_", *_names((*INDEXES, *SORT_INDEXES))}

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
        a, b = stored("A"), stored("B")
        store.insert_many([a, b])
        with pytest.raises(StoreError) as caught:
            store.replace_many([(a, a["revision"]), (b | {"BALANCE": -1.0}, b["revision"])])
        assert type(caught.value) is StoreError
        assert not isinstance(caught.value, StoreUnavailable)
