"""The right to erasure on fakes: every place, in whatever order things fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from contracts.customers import assignment
from contracts.deletions import ErasureRecordsContract, copy_of
from fakes.changes import InMemoryChangeLog, InMemoryOutboxes
from fakes.deletions import InMemoryDeletedCustomers, InMemoryErasureRecords, InMemoryTransactions
from fakes.gateway import FakeGateway
from fakes.store import InMemoryCustomerStore
from support.customers import ORIGIN, inputs, knowing, origin, stored

from gateway.services.customers import erasures as erasures_module
from gateway.services.customers.customer import changed_customer, deleted_customer, new_customer
from gateway.services.customers.erasures import CUSTOMERS, DELETED_CUSTOMERS, ErasureReceipt, ErasureService
from gateway.services.errors import (
    ErasureNotFound,
    ModelUnavailable,
    RegistryRefusal,
    RevisionRequired,
    SegmentationError,
    StaleRevision,
    StoreUnavailable,
)
from gateway.services.events.audit import ErasableChanges
from gateway.wiring import erasables
from shared.features import complete

AWAY = ModelUnavailable("away")


class Place:
    """A place with some entries about customers. Set `failure` to make it raise it."""

    def __init__(self, name: str, entries: int = 0) -> None:
        self.name = name
        self.entries = entries
        self.failure: BaseException | None = None
        self.meanwhile: Callable[[], object] = lambda: None

    def erase(self, cust_id: str) -> int:
        assert cust_id == "A"
        self.meanwhile()
        if self.failure:
            raise self.failure
        removed, self.entries = self.entries, 0
        return removed


class Kill(BaseException):
    """What kill -9 is to a test: nothing after it happens."""


class TestErasureRecordsFake(ErasureRecordsContract):
    @pytest.fixture
    def records(self) -> InMemoryErasureRecords:
        return InMemoryErasureRecords()


@pytest.fixture
def deleted() -> InMemoryDeletedCustomers:
    return InMemoryDeletedCustomers()


@pytest.fixture
def records() -> InMemoryErasureRecords:
    return InMemoryErasureRecords()


@pytest.fixture
def places() -> list[Place]:
    return [Place("idempotency", 3), Place("trainings", 1)]


@pytest.fixture
def log() -> InMemoryChangeLog:
    return InMemoryChangeLog()


@pytest.fixture
def outboxes(
    log: InMemoryChangeLog, store: InMemoryCustomerStore, deleted: InMemoryDeletedCustomers
) -> InMemoryOutboxes:
    return InMemoryOutboxes(log, store, deleted)


@pytest.fixture
def told(outboxes: InMemoryOutboxes, log: InMemoryChangeLog) -> ErasableChanges:
    return ErasableChanges(outboxes, log)


@pytest.fixture
def service(
    store: InMemoryCustomerStore,
    deleted: InMemoryDeletedCustomers,
    records: InMemoryErasureRecords,
    places: list[Place],
    outboxes: InMemoryOutboxes,
    told: ErasableChanges,
) -> ErasureService:
    transactions = InMemoryTransactions(lambda: (store.customers, deleted.copies, records.erasures, outboxes.added))
    return ErasureService(store, deleted, records, outboxes, transactions, told, places, "secret", origin)


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker take unfinished erasures over without waiting."""
    monkeypatch.setattr(erasures_module, "GRACE", timedelta(seconds=-1))


def everything(receipt: ErasureReceipt) -> dict[str, int]:
    assert (receipt["status"], receipt["remaining"]) == ("completed", [])
    assert receipt["completed_at"] is not None
    assert receipt["completed_at"] >= receipt["requested_at"]
    return dict(receipt["erased"])


class TestErase:
    def test_reaches_every_place(
        self, service: ErasureService, store: InMemoryCustomerStore, deleted: InMemoryDeletedCustomers
    ) -> None:
        store.insert_many([stored("A"), stored("B")])
        deleted.keep([copy_of("A"), copy_of("B")])
        receipt = service.erase("A")
        assert everything(receipt) == {CUSTOMERS: 1, DELETED_CUSTOMERS: 1, "audit": 0, "idempotency": 3, "trainings": 1}
        assert (list(store.customers), list(deleted.copies)) == (["B"], ["B"])
        assert service.get(receipt["id"]) == receipt

    def test_of_an_unknown_customer_is_no_error_and_asks_every_place(self, service: ErasureService) -> None:
        assert everything(service.erase("A")) == {
            CUSTOMERS: 0,
            DELETED_CUSTOMERS: 0,
            "audit": 0,
            "idempotency": 3,
            "trainings": 1,
        }

    def test_keeps_no_id_once_it_is_complete(self, service: ErasureService, records: InMemoryErasureRecords) -> None:
        receipt = service.erase("A")
        (kept,) = records.erasures.values()
        assert kept.cust_id is None
        assert "A" not in {value for value in receipt.values() if isinstance(value, str)}
        assert "'A'" not in repr(kept)

    def test_tells_whether_somebody_was_erased_to_who_knows_the_id(self, service: ErasureService) -> None:
        first, second = service.erase("A"), service.erase("A")
        assert {receipt["id"] for receipt in service.of("A")["items"]} == {first["id"], second["id"]}
        assert service.of("B") == {"items": []}

    def test_cannot_be_guessed_without_the_secret(
        self, service: ErasureService, records: InMemoryErasureRecords, store: InMemoryCustomerStore
    ) -> None:
        service.erase("A")
        other = ErasureService(
            store,
            InMemoryDeletedCustomers(),
            records,
            InMemoryOutboxes(),
            InMemoryTransactions(),
            Place("audit"),
            [],
            "another secret",
            origin,
        )
        assert other.of("A") == {"items": []}

    def test_is_told_and_what_waits_of_the_customer_goes_on_without_its_id(
        self,
        service: ErasureService,
        store: InMemoryCustomerStore,
        deleted: InMemoryDeletedCustomers,
        outboxes: InMemoryOutboxes,
        records: InMemoryErasureRecords,
    ) -> None:
        first = new_customer("A", complete(inputs()), assignment(), ORIGIN)
        second = new_customer("A", complete(inputs()), assignment(), ORIGIN)
        deleted.keep([deleted_customer(first, timedelta(days=1), ORIGIN)])
        store.insert(second)
        store.update(changed_customer(second, complete(inputs(BALANCE=7.0)), assignment("seg-02"), ORIGIN))
        receipt = service.erase("A")
        *waiting, erased = outboxes.entries()
        assert [e["type"].removeprefix("customer.") for e in waiting] == ["created", "deleted", "created", "updated"]
        assert all(e["subject"] == {"type": "customer", "id": None} and e["erased"] for e in waiting)
        assert waiting[-1]["fields"] == ["BALANCE"]
        assert "values" not in waiting[-1]
        assert (erased["type"], erased["subject"]["id"]) == ("customer.erased", receipt["id"])
        assert (erased["segment"]["from"], erased["segment"]["to"]) == ("seg-02", None)
        (record,) = records.erasures.values()
        assert (erased["erased_id"], erased["data"]) == ("A", {"digest": record.digest})

    def test_of_a_known_revision(self, service: ErasureService, store: InMemoryCustomerStore) -> None:
        customer = stored("A")
        store.insert(customer)
        receipt = service.erase("A", knowing(customer["revision"]))
        assert everything(receipt)[CUSTOMERS] == 1
        assert store.customers == {}

    @pytest.mark.parametrize("there", [True, False])
    def test_of_a_stale_revision_erases_nothing(
        self,
        service: ErasureService,
        store: InMemoryCustomerStore,
        records: InMemoryErasureRecords,
        places: list[Place],
        there: bool,
    ) -> None:
        if there:
            store.insert(stored("A"))
        with pytest.raises(StaleRevision):
            service.erase("A", knowing("older"))
        assert (len(store.customers), records.erasures, places[0].entries) == (there, {}, 3)

    def test_where_the_revision_must_be_known(
        self,
        store: InMemoryCustomerStore,
        deleted: InMemoryDeletedCustomers,
        records: InMemoryErasureRecords,
    ) -> None:
        service = ErasureService(
            store,
            deleted,
            records,
            InMemoryOutboxes(),
            InMemoryTransactions(),
            Place("audit"),
            [],
            "secret",
            origin,
            require_revision=True,
        )
        store.insert(stored("A"))
        with pytest.raises(RevisionRequired):
            service.erase("A")
        store.customers.clear()
        assert everything(service.erase("A"))[CUSTOMERS] == 0  # of a deleted one there is no revision to be known


class TestInterrupted:
    @pytest.mark.parametrize(
        "failure",
        [AWAY, RegistryRefusal(409, "training_running", "it runs"), StoreUnavailable("away")],
        ids=["away", "training", "store"],
    )
    @pytest.mark.usefixtures("_at_once")
    def test_a_place_that_fails_is_done_later_and_stops_no_other(
        self,
        service: ErasureService,
        places: list[Place],
        records: InMemoryErasureRecords,
        failure: SegmentationError,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        places[0].failure = failure
        receipt = service.erase("A")
        assert (receipt["status"], receipt["completed_at"]) == ("in_progress", None)
        assert receipt["remaining"] == ["idempotency"]
        assert dict(receipt["erased"]) == {CUSTOMERS: 0, DELETED_CUSTOMERS: 0, "audit": 0, "trainings": 1}
        assert "could not erase from idempotency" in caplog.text
        assert [erasure.cust_id for erasure in records.erasures.values()] == ["A"]
        assert service.run_once() == 1
        assert service.get(receipt["id"]) == receipt
        places[0].failure = None
        assert service.run_once() == 1
        assert everything(service.get(receipt["id"])) == {
            CUSTOMERS: 0,
            DELETED_CUSTOMERS: 0,
            "audit": 0,
            "idempotency": 3,
            "trainings": 1,
        }
        assert service.run_once() == 0

    @pytest.mark.usefixtures("_at_once")
    def test_killed_between_any_two_steps_it_is_finished_later(
        self, store: InMemoryCustomerStore, deleted: InMemoryDeletedCustomers, places: list[Place]
    ) -> None:
        for step in range(1, 4):
            killed, records = _killed_at_note(step), InMemoryErasureRecords()
            store.insert(stored("A"))
            places[0].entries = 3
            with pytest.raises(Kill):
                _service(store, deleted, killed, places).erase("A")
            records.erasures = killed.erasures
            service = _service(store, deleted, records, places)
            assert service.run_once() == 1
            (erasure,) = records.erasures.values()
            assert everything(service.get(erasure.id)).keys() == {
                CUSTOMERS,
                DELETED_CUSTOMERS,
                "audit",
                "idempotency",
                "trainings",
            }
            assert (store.customers, places[0].entries) == ({}, 0)

    @pytest.mark.usefixtures("_at_once")
    def test_a_customer_who_comes_anew_meanwhile_stays(
        self, service: ErasureService, store: InMemoryCustomerStore, places: list[Place]
    ) -> None:
        store.insert(stored("A"))
        places[1].failure = AWAY
        service.erase("A")
        again = stored("A")
        store.insert(again)
        places[1].failure = None
        service.run_once()
        assert store.customers == {"A": again}

    @pytest.mark.usefixtures("_at_once")
    def test_of_a_customer_who_comes_anew_after_a_kill_the_worker_leaves_what_is_told(
        self,
        service: ErasureService,
        store: InMemoryCustomerStore,
        places: list[Place],
        outboxes: InMemoryOutboxes,
        log: InMemoryChangeLog,
    ) -> None:
        def die() -> None:
            raise Kill

        def create() -> None:
            store.insert(new_customer("A", complete(inputs()), assignment(), ORIGIN))
            outboxes.move(10)

        create()
        places[0].meanwhile = die
        with pytest.raises(Kill):
            service.erase("A")
        create()
        places[0].meanwhile = lambda: None
        assert service.run_once() == 1
        assert [(e["seq"], e["subject"]["id"]) for e in log.of_customer("A", None, 10)] == [(1, "A")]

    def test_the_worker_leaves_an_erasure_to_its_request_for_a_while(
        self, service: ErasureService, places: list[Place]
    ) -> None:
        ran = []
        places[0].meanwhile = lambda: ran.append(service.run_once())
        assert service.erase("A")["status"] == "completed"
        assert ran == [0]

    @pytest.mark.usefixtures("_at_once")
    def test_two_at_once_do_no_harm_and_count_each_entry_once(
        self, service: ErasureService, places: list[Place]
    ) -> None:
        def other() -> None:
            places[0].meanwhile = lambda: None
            service.run_once()

        places[0].meanwhile = other
        assert everything(service.erase("A")) == {
            CUSTOMERS: 0,
            DELETED_CUSTOMERS: 0,
            "audit": 0,
            "idempotency": 3,
            "trainings": 1,
        }

    @pytest.mark.usefixtures("_at_once")
    def test_many_are_finished_in_one_pass(
        self, service: ErasureService, places: list[Place], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(erasures_module, "MAX_LISTED", 2)
        places[0].failure = AWAY
        for _ in range(5):
            service.erase("A")
        places[0].failure = None
        signs: list[str] = []
        assert service.run_once(lambda: signs.append("alive")) == 5
        assert len(signs) == 5
        assert service.run_once() == 0

    def test_a_database_that_goes_away_is_said_and_what_was_begun_is_on_record(
        self, service: ErasureService, records: InMemoryErasureRecords, places: list[Place]
    ) -> None:
        def go_away() -> None:
            records.failure = StoreUnavailable("away")

        places[0].meanwhile = go_away
        with pytest.raises(StoreUnavailable):
            service.erase("A")
        assert [erasure.cust_id for erasure in records.erasures.values()] == ["A"]


def _service(
    store: InMemoryCustomerStore,
    deleted: InMemoryDeletedCustomers,
    records: InMemoryErasureRecords,
    places: list[Place],
) -> ErasureService:
    transactions = InMemoryTransactions()
    return ErasureService(
        store, deleted, records, InMemoryOutboxes(), transactions, Place("audit"), places, "secret", origin
    )


def _killed_at_note(step: int) -> InMemoryErasureRecords:
    """Return records whose process is killed before they note the `step`-th thing; the last is the completion."""

    class Killed(InMemoryErasureRecords):
        left = step

        def note(self, erasure_id: str, place: str, entries: int) -> None:
            self._die()
            super().note(erasure_id, place, entries)

        def complete(self, erasure_id: str, at: object) -> None:
            self._die()

        def _die(self) -> None:
            self.left -= 1
            if not self.left:
                raise Kill

    return Killed()


def test_get_of_an_unknown_erasure(service: ErasureService) -> None:
    with pytest.raises(ErasureNotFound, match="'e9'"):
        service.get("e9")


def test_every_store_that_may_quote_a_customer_is_on_the_list(gateway: FakeGateway) -> None:
    """Imports keep line numbers and nothing of the rows; tests/e2e/test_erasure.py looks everywhere."""
    told, places = erasables(gateway.stores, gateway.registry, gateway.settings)
    assert {told.name, *(place.name for place in places)} == {
        "audit",
        "idempotency",
        "trainings",
        "webhooks",
    }
