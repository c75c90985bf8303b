"""Deleted customers and erasures on a real mongod: the contracts, and many who delete, restore, change and erase."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier
from typing import Any

import pymongo.errors
import pytest
from contracts.deletions import (
    AT,
    DeletedCustomersContract,
    ErasureRecordsContract,
    TransactionsContract,
    copy_of,
    erasure,
)
from fakes.gateway import CUSTOMERS, FakeGateway
from pymongo.collection import Collection
from support.customers import becoming, body, inputs, knowing, stored

from gateway.data_access.mongo.collection import MongoTransactions
from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.data_access.mongo.deletions import MongoDeletedCustomers
from gateway.data_access.mongo.erasures import INDEXES as ERASURE_INDEXES
from gateway.data_access.mongo.erasures import MongoErasureRecords
from gateway.data_access.mongo.events.outboxes import MongoOutboxes
from gateway.data_access.mongo.schema import CollectionSchema, MongoSchema
from gateway.services.errors import (
    Contended,
    CustomerExists,
    CustomerNotDeleted,
    CustomerNotFound,
    StaleRevision,
    StoreError,
    StoreUnavailable,
)
from gateway.wiring import Services

Documents = Collection[dict[str, Any]]

MINUTE = timedelta(minutes=1)


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


@pytest.fixture
def deleted(customers: Documents) -> MongoDeletedCustomers:
    """An empty store of deleted customers."""
    return MongoDeletedCustomers(customers.database["deleted_customers"])


@pytest.fixture
def records(customers: Documents) -> MongoErasureRecords:
    """An empty store of erasures."""
    return MongoErasureRecords(customers.database["erasures"])


@pytest.fixture
def transactions(customers: Documents) -> MongoTransactions:
    """Transactions in the test's database."""
    return MongoTransactions(customers.database, 5.0)


@pytest.fixture
def outboxes(customers: Documents, transactions: MongoTransactions) -> MongoOutboxes:
    """Outboxes in the test's database."""
    return MongoOutboxes(customers.database, transactions)


@pytest.fixture
def gateway(
    store: MongoCustomerStore,
    deleted: MongoDeletedCustomers,
    records: MongoErasureRecords,
    outboxes: MongoOutboxes,
    transactions: MongoTransactions,
) -> FakeGateway:
    """The gateway over HTTP, with real MongoDB and a fake model."""
    return FakeGateway(store=store, deleted=deleted, erasures=records, outboxes=outboxes, transactions=transactions)


class TestMongoDeletedCustomers(DeletedCustomersContract):
    """The contract on a real mongod."""


class TestMongoErasureRecords(ErasureRecordsContract):
    """The contract on a real mongod."""


class TestMongoTransactions(TransactionsContract):
    """The contract on a real mongod."""

    def test_when_others_were_faster_it_is_done_again(
        self, transactions: MongoTransactions, store: MongoCustomerStore
    ) -> None:
        first, second = stored("A"), stored("A", BALANCE=5.0)
        store.insert(first)
        taken = []

        def work() -> None:
            assert store.get("A")
            if not taken:  # by a thread, which is outside of the transaction
                in_threads(1, lambda _: store.update(becoming(first, second)))
            taken.append(store.delete("A"))

        transactions.run(work)
        assert taken == [second]
        assert store.get("A") is None

    def test_who_waits_for_others_in_vain_hears_of_it_in_time(
        self, customers: Documents, store: MongoCustomerStore
    ) -> None:
        store.insert(stored("A"))
        begun, over = threading.Event(), threading.Event()

        def hold() -> None:
            store.delete("A")
            begun.set()
            over.wait()

        holder = threading.Thread(target=lambda: MongoTransactions(customers.database, 60.0).run(hold))
        holder.start()
        begun.wait()
        try:
            with pytest.raises(StoreUnavailable, match="Other requests kept changing the same"):
                MongoTransactions(customers.database, 0.3).run(lambda: store.delete("A"))
        finally:
            over.set()
            holder.join()
        assert store.get("A") is None


def test_unfinished_erasures_are_found_by_an_index_that_holds_no_others(
    records: MongoErasureRecords, customers: Documents
) -> None:
    collection = customers.database["erasures"]
    for number in range(20):
        records.add(erasure(f"e{number:02}"))
        records.complete(f"e{number:02}", AT)
    records.add(erasure("last"))
    MongoSchema(customers.database, [CollectionSchema("erasures", ERASURE_INDEXES)]).bring_up_to_date()
    query = {"cust_id": {"$exists": True}, "requested_at": {"$lte": AT}}
    found = collection.database.command(
        "explain", {"find": "erasures", "filter": query, "sort": {"_id": 1}}, verbosity="executionStats"
    )
    assert found["executionStats"]["totalDocsExamined"] == 1
    complete = collection.find_one({"_id": "e00"})
    assert complete is not None
    assert "cust_id" not in complete


class RaisingCollection:
    """A collection whose every use raises one error of the driver."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.database = self.client = self  # no less than a store needs to be made

    def __getitem__(self, name: str) -> None:
        raise self._error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise self._error


CALLS: list[tuple[type[Any], str, tuple[Any, ...]]] = [
    (MongoDeletedCustomers, "keep", ([copy_of("A")],)),
    (MongoDeletedCustomers, "take", (["A"],)),
    (MongoDeletedCustomers, "get", ("A",)),
    (MongoDeletedCustomers, "page", (None, 1)),
    (MongoErasureRecords, "add", (erasure(),)),
    (MongoErasureRecords, "note", ("e1", "audit", 1)),
    (MongoErasureRecords, "complete", ("e1", AT)),
    (MongoErasureRecords, "get", ("e1",)),
    (MongoErasureRecords, "of", ("h1", 1)),
    (MongoErasureRecords, "unfinished", (AT, None, 1)),
]


@pytest.mark.parametrize(("store", "name", "arguments"), CALLS, ids=[f"{c[0].__name__}.{c[1]}" for c in CALLS])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (pymongo.errors.AutoReconnect("something"), StoreUnavailable),
        (pymongo.errors.OperationFailure("something", 13), StoreError),
    ],
    ids=["away", "refused"],
)
def test_every_driver_error_becomes_one_of_the_stores(
    store: type[Any], name: str, arguments: tuple[Any, ...], error: Exception, kind: type[StoreError]
) -> None:
    with pytest.raises(StoreError) as caught:
        getattr(store(RaisingCollection(error)), name)(*arguments)
    assert type(caught.value) is kind


def in_threads(number: int, work: Callable[[int], Any]) -> list[Any]:
    """Let so many threads do their work, all beginning at the same moment."""
    start = Barrier(number)

    def run(thread: int) -> Any:
        start.wait()
        return work(thread)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(run, range(number)))


def _count_up(services: Services) -> int:
    """Read, add one, write if nobody was faster; return how much was added."""
    try:
        old = services.customers.get("C1")
        services.customers.patch("C1", {"BALANCE": old["BALANCE"] + 1}, knowing(old["revision"]))
    except (CustomerNotFound, StaleRevision, Contended):
        return 0
    return 1


def _delete(services: Services) -> int:
    with suppress(CustomerNotFound, Contended):
        services.deletions.delete("C1")
    return 0


def _restore(services: Services) -> int:
    with suppress(CustomerExists, CustomerNotDeleted):
        services.deletions.restore("C1")
    return 0


def test_no_change_is_lost_however_often_the_customer_is_deleted_and_restored(
    gateway: FakeGateway, deleted: MongoDeletedCustomers
) -> None:
    services = gateway.services
    services.customers.create("C1", inputs(BALANCE=0.0))

    def work(thread: int) -> int:
        dice = random.Random(thread)
        doings = dice.choices([_count_up, _delete, _restore], weights=[8, 2, 6], k=120)
        return sum(do(services) for do in doings)

    added = sum(in_threads(8, work))
    assert added > 10
    _delete(services)
    (copy,) = services.deletions.page(None, 5).items
    assert copy["BALANCE"] == added
    assert services.deletions.restore("C1").customer["BALANCE"] == added
    assert deleted.page(None, 5) == []


def test_who_is_erased_while_others_delete_and_restore_is_gone(
    gateway: FakeGateway, deleted: MongoDeletedCustomers
) -> None:
    services = gateway.services

    def work(thread: int) -> None:
        dice = random.Random(thread)
        for _ in range(20):
            dice.choice([_delete, _restore, _count_up])(services)

    for _ in range(5):
        services.customers.create("C1", inputs())
        receipts = in_threads(6, lambda thread: services.erasures.erase("C1") if thread == 0 else work(thread))
        assert receipts[0]["status"] == "completed"
        assert gateway.store.get("C1") is None
        assert deleted.page(None, 5) == []


def test_of_restores_at_the_same_time_one_succeeds(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body())
    gateway.client.delete(f"{CUSTOMERS}/C1")
    answers = in_threads(8, lambda _: gateway.app.test_client().post(f"{CUSTOMERS}/C1/restore"))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {404, 409}  # 404 while the first is under way


def test_of_a_restore_and_creates_at_the_same_time_one_succeeds(gateway: FakeGateway) -> None:
    gateway.client.post(CUSTOMERS, json=body())
    gateway.client.delete(f"{CUSTOMERS}/C1")

    def work(thread: int) -> int:
        client = gateway.app.test_client()
        if thread % 2:
            return client.post(CUSTOMERS, json=body(BALANCE=5)).status_code
        return client.post(f"{CUSTOMERS}/C1/restore").status_code

    statuses = sorted(in_threads(8, work))
    assert statuses[0] in (200, 201)
    assert set(statuses[1:]) <= {404, 409}


def test_batches_of_the_same_customers_at_the_same_time_write_each_of_them_whole(gateway: FakeGateway) -> None:
    def work(thread: int) -> Any:
        rows = [body(f"C{n}", BALANCE=float(thread), PAYMENTS=float(thread)) for n in range(50)]
        random.Random(thread).shuffle(rows)
        return gateway.app.test_client().post(f"{CUSTOMERS}/batch", json={"customers": rows}).json

    answers = in_threads(6, work)
    assert sum(answer["created"] for answer in answers) == 50
    assert sum(answer["created"] + answer["updated"] for answer in answers) == 300
    stored = gateway.client.get(f"{CUSTOMERS}?limit=500").json["items"]
    assert len(stored) == 50
    last = {(result["CUST_ID"], result["revision"]) for answer in answers for result in answer["results"]}
    for customer in stored:
        assert customer["BALANCE"] == customer["PAYMENTS"]
        assert (customer["CUST_ID"], customer["revision"]) in last


def test_many_are_deleted_as_others_have_last_written_them(gateway: FakeGateway, customers: Documents) -> None:
    services = gateway.services
    names = [f"C{n:03}" for n in range(450)]
    rows = [body(name) for name in names]
    assert gateway.client.post(f"{CUSTOMERS}/batch", json={"customers": rows}).json["created"] == len(names)
    acknowledged: dict[str, float] = dict.fromkeys(names, 100.0)
    begun, over = threading.Event(), threading.Event()

    def write(own: list[str]) -> None:
        dice = random.Random(own[0])
        while not over.is_set():
            with suppress(CustomerNotFound):
                cust_id = dice.choice(own)
                balance = services.customers.patch(cust_id, {"BALANCE": dice.random()}).customer["BALANCE"]
                acknowledged[cust_id] = balance
                begun.set()

    writers = [threading.Thread(target=write, args=(names[n::3],)) for n in range(3)]
    for writer in writers:
        writer.start()
    begun.wait()
    done = services.deletions.delete_matching((), len(names))
    over.set()
    for writer in writers:
        writer.join()
    assert done == {"dry_run": False, "matching": 450, "deleted": 450, "remaining": 0}
    assert {copy["CUST_ID"]: copy["BALANCE"] for copy in services.deletions.page(None, 500).items} == acknowledged
    assert set(acknowledged.values()) != {100.0}
    kept = {copy["_id"]: copy["outbox"][-1]["type"] for copy in customers.database["deleted_customers"].find()}
    assert kept == dict.fromkeys(names, "customer.deleted")
