"""Deleting and restoring on fakes: what can be brought back; tests/integration has what others do meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from contracts.customers import assignment
from contracts.deletions import DeletedCustomersContract, TransactionsContract
from fakes.changes import InMemoryOutboxes
from fakes.deletions import InMemoryDeletedCustomers, InMemoryErasureRecords, InMemoryTransactions
from fakes.model import FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import inputs, knowing, origin, stored

from gateway.services.customers.assignment import Assigner
from gateway.services.customers.customers import CustomerService
from gateway.services.customers.deletions import DeletionService
from gateway.services.customers.preconditions import Precondition
from gateway.services.errors import (
    CustomerExists,
    CustomerNotDeleted,
    CustomerNotFound,
    CustomerNotNew,
    RevisionRequired,
    StaleRevision,
    StoreUnavailable,
)
from shared.features import CUST_ID

MONTH = timedelta(days=30)


@pytest.fixture
def store() -> InMemoryCustomerStore:
    return InMemoryCustomerStore()


@pytest.fixture
def deleted() -> InMemoryDeletedCustomers:
    return InMemoryDeletedCustomers()


@pytest.fixture
def records() -> InMemoryErasureRecords:
    return InMemoryErasureRecords()


@pytest.fixture
def outboxes(store: InMemoryCustomerStore, deleted: InMemoryDeletedCustomers) -> InMemoryOutboxes:
    return InMemoryOutboxes(customers=store, deleted=deleted)


@pytest.fixture
def transactions(
    store: InMemoryCustomerStore,
    deleted: InMemoryDeletedCustomers,
    records: InMemoryErasureRecords,
    outboxes: InMemoryOutboxes,
) -> InMemoryTransactions:
    return InMemoryTransactions(lambda: (store.customers, deleted.copies, records.erasures, outboxes.added))


@pytest.fixture
def service(
    store: InMemoryCustomerStore,
    deleted: InMemoryDeletedCustomers,
    transactions: InMemoryTransactions,
    outboxes: InMemoryOutboxes,
) -> DeletionService:
    return DeletionService(store, deleted, outboxes, transactions, MONTH, origin)


@pytest.fixture
def customers(store: InMemoryCustomerStore) -> CustomerService:
    return CustomerService(store, Assigner(FakeModel(), 0.5), InMemoryOutboxes(), origin)


class TestDeletedCustomersFake(DeletedCustomersContract):
    """The contract on the fake."""


class TestTransactionsFake(TransactionsContract):
    """The contract on the fake."""


class TestDelete:
    def test_keeps_the_customer_until_the_retention_time_is_over(
        self, service: DeletionService, store: InMemoryCustomerStore, deleted: InMemoryDeletedCustomers
    ) -> None:
        customer = stored("A")
        store.insert(customer)
        service.delete("A")
        assert store.customers == {}
        (copy,) = deleted.copies.values()
        assert {**customer, "seq": 1}.items() <= copy.items()
        assert copy["expires_at"] - copy["deleted_at"] == MONTH

    def test_without_retention_keeps_nothing_not_even_what_was_kept_before(
        self,
        service: DeletionService,
        customers: CustomerService,
        store: InMemoryCustomerStore,
        deleted: InMemoryDeletedCustomers,
        outboxes: InMemoryOutboxes,
    ) -> None:
        first = customers.create("A", inputs()).customer
        service.delete("A")
        second = customers.create("A", inputs()).customer
        DeletionService(store, deleted, outboxes, InMemoryTransactions(), timedelta(), origin).delete("A")
        assert (store.customers, deleted.copies) == ({}, {})
        told = [(entry["created_at"], entry["seq"], entry["subject"]["id"]) for entry in outboxes.entries()]
        assert told == [(life["created_at"], seq, "A") for life in (first, second) for seq in (1, 2)]

    def test_of_nobody(self, service: DeletionService, deleted: InMemoryDeletedCustomers) -> None:
        with pytest.raises(CustomerNotFound, match="'A'"):
            service.delete("A")
        assert deleted.copies == {}

    def test_of_a_known_revision(self, service: DeletionService, store: InMemoryCustomerStore) -> None:
        customer = stored("A")
        store.insert(customer)
        service.delete("A", knowing(customer["revision"]))
        assert store.customers == {}

    @pytest.mark.parametrize(
        ("expected", "refusal"),
        [(knowing("older"), StaleRevision), (Precondition(none_of={"r"}), CustomerNotNew)],
        ids=["if-match", "if-none-match"],
    )
    def test_of_a_state_that_the_caller_rules_out(
        self,
        service: DeletionService,
        store: InMemoryCustomerStore,
        deleted: InMemoryDeletedCustomers,
        expected: Precondition,
        refusal: type[Exception],
    ) -> None:
        store.insert(stored("A") | {"revision": "r"})
        with pytest.raises(refusal):
            service.delete("A", expected)
        assert (list(store.customers), deleted.copies) == (["A"], {})

    def test_where_the_revision_must_be_known(
        self,
        store: InMemoryCustomerStore,
        deleted: InMemoryDeletedCustomers,
        transactions: InMemoryTransactions,
        outboxes: InMemoryOutboxes,
    ) -> None:
        service = DeletionService(store, deleted, outboxes, transactions, MONTH, origin, require_revision=True)
        customer = stored("A")
        store.insert(customer)
        with pytest.raises(RevisionRequired):
            service.delete("A")
        service.delete("A", knowing(customer["revision"]))

    def test_a_second_life_takes_the_place_of_the_first(
        self, service: DeletionService, store: InMemoryCustomerStore, deleted: InMemoryDeletedCustomers
    ) -> None:
        first, second = stored("A"), stored("A", BALANCE=5.0)
        second["created_at"] = second["updated_at"] = first["updated_at"] + timedelta(seconds=1)
        for customer in (first, second):
            store.insert(customer)
            service.delete("A")
        assert [copy["BALANCE"] for copy in deleted.copies.values()] == [5.0]
        assert service.restore("A").customer["BALANCE"] == 5.0

    def test_a_store_that_fails_before_the_deletion_deletes_nothing(
        self, service: DeletionService, store: InMemoryCustomerStore, deleted: InMemoryDeletedCustomers
    ) -> None:
        store.insert(stored("A"))
        deleted.failure = StoreUnavailable("away")
        with pytest.raises(StoreUnavailable):
            service.delete("A")
        assert list(store.customers) == ["A"]


class TestTransactions:
    def test_when_others_were_faster_it_is_done_again_and_told_once(
        self,
        service: DeletionService,
        store: InMemoryCustomerStore,
        transactions: InMemoryTransactions,
    ) -> None:
        store.insert(stored("A", BALANCE=3.0))
        transactions.conflicts = 2
        service.delete("A")
        transactions.conflicts = 2
        assert service.restore("A").customer["BALANCE"] == 3.0
        told = [(entry["seq"], entry["type"]) for entry in store.customers["A"]["outbox"]]
        assert told == [(1, "customer.deleted"), (2, "customer.restored")]

    def test_what_cannot_be_committed_changes_nothing(
        self,
        service: DeletionService,
        store: InMemoryCustomerStore,
        transactions: InMemoryTransactions,
        deleted: InMemoryDeletedCustomers,
    ) -> None:
        store.insert(stored("A"))
        transactions.failure = StoreUnavailable("away")
        with pytest.raises(StoreUnavailable):
            service.delete("A")
        assert (list(store.customers), deleted.copies) == (["A"], {})


class TestRestore:
    def test_brings_the_customer_back_as_it_was_as_a_new_revision(
        self,
        service: DeletionService,
        store: InMemoryCustomerStore,
        deleted: InMemoryDeletedCustomers,
        customers: CustomerService,
    ) -> None:
        before = customers.create("A", inputs(BALANCE=5_000)).customer
        service.delete("A")
        written = service.restore("A")
        changed = {name for name, value in written.customer.items() if before[name] != value} - {"updated_at"}
        assert changed == {"revision", "seq", "segment"}
        since = written.customer["updated_at"]
        assert written.customer["segment"] == {**before["segment"], "since": since, "cause": "restored"}
        assert written.customer.keys() == before.keys()
        assert (store.get("A"), deleted.copies) == (written.customer, {})
        assert (written.created, [w["code"] for w in written.warnings]) == (False, ["over_limit"])

    def test_of_nobody(self, service: DeletionService) -> None:
        with pytest.raises(CustomerNotDeleted, match="'A'"):
            service.restore("A")

    def test_of_a_living_one(self, service: DeletionService, store: InMemoryCustomerStore) -> None:
        store.insert(stored("A"))
        with pytest.raises(CustomerExists):
            service.restore("A")

    def test_of_an_id_that_is_taken_again_changes_nothing(
        self, service: DeletionService, store: InMemoryCustomerStore, deleted: InMemoryDeletedCustomers
    ) -> None:
        store.insert(stored("A"))
        service.delete("A")
        second = stored("A", BALANCE=5.0)
        store.insert(second)
        with pytest.raises(CustomerExists):
            service.restore("A")
        assert store.customers == {"A": second}
        store.customers.clear()
        assert service.restore("A").customer["BALANCE"] == 100.0

    def test_of_one_that_lacks_what_every_customer_must_have_by_now(
        self, service: DeletionService, deleted: InMemoryDeletedCustomers, store: InMemoryCustomerStore
    ) -> None:
        store.insert(stored("A", assignment()))
        service.delete("A")
        (copy,) = deleted.copies.values()
        del copy["TENURE"]
        service.restore("A")
        assert "TENURE" not in store.customers["A"]
        assert assignment().items() <= store.customers["A"]["segment"].items()


class TestReading:
    def test_get_tells_when_it_was_deleted_and_until_when_it_is_kept(
        self, service: DeletionService, store: InMemoryCustomerStore
    ) -> None:
        customer = stored("A")
        store.insert(customer)
        service.delete("A")
        found = service.get("A")
        assert found.keys() - customer.keys() == {"deleted_at", "expires_at"}

    def test_get_of_nobody(self, service: DeletionService) -> None:
        with pytest.raises(CustomerNotDeleted):
            service.get("A")

    @pytest.mark.parametrize(("limit", "pages"), [(1, ["B", "D", "E"]), (2, ["BD", "E"]), (3, ["BDE"]), (9, ["BDE"])])
    def test_pages_leave_out_those_who_live_again(
        self, service: DeletionService, store: InMemoryCustomerStore, limit: int, pages: list[str]
    ) -> None:
        for cust_id in "ABCDE":
            store.insert(stored(cust_id))
            service.delete(cust_id)
        for cust_id in "AC":
            store.insert(stored(cust_id))
        page = service.page(None, limit)
        found = ["".join(copy[CUST_ID] for copy in page.items)]
        while page.end:
            page = service.page(page.end, limit)
            found.append("".join(copy[CUST_ID] for copy in page.items))
        assert found == pages
