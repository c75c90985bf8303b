"""Deletions, restores and erasures as versions before transactions left them, finished and half done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from contracts.deletions import AT, MINUTE
from fakes.gateway import FakeGateway
from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection
from support.customers import stored

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.data_access.mongo.deletions import MongoDeletedCustomers
from gateway.data_access.mongo.erasures import MongoErasureRecords
from gateway.services.errors import CustomerExists
from gateway.wiring import Services
from shared.features import CUST_ID

Documents = Collection[dict[str, Any]]
LONG_AGO = stored("A")["created_at"] - timedelta(days=1)


@pytest.fixture
def deleted(customers: Documents) -> Documents:
    """Deleted customers with the index that they had then."""
    collection = customers.database["deleted_customers"]
    order = [(CUST_ID, ASCENDING), ("updated_at", DESCENDING), ("deleted_at", DESCENDING)]
    collection.create_index(order, name="latest")
    return collection


@pytest.fixture
def services(customers: Documents, store: MongoCustomerStore) -> Services:
    """The services of today on the same database."""
    database = customers.database
    return FakeGateway(
        store=store,
        deleted=MongoDeletedCustomers(database["deleted_customers"]),
        erasures=MongoErasureRecords(database["erasures"]),
        transactions=MongoTransactions(database, 5.0),
    ).services


def copy_of_then(deletion: str, cust_id: str, balance: float, minutes: int = 0, **more: Any) -> dict[str, Any]:
    """Return the document of a copy whose customer was last changed so many minutes after it was created."""
    at = LONG_AGO + minutes * MINUTE
    kept = {"created_at": LONG_AGO, "updated_at": at, "deleted_at": at, "expires_at": AT}
    return {"_id": deletion, **stored(cust_id, BALANCE=balance), **kept, **more}


def balances(services: Services) -> dict[str, float]:
    """Return the balances of those who can be restored."""
    return {copy[CUST_ID]: copy["BALANCE"] for copy in services.deletions.page(None, 50).items}


def test_of_several_copies_the_latest_state_stays(services: Services, deleted: Documents) -> None:
    deleted.insert_many([copy_of_then(f"d{n}", "A", float(n), minutes) for n, minutes in enumerate([1, 3, 2])])
    deleted.insert_one(copy_of_then("other", "B", 9.0))
    assert balances(services) == {"A": 1.0, "B": 9.0}
    assert services.deletions.restore("A").customer["BALANCE"] == 1.0
    assert [copy["_id"] for copy in deleted.find()] == ["B"]
    assert "latest" not in deleted.index_information()


def test_more_than_one_batch(services: Services, deleted: Documents) -> None:
    deleted.insert_many([copy_of_then(f"d{n}", f"C{n // 2:04}", float(n), n) for n in range(1_200)])
    assert services.deletions.get("C0599")["BALANCE"] == 1_199.0
    assert deleted.count_documents({}) == 600
    assert deleted.find_one({CUST_ID: {"$exists": True}}) is None


def test_a_deletion_that_died_after_it_removed_the_customer_can_be_restored(
    services: Services, deleted: Documents
) -> None:
    deleted.insert_one(copy_of_then("d", "A", 5.0, counts_from=AT))
    assert balances(services) == {"A": 5.0}
    assert "counts_from" not in services.deletions.get("A")


def test_a_deletion_that_died_before_it_removed_the_customer_leaves_it(
    services: Services, deleted: Documents, store: MongoCustomerStore
) -> None:
    store.insert(stored("A", BALANCE=7.0))
    deleted.insert_one(copy_of_then("d", "A", 5.0, counts_from=AT))
    assert balances(services) == {}
    with pytest.raises(CustomerExists):
        services.deletions.restore("A")
    services.deletions.delete("A")
    assert balances(services) == {"A": 7.0}


def test_a_restore_that_died_before_it_brought_the_customer_back_can_be_made_again(
    services: Services, deleted: Documents
) -> None:
    deleted.insert_one(copy_of_then("d", "A", 5.0, counts_from=AT, claim="c"))
    assert "claim" not in services.deletions.restore("A").customer
    assert balances(services) == {}


def test_a_restore_that_died_after_it_brought_the_customer_back_is_done(
    services: Services, deleted: Documents, store: MongoCustomerStore
) -> None:
    store.insert(stored("A", BALANCE=5.0))
    deleted.insert_one(copy_of_then("d", "A", 5.0, counts_from=AT, claim="c"))
    assert balances(services) == {}
    assert services.erasures.erase("A")["erased"].items() >= {"customers": 1, "deleted_customers": 1}.items()


def test_a_copy_of_today_is_not_replaced_by_one_of_then(services: Services, deleted: Documents) -> None:
    today = copy_of_then("A", "A", 8.0)
    del today[CUST_ID]
    deleted.insert_many([today, copy_of_then("d", "A", 5.0, 60)])
    assert balances(services) == {"A": 8.0}


@pytest.mark.parametrize("noted", [{}, {"customers": 0}, {"customers": 1}], ids=["begun", "known", "removed"])
def test_an_erasure_that_died_is_carried_out(
    services: Services, deleted: Documents, store: MongoCustomerStore, noted: dict[str, int]
) -> None:
    erasures, at = deleted.database["erasures"], LONG_AGO + MINUTE
    begun = {"digest": "h", "cust_id": "A", "requested_at": at, "created_until": at, "completed_at": None}
    erasures.insert_one({"_id": "e1", **begun, "erased": noted})
    deleted.insert_many([copy_of_then("d0", "A", 5.0), copy_of_then("d1", "A", 6.0, counts_from=AT)])
    deleted.insert_one(copy_of_then("d2", "A", 7.0, created_at=at + MINUTE))
    if not noted.get("customers"):
        store.insert({**stored("A"), "created_at": LONG_AGO})
    assert services.erasures.run_once() == 1
    receipt = services.erasures.get("e1")
    assert receipt["status"] == "completed"
    assert receipt["erased"].items() >= {"customers": 1, "deleted_customers": 2}.items()
    assert store.get("A") is None
    assert balances(services) == {"A": 7.0}  # created after the erasure was asked for


def test_an_erasure_that_died_spares_who_was_created_later(
    services: Services, deleted: Documents, store: MongoCustomerStore
) -> None:
    begun = {"digest": "h", "cust_id": "A", "requested_at": LONG_AGO, "created_until": LONG_AGO, "completed_at": None}
    deleted.database["erasures"].insert_one({"_id": "e1", **begun, "erased": {}})
    store.insert(stored("A"))
    assert services.erasures.run_once() == 1
    assert store.get("A")
