"""The customers service while others write the same customer between its read and its write."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fakes.changes import InMemoryOutboxes
from fakes.model import FakeModel
from fakes.store import InMemoryCustomerStore
from support.customers import inputs, knowing, origin, stored

from gateway.services.customers.assignment import Assigner
from gateway.services.customers.customer import Customer
from gateway.services.customers.customers import MAX_ATTEMPTS, CustomerService
from gateway.services.errors import Contended, StaleRevision


class OthersWrite(InMemoryCustomerStore):
    """A store in which others get in between a read and the write that follows, `times` times."""

    def __init__(self, times: int, interference: Callable[[InMemoryCustomerStore], object]) -> None:
        super().__init__()
        self.times = times
        self.interference = interference

    def get(self, cust_id: str) -> Customer | None:
        found = super().get(cust_id)
        if self.times:
            self.times -= 1
            self.interference(self)
        return found


def _put_another(store: InMemoryCustomerStore) -> None:
    store.customers["A"] = stored("A", TENURE=6)


def _delete(store: InMemoryCustomerStore) -> None:
    store.customers.pop("A", None)


def _racing(times: int, interference: Callable[[InMemoryCustomerStore], object]) -> tuple[OthersWrite, CustomerService]:
    store = OthersWrite(times, interference)
    return store, CustomerService(store, Assigner(FakeModel(), 0.5), InMemoryOutboxes(), origin)


class TestReplace:
    def test_starts_over_when_another_creates_it_first(self) -> None:
        store, service = _racing(1, _put_another)
        assert not service.replace("A", inputs(BALANCE=5.0)).created
        assert store.customers["A"]["BALANCE"] == 5.0

    def test_starts_over_when_another_deletes_it(self) -> None:
        store, service = _racing(1, _delete)
        store.insert(stored("A"))
        assert service.replace("A", inputs(BALANCE=5.0)).created

    def test_does_not_start_over_for_a_caller_who_named_a_revision(self) -> None:
        store, service = _racing(1, _put_another)
        store.insert(stored("A"))
        with pytest.raises(StaleRevision):
            service.replace("A", inputs(BALANCE=5.0), knowing(store.customers["A"]["revision"]))
        assert store.customers["A"]["TENURE"] == 6

    def test_gives_up_when_others_never_stop(self) -> None:
        store, service = _racing(10**9, _put_another)
        with pytest.raises(Contended, match="'A'"):
            service.replace("A", inputs(BALANCE=5.0))
        assert store.times == 10**9 - MAX_ATTEMPTS

    def test_succeeds_in_the_last_attempt(self) -> None:
        _, service = _racing(MAX_ATTEMPTS - 1, _put_another)
        assert service.replace("A", inputs(BALANCE=5.0)).customer["BALANCE"] == 5.0


class TestPatch:
    def test_is_made_to_what_others_wrote_meanwhile(self) -> None:
        store, service = _racing(1, _put_another)
        store.insert(stored("A"))
        written = service.patch("A", {"BALANCE": 5.0})
        assert (written.customer["BALANCE"], written.customer["TENURE"]) == (5.0, 6)
        assert store.get("A") == written.customer

    def test_gives_up_when_others_never_stop(self) -> None:
        store, service = _racing(10**9, _put_another)
        store.insert(stored("A"))
        with pytest.raises(Contended):
            service.patch("A", {"BALANCE": 5.0})
        assert store.customers["A"]["BALANCE"] == 100.0
