"""The customers service on fakes: writes with segments, revisions, and others who write at the same time."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.changes import InMemoryOutboxes
from fakes.model import DOWN, FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import inputs, knowing, origin

from gateway.services.customers.assignment import Assigner
from gateway.services.customers.customer import ASSIGNED, PENDING
from gateway.services.customers.customers import CustomerService
from gateway.services.errors import CustomerExists, CustomerNotFound, StaleRevision
from shared.features import complete


@pytest.fixture
def service(store: InMemoryCustomerStore, model: FakeModel) -> CustomerService:
    return CustomerService(store, Assigner(model, 0.5), InMemoryOutboxes(), origin)


class TestCreate:
    def test_stores_the_customer_with_its_segment(self, service: CustomerService, store: InMemoryCustomerStore) -> None:
        written = service.create("A", inputs(BALANCE=5_000))
        assert written.created
        assert store.get("A") == written.customer
        assert written.customer["segment"]["id"] == "seg-02"
        assert written.customer["segment"]["rival"] == "seg-01"
        assert written.customer["segment_status"] == ASSIGNED
        assert complete(inputs(BALANCE=5_000)).items() <= written.customer.items()

    def test_gives_the_model_the_short_deadline(self, service: CustomerService, model: FakeModel) -> None:
        service.create("A", inputs())
        assert model.deadlines == [0.5]

    def test_needs_no_model(self, service: CustomerService, model: FakeModel, store: InMemoryCustomerStore) -> None:
        model.failure = DOWN
        service.create("A", inputs())
        assert store.customers["A"]["segment"] is None
        assert store.customers["A"]["segment_status"] == PENDING

    def test_of_a_taken_id(self, service: CustomerService, store: InMemoryCustomerStore) -> None:
        first = service.create("A", inputs())
        with pytest.raises(CustomerExists, match="'A'"):
            service.create("A", inputs(BALANCE=5.0))
        assert store.get("A") == first.customer

    def test_warns_of_what_looks_odd(self, service: CustomerService) -> None:
        warnings = service.create("A", inputs(TENURE=3, AVERAGE_PURCHASE_TRX=1.0)).warnings
        assert [w["code"] for w in warnings] == ["short_tenure", "derived_differs"]


class TestReplace:
    def test_creates_what_is_not_there(self, service: CustomerService, store: InMemoryCustomerStore) -> None:
        assert service.replace("A", inputs()).created
        assert list(store.customers) == ["A"]

    def test_replaces_every_feature(self, service: CustomerService, store: InMemoryCustomerStore) -> None:
        before = service.create("A", inputs(MINIMUM_PAYMENTS=5.0)).customer
        sent = inputs(BALANCE=5_000)
        del sent["MINIMUM_PAYMENTS"]
        written = service.replace("A", sent)
        assert not written.created
        assert store.get("A") == written.customer
        assert written.customer["MINIMUM_PAYMENTS"] is None
        assert written.customer["segment"]["id"] == "seg-02"
        assert written.customer["revision"] != before["revision"]
        assert written.customer["created_at"] == before["created_at"]
        assert written.customer["updated_at"] >= before["updated_at"]

    def test_by_the_same_keeps_the_revision_and_asks_no_model(self, service: CustomerService, model: FakeModel) -> None:
        before = service.create("A", inputs()).customer
        written = service.replace("A", {**inputs(), "AVERAGE_PURCHASE_TRX": 1.0})
        assert (written.customer, written.created) == (before, False)
        assert [w["code"] for w in written.warnings] == ["derived_differs"]
        assert model.calls == [("predict", 1)]

    def test_of_a_known_revision(self, service: CustomerService) -> None:
        revision = service.create("A", inputs()).customer["revision"]
        assert service.replace("A", inputs(BALANCE=5.0), knowing("older", revision)).customer["BALANCE"] == 5.0

    @pytest.mark.parametrize("sent", [inputs(), inputs(BALANCE=5.0)])
    def test_of_a_stale_revision(self, service: CustomerService, sent: dict[str, Any]) -> None:
        before = service.create("A", inputs()).customer
        with pytest.raises(StaleRevision, match="'A'"):
            service.replace("A", sent, knowing("older"))
        assert service.get("A") == before

    def test_of_a_revision_of_nobody(self, service: CustomerService, store: InMemoryCustomerStore) -> None:
        with pytest.raises(StaleRevision):
            service.replace("A", inputs(), knowing("older"))
        assert store.customers == {}


class TestPatch:
    def test_changes_some_features_and_keeps_the_others(self, service: CustomerService) -> None:
        before = service.create("A", inputs()).customer
        written = service.patch("A", {"BALANCE": 5_000.0, "PURCHASES_TRX": 4})
        changed = {name for name, value in written.customer.items() if before[name] != value} - {"updated_at"}
        assert changed == {"BALANCE", "PURCHASES_TRX", "AVERAGE_PURCHASE_TRX", "segment", "revision", "seq"}

    def test_null_clears_a_nullable_feature(self, service: CustomerService) -> None:
        service.create("A", inputs())
        assert service.patch("A", {"MINIMUM_PAYMENTS": None}).customer["MINIMUM_PAYMENTS"] is None

    @pytest.mark.parametrize("changes", [{}, {"BALANCE": 100.0}, {"AVERAGE_PURCHASE_TRX": 3.0}])
    def test_that_changes_nothing_keeps_the_revision(self, service: CustomerService, changes: dict[str, Any]) -> None:
        before = service.create("A", inputs()).customer
        assert service.patch("A", changes).customer == before

    def test_of_nobody(self, service: CustomerService) -> None:
        with pytest.raises(CustomerNotFound, match="'A'"):
            service.patch("A", {"BALANCE": 1.0})

    def test_of_a_stale_revision(self, service: CustomerService) -> None:
        service.create("A", inputs())
        with pytest.raises(StaleRevision):
            service.patch("A", {"BALANCE": 1.0}, knowing())


class TestReading:
    def test_get_of_nobody(self, service: CustomerService) -> None:
        with pytest.raises(CustomerNotFound, match="'A'"):
            service.get("A")


def test_revisions_are_never_used_twice(service: CustomerService, store: InMemoryCustomerStore) -> None:
    seen = set()
    for _ in range(5):
        seen.add(service.create("A", inputs()).customer["revision"])
        seen.add(service.patch("A", {"BALANCE": 7.0}).customer["revision"])
        store.delete("A")
    assert len(seen) == 10
