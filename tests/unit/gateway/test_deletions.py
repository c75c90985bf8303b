"""Deleting and restoring on fakes: what can be brought back, and what happens when others do things meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from contracts.deletions import DeletedCustomersContract
from fakes.audit import auditor
from fakes.deletions import InMemoryDeletedCustomers
from fakes.model import FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import inputs, knowing, stored

from gateway.services.customers import deletions
from gateway.services.customers.assignment import Assigner
from gateway.services.customers.customer import Customer
from gateway.services.customers.customers import CustomerService
from gateway.services.customers.deletions import DeletionService
from gateway.services.customers.erasures import ErasureService
from gateway.services.customers.preconditions import Precondition
from gateway.services.errors import (
    Contended,
    CustomerExists,
    CustomerNotDeleted,
    CustomerNotFound,
    CustomerNotNew,
    InvalidInput,
    RevisionRequired,
    StaleRevision,
    StoreUnavailable,
)
from shared.features import CUST_ID

MONTH = timedelta(days=30)


class Crash(Exception):
    """What kill -9 is to a test: nothing after it happens."""


class Meanwhile(InMemoryCustomerStore):
    """A store that lets others act just before the next call of a method: ``store.before["delete"] = others``."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Callable[[], object]] = {}

    def _come(self, method: str) -> None:
        self.before.pop(method, lambda: None)()

    def insert(self, customer: Customer) -> None:
        self._come("insert")
        super().insert(customer)
        self._come("inserted")

    def delete(self, cust_id: str, expected_revision: str | None) -> bool:
        self._come("delete")
        done = super().delete(cust_id, expected_revision)
        self._come("deleted")
        return done


def erases_nobody(_cust_id: str, _created_at: datetime) -> bool:
    """Stands in for the erasures where there are none."""
    return False


class TestDeletedCustomersFake(DeletedCustomersContract):
    @pytest.fixture
    def deleted(self) -> InMemoryDeletedCustomers:
        return InMemoryDeletedCustomers()


@pytest.fixture
def store() -> Meanwhile:
    return Meanwhile()


@pytest.fixture
def deleted() -> InMemoryDeletedCustomers:
    return InMemoryDeletedCustomers()


@pytest.fixture
def service(store: Meanwhile, deleted: InMemoryDeletedCustomers) -> DeletionService:
    return DeletionService(store, deleted, erases_nobody, MONTH, auditor())


@pytest.fixture
def customers(store: Meanwhile) -> CustomerService:
    return CustomerService(store, Assigner(FakeModel(), 0.5), auditor())


class TestDelete:
    def test_keeps_the_customer_until_the_retention_time_is_over(
        self, service: DeletionService, store: Meanwhile, deleted: InMemoryDeletedCustomers
    ) -> None:
        customer = stored("A")
        store.insert(customer)
        service.delete("A")
        assert store.customers == {}
        (copy,) = deleted.copies.values()
        assert customer.items() <= copy.items()
        assert copy["expires_at"] - copy["deleted_at"] == MONTH

    def test_without_retention_keeps_nothing_not_even_what_was_kept_before(
        self, service: DeletionService, store: Meanwhile, deleted: InMemoryDeletedCustomers
    ) -> None:
        store.insert(stored("A"))
        service.delete("A")
        store.insert(stored("A"))
        DeletionService(store, deleted, erases_nobody, timedelta(), auditor()).delete("A")
        assert (store.customers, deleted.copies) == ({}, {})

    def test_of_nobody(self, service: DeletionService, deleted: InMemoryDeletedCustomers) -> None:
        with pytest.raises(CustomerNotFound, match="'A'"):
            service.delete("A")
        assert deleted.copies == {}

    def test_of_a_known_revision(self, service: DeletionService, store: Meanwhile) -> None:
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
        store: Meanwhile,
        deleted: InMemoryDeletedCustomers,
        expected: Precondition,
        refusal: type[Exception],
    ) -> None:
        store.insert(stored("A") | {"revision": "r"})
        with pytest.raises(refusal):
            service.delete("A", expected)
        assert (list(store.customers), deleted.copies) == (["A"], {})

    def test_where_the_revision_must_be_known(self, store: Meanwhile, deleted: InMemoryDeletedCustomers) -> None:
        service = DeletionService(store, deleted, erases_nobody, MONTH, auditor(), require_revision=True)
        customer = stored("A")
        store.insert(customer)
        with pytest.raises(RevisionRequired):
            service.delete("A")
        service.delete("A", knowing(customer["revision"]))

    def test_a_second_life_takes_the_place_of_the_first(
        self, service: DeletionService, store: Meanwhile, deleted: InMemoryDeletedCustomers
    ) -> None:
        first, second = stored("A"), stored("A", BALANCE=5.0)
        second["created_at"] = second["updated_at"] = first["updated_at"] + timedelta(seconds=1)
        for customer in (first, second):
            store.insert(customer)
            service.delete("A")
        assert [copy["BALANCE"] for copy in deleted.copies.values()] == [5.0]
        assert service.restore("A").customer["BALANCE"] == 5.0

    def test_a_store_that_fails_before_the_deletion_deletes_nothing(
        self, service: DeletionService, store: Meanwhile, deleted: InMemoryDeletedCustomers
    ) -> None:
        store.insert(stored("A"))
        deleted.failure = StoreUnavailable("away")
        with pytest.raises(StoreUnavailable):
            service.delete("A")
        assert list(store.customers) == ["A"]


class TestRaces:
    def test_a_change_that_comes_first_is_what_is_deleted(
        self, service: DeletionService, store: Meanwhile, customers: CustomerService
    ) -> None:
        store.insert(stored("A"))
        store.before["delete"] = lambda: customers.patch("A", {"BALANCE": 7.0})
        service.delete("A")
        assert service.restore("A").customer["BALANCE"] == 7.0

    def test_a_change_that_comes_first_stops_who_knows_the_revision_before(
        self, service: DeletionService, store: Meanwhile, customers: CustomerService, deleted: InMemoryDeletedCustomers
    ) -> None:
        customer = stored("A")
        store.insert(customer)
        store.before["delete"] = lambda: customers.patch("A", {"BALANCE": 7.0})
        with pytest.raises(StaleRevision):
            service.delete("A", knowing(customer["revision"]))
        assert (store.customers["A"]["BALANCE"], deleted.copies) == (7.0, {})

    def test_of_two_deletions_one_counts_and_its_copy_stays(self, service: DeletionService, store: Meanwhile) -> None:
        store.insert(stored("A", BALANCE=3.0))
        store.before["delete"] = lambda: service.delete("A")
        with pytest.raises(CustomerNotFound):
            service.delete("A")
        assert service.restore("A").customer["BALANCE"] == 3.0

    def test_a_late_deletion_of_an_older_state_never_comes_to_light(
        self, service: DeletionService, store: Meanwhile, customers: CustomerService, deleted: InMemoryDeletedCustomers
    ) -> None:
        store.insert(stored("A", BALANCE=3.0))
        restored = []

        def others() -> None:
            customers.patch("A", {"BALANCE": 7.0})
            service.delete("A")
            restored.append(service.restore("A").customer)
            service.delete("A")

        store.before["delete"] = others
        with pytest.raises(CustomerNotFound):
            service.delete("A")
        assert restored[0]["BALANCE"] == 7.0
        assert service.restore("A").customer["BALANCE"] == 7.0
        assert deleted.copies == {}

    def test_of_two_restores_one_succeeds(self, service: DeletionService, store: Meanwhile) -> None:
        store.insert(stored("A"))
        service.delete("A")
        refusals = []

        def other() -> None:
            with pytest.raises(CustomerNotDeleted) as caught:
                service.restore("A")
            refusals.append(caught.value)

        store.before["insert"] = other
        service.restore("A")
        assert len(refusals) == 1
        with pytest.raises(CustomerExists):
            service.restore("A")

    def test_gives_up_when_others_never_stop(self, deleted: InMemoryDeletedCustomers) -> None:
        class OthersDelete(InMemoryCustomerStore):
            def delete(self, cust_id: str, expected_revision: str | None) -> bool:
                return False

        store = OthersDelete()
        store.insert(stored("A"))
        with pytest.raises(Contended):
            DeletionService(store, deleted, erases_nobody, MONTH, auditor()).delete("A")
        assert deleted.copies == {}

    @pytest.mark.parametrize("when", ["insert", "inserted"])
    def test_who_is_erased_during_a_restore_does_not_come_back(
        self, service: DeletionService, store: Meanwhile, gateway: Any, when: str
    ) -> None:
        store.insert(stored("A"))
        service.delete("A")
        erasures = _erasures(store, service, gateway)
        store.before[when] = lambda: erasures.erase("A")
        with pytest.raises(CustomerNotDeleted):
            service.restore("A")
        assert store.customers == {}

    def test_who_is_erased_during_a_restore_and_deleted_at_once_is_not_kept(
        self, service: DeletionService, store: Meanwhile, deleted: InMemoryDeletedCustomers, gateway: Any
    ) -> None:
        erasures, others = _erasures_and_others(store, service, gateway)
        store.insert(stored("A"))
        service.delete("A")
        store.before = {"insert": lambda: erasures.erase("A"), "inserted": lambda: others.delete("A")}
        with pytest.raises(CustomerNotDeleted):
            service.restore("A")
        assert (store.customers, deleted.copies) == ({}, {})

    def test_an_erasure_of_a_stale_revision_keeps_nobody_from_being_deleted_as_usual(
        self, store: Meanwhile, service: DeletionService, gateway: Any
    ) -> None:
        erasures, others = _erasures_and_others(store, service, gateway)
        store.insert(stored("A"))
        revision = store.customers["A"]["revision"]
        # Deleted, and restored as another revision, just before the erasure would remove the one it knows.
        store.before["delete"] = lambda: (others.delete("A"), others.restore("A"), others.delete("A"))
        with pytest.raises(StaleRevision):
            erasures.erase("A", knowing(revision))
        assert others.restore("A").customer["CUST_ID"] == "A"

    def test_who_is_erased_during_a_deletion_is_not_kept(
        self, service: DeletionService, store: Meanwhile, deleted: InMemoryDeletedCustomers, gateway: Any
    ) -> None:
        store.insert(stored("A"))
        erasures = _erasures(store, service, gateway)
        store.before["delete"] = lambda: erasures.erase("A")
        with pytest.raises(CustomerNotFound):
            service.delete("A")
        assert (store.customers, deleted.copies) == ({}, {})

    def test_a_copy_that_expires_during_a_restore_takes_the_customer_along(
        self, service: DeletionService, store: Meanwhile, deleted: InMemoryDeletedCustomers, customers: CustomerService
    ) -> None:
        store.insert(stored("A"))
        service.delete("A")

        def others() -> None:
            deleted.copies.clear()
            customers.patch("A", {"BALANCE": 7.0})

        store.before["inserted"] = others
        with pytest.raises(CustomerNotDeleted):
            service.restore("A")
        assert store.customers == {}


def _erasures_and_others(
    store: Meanwhile, service: DeletionService, gateway: Any
) -> tuple[ErasureService, DeletionService]:
    """Return the erasures, and the deletions of another process, which asks them."""
    erasures = _erasures(store, service, gateway)
    return erasures, DeletionService(store, service._deleted, erasures.concerns, MONTH, auditor())


def _erasures(store: Meanwhile, service: DeletionService, gateway: Any) -> ErasureService:
    return ErasureService(store, service._deleted, gateway.erasures, [], "secret", auditor())


class TestCrashes:
    def test_before_the_deletion_leaves_a_copy_that_nobody_sees(
        self, service: DeletionService, store: Meanwhile, customers: CustomerService, deleted: InMemoryDeletedCustomers
    ) -> None:
        old = stored("A")
        old["updated_at"] -= timedelta(seconds=1)
        store.insert(old)
        store.before["delete"] = _crash
        with pytest.raises(Crash):
            service.delete("A")
        assert len(deleted.copies) == 1
        with pytest.raises(CustomerNotDeleted):
            service.get("A")
        with pytest.raises(CustomerExists):
            service.restore("A")
        assert service.page(None, 5).items == []
        customers.patch("A", {"BALANCE": 7.0})
        service.delete("A")
        assert service.get("A")["BALANCE"] == 7.0
        assert len(deleted.copies) == 1

    def test_after_the_deletion_leaves_a_customer_that_can_be_restored_a_while_later(
        self, service: DeletionService, store: Meanwhile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.insert(stored("A"))
        store.before["deleted"] = _crash
        with pytest.raises(Crash):
            service.delete("A")
        assert service.page(None, 5).items == []
        _let_time_pass(monkeypatch)
        assert len(service.page(None, 5).items) == 1
        assert service.restore("A").customer[CUST_ID] == "A"

    def test_before_a_restore_brought_the_customer_back_leaves_it_to_a_later_one(
        self, service: DeletionService, store: Meanwhile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.insert(stored("A"))
        service.delete("A")
        store.before["insert"] = _crash
        with pytest.raises(Crash):
            service.restore("A")
        with pytest.raises(CustomerNotDeleted):
            service.restore("A")
        _let_time_pass(monkeypatch)
        assert service.restore("A").customer[CUST_ID] == "A"

    def test_in_the_middle_of_a_restore_leaves_the_customer_alone(
        self, service: DeletionService, store: Meanwhile
    ) -> None:
        store.insert(stored("A"))
        service.delete("A")
        store.before["inserted"] = _crash
        with pytest.raises(Crash):
            service.restore("A")
        assert list(store.customers) == ["A"]
        assert service.page(None, 5).items == []
        service.delete("A")
        assert len(service.page(None, 5).items) == 1


def _crash() -> None:
    raise Crash


def _let_time_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    at = deletions.now() + deletions.IN_PROGRESS_TIME
    monkeypatch.setattr(deletions, "now", lambda: at)


class TestRestore:
    def test_brings_the_customer_back_as_it_was_as_a_new_revision(
        self, service: DeletionService, store: Meanwhile, deleted: InMemoryDeletedCustomers, customers: CustomerService
    ) -> None:
        before = customers.create("A", inputs(BALANCE=5_000)).customer
        service.delete("A")
        written = service.restore("A")
        changed = {name for name, value in written.customer.items() if before[name] != value} - {"updated_at"}
        assert changed == {"revision"}
        assert written.customer.keys() == before.keys()
        assert (store.customers, deleted.copies) == ({"A": written.customer}, {})
        assert (written.created, [w["code"] for w in written.warnings]) == (False, ["over_limit"])

    def test_of_nobody(self, service: DeletionService) -> None:
        with pytest.raises(CustomerNotDeleted, match="'A'"):
            service.restore("A")

    def test_of_a_living_one(self, service: DeletionService, store: Meanwhile) -> None:
        store.insert(stored("A"))
        with pytest.raises(CustomerExists):
            service.restore("A")

    def test_of_an_id_that_is_taken_again_changes_nothing(
        self, service: DeletionService, store: Meanwhile, deleted: InMemoryDeletedCustomers
    ) -> None:
        store.insert(stored("A"))
        service.delete("A")
        second = stored("A", BALANCE=5.0)
        store.before["insert"] = lambda: InMemoryCustomerStore.insert(store, second)
        with pytest.raises(CustomerExists):
            service.restore("A")
        assert store.customers == {"A": second}
        store.customers.clear()
        assert service.restore("A").customer["BALANCE"] == 100.0

    def test_of_one_that_lacks_what_every_customer_must_have_by_now(
        self, service: DeletionService, deleted: InMemoryDeletedCustomers, store: Meanwhile
    ) -> None:
        store.insert(stored("A"))
        service.delete("A")
        (copy,) = deleted.copies.values()
        del copy["TENURE"]
        with pytest.raises(InvalidInput) as caught:
            service.restore("A")
        assert [error["pointer"] for error in caught.value.errors] == ["/TENURE"]
        assert store.customers == {}


class TestReading:
    def test_get_tells_when_it_was_deleted_and_until_when_it_is_kept(
        self, service: DeletionService, store: Meanwhile
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
        self, service: DeletionService, store: Meanwhile, limit: int, pages: list[str]
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
