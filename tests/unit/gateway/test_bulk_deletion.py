"""Deleting all customers that match: counted first, confirmed, in parts that go on later; on fakes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from fakes.changes import InMemoryOutboxes
from fakes.deletions import InMemoryDeletedCustomers, InMemoryTransactions
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.store import InMemoryCustomerStore
from support.customers import body, origin, stored
from support.problems import assert_problem

from gateway.services.customers import deletions
from gateway.services.customers.deletions import DeletionService
from gateway.services.customers.query import Condition, Filters, Op
from gateway.services.errors import MatchingDiffer, StoreUnavailable
from gateway.settings import Settings
from shared.features import CUST_ID

RICH: Filters = (Condition("BALANCE", Op.GTE, 5.0),)
MONTH = timedelta(days=30)


@pytest.fixture
def filled(gateway: FakeGateway) -> FakeGateway:
    """A gateway with customers C0 to C9, whose balances are their numbers."""
    rows = [body(f"C{n}", BALANCE=float(n)) for n in range(10)]
    assert gateway.client.post(f"{CUSTOMERS}/batch", json={"customers": rows}).json["created"] == 10
    return gateway


class TestOverHTTP:
    def test_a_dry_run_counts_and_deletes_nobody(self, filled: FakeGateway) -> None:
        answer = filled.client.delete(f"{CUSTOMERS}?BALANCE[gte]=5&dry_run=true")
        assert (answer.status_code, answer.json) == (
            200,
            {"dry_run": True, "matching": 5, "deleted": 0, "remaining": 5},
        )
        assert (len(filled.store.customers), filled.deleted.copies) == (10, {})

    def test_whoever_knows_the_number_deletes_them(self, filled: FakeGateway) -> None:
        answer = filled.client.delete(f"{CUSTOMERS}?BALANCE[gte]=5&confirm=5")
        assert (answer.status_code, answer.json) == (
            200,
            {"dry_run": False, "matching": 5, "deleted": 5, "remaining": 0},
        )
        assert sorted(filled.store.customers) == ["C0", "C1", "C2", "C3", "C4"]

    def test_each_is_told_and_can_be_restored(self, filled: FakeGateway) -> None:
        before = filled.client.get(f"{CUSTOMERS}/C7").json
        headers = {"X-Request-ID": "clean-up"}
        filled.client.delete(f"{CUSTOMERS}?BALANCE[gte]=5&confirm=5", headers=headers)
        told = {cust_id: copy["outbox"][-1] for cust_id, copy in filled.deleted.copies.items()}
        assert sorted(told) == ["C5", "C6", "C7", "C8", "C9"]
        assert {(entry["type"], entry["request_id"]) for entry in told.values()} == {("customer.deleted", "clean-up")}
        assert told["C7"]["before"] == before["revision"]
        restored = filled.client.post(f"{CUSTOMERS}/C7/restore")
        assert (restored.status_code, restored.json["BALANCE"]) == (200, 7.0)

    @pytest.mark.parametrize("number", [0, 4, 6, 10])
    def test_another_number_deletes_nobody_and_hears_the_true_one(self, filled: FakeGateway, number: int) -> None:
        answer = filled.client.delete(f"{CUSTOMERS}?BALANCE[gte]=5&confirm={number}")
        assert_problem(answer, 409, "count_mismatch", ["?confirm"])
        assert answer.json["detail"] == f"5 customers match, not {number}; none was deleted."
        assert answer.json["errors"][0]["detail"] == "must be 5, the number that match now"
        assert (len(filled.store.customers), filled.deleted.copies) == (10, {})

    def test_of_nobody(self, filled: FakeGateway) -> None:
        answer = filled.client.delete(f"{CUSTOMERS}?BALANCE[gte]=50&confirm=0")
        assert answer.json == {"dry_run": False, "matching": 0, "deleted": 0, "remaining": 0}

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("", "?all"),
            ("?confirm=10", "?all"),
            ("?dry_run=true", "?all"),
            ("?all=false&confirm=10", "?all"),
            ("?all=true&TENURE=12&confirm=10", "?all"),
            ("?all=true", "?confirm"),
            ("?TENURE=12", "?confirm"),
            ("?TENURE=12&dry_run=false", "?confirm"),
            ("?TENURE=12&confirm=-1", "?confirm"),
            ("?TENURE=12&confirm=ten", "?confirm"),
            ("?TENURE=12&confirm=10&confirm=10", "?confirm"),
            ("?TENURE=12&confirm=10&limit=5", "?limit"),
            ("?TENURES=12&confirm=10", "?TENURES"),
            ("?erase=true&TENURE=12&confirm=10", "?erase"),
        ],
    )
    def test_what_does_not_say_plainly_whom_it_means_deletes_nobody(
        self, filled: FakeGateway, query: str, pointer: str
    ) -> None:
        assert_problem(filled.client.delete(f"{CUSTOMERS}{query}"), 422, "validation_failed", [pointer])
        assert len(filled.store.customers) == 10

    def test_everybody(self, filled: FakeGateway) -> None:
        assert filled.client.delete(f"{CUSTOMERS}?all=true&dry_run=true").json["matching"] == 10
        assert filled.client.delete(f"{CUSTOMERS}?all=true&confirm=10").json["deleted"] == 10
        assert filled.store.customers == {}

    def test_without_retention_nothing_is_kept(self) -> None:
        gateway = FakeGateway(settings=Settings(deleted_retention_days=0))
        gateway.client.post(CUSTOMERS, json=body())
        assert gateway.client.delete(f"{CUSTOMERS}?all=true&confirm=1").json["deleted"] == 1
        assert gateway.deleted.copies == {}

    def test_needs_the_right_to_write(self, filled: FakeGateway) -> None:
        assert_problem(filled.anonymous.delete(f"{CUSTOMERS}?all=true&confirm=10"), 401, "unauthenticated")


class Meanwhile(InMemoryCustomerStore):
    """A store that lets others act before every part that is deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.others: Callable[[], object] = lambda: None

    def delete_many(self, cust_ids, filters):  # type: ignore[no-untyped-def]  # as the store has it
        self.others()
        return super().delete_many(cust_ids, filters)


class TestInParts:
    @pytest.fixture(autouse=True)
    def _two_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deletions, "DELETED_AT_ONCE", 2)

    @pytest.fixture
    def store(self) -> Meanwhile:
        store = Meanwhile()
        store.insert_many([stored(f"C{n}", BALANCE=float(n)) for n in range(10)])
        return store

    @pytest.fixture
    def deleted(self) -> InMemoryDeletedCustomers:
        return InMemoryDeletedCustomers()

    @pytest.fixture
    def transactions(self, store: Meanwhile, deleted: InMemoryDeletedCustomers) -> InMemoryTransactions:
        return InMemoryTransactions(lambda: (store.customers, deleted.copies))

    @pytest.fixture
    def make(
        self, store: Meanwhile, transactions: InMemoryTransactions, deleted: InMemoryDeletedCustomers
    ) -> Callable[..., DeletionService]:
        def make(clock: Callable[[], float] = lambda: 0.0) -> DeletionService:
            return DeletionService(
                store, deleted, InMemoryOutboxes(), transactions, MONTH, origin, seconds=5.0, clock=clock
            )

        return make

    def test_when_the_time_is_up_the_rest_is_left_for_another_call(
        self, make: Callable[..., DeletionService], store: Meanwhile, deleted: InMemoryDeletedCustomers
    ) -> None:
        times = iter([0.0, 1.0, 1.0, 1.0, 4.8, 4.9, 5.0, 5.0])
        first = make(lambda: next(times)).delete_matching(RICH, 5)
        assert first == {"dry_run": False, "matching": 5, "deleted": 4, "remaining": 1}
        assert make().delete_matching(RICH, 1)["remaining"] == 0
        assert (len(store.customers), len(deleted.copies)) == (5, 5)

    def test_what_fails_in_the_middle_goes_on_with_the_number_that_is_left(
        self, make: Callable[..., DeletionService], store: Meanwhile, deleted: InMemoryDeletedCustomers
    ) -> None:
        def fail_at_the_second() -> None:
            if len(store.customers) < 10:
                raise StoreUnavailable("away")

        store.others = fail_at_the_second
        with pytest.raises(StoreUnavailable):
            make().delete_matching(RICH, 5)
        assert len(store.customers) == len(deleted.copies) + 6 == 8
        store.others = lambda: None
        with pytest.raises(MatchingDiffer):
            make().delete_matching(RICH, 5)
        assert make().delete_matching(RICH, 3)["deleted"] == 3

    def test_who_no_longer_matches_stays_and_who_has_come_is_not_deleted_beyond_the_number(
        self, make: Callable[..., DeletionService], store: Meanwhile
    ) -> None:
        def change() -> None:
            store.customers["C5"]["BALANCE"] = 1.0
            store.customers.setdefault("C99", stored("C99", BALANCE=99.0))

        store.others = change
        done = make().delete_matching(RICH, 5)
        assert done == {"dry_run": False, "matching": 5, "deleted": 5, "remaining": 0}
        assert sorted(store.customers) == ["C0", "C1", "C2", "C3", "C4", "C5"]

    def test_never_more_than_confirmed_are_deleted(
        self, make: Callable[..., DeletionService], store: Meanwhile
    ) -> None:
        store.others = lambda: store.insert_many([stored(f"C9{n}", BALANCE=9.0) for n in range(5)])
        assert make().delete_matching(RICH, 5) == {"dry_run": False, "matching": 5, "deleted": 5, "remaining": 5}
        assert sorted(i for i in store.customers if len(i) == 3) == ["C90", "C91", "C92", "C93", "C94"]

    def test_when_others_were_faster_a_part_is_done_again(
        self,
        make: Callable[..., DeletionService],
        transactions: InMemoryTransactions,
        deleted: InMemoryDeletedCustomers,
    ) -> None:
        transactions.conflicts = 2
        assert make().delete_matching(RICH, 5)["deleted"] == 5
        assert len(deleted.copies) == 5

    def test_after_a_conflict_fewer_are_deleted_at_once_and_then_more_again(
        self,
        make: Callable[..., DeletionService],
        store: Meanwhile,
        transactions: InMemoryTransactions,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(deletions, "DELETED_AT_ONCE", 10)
        left: list[int] = []
        store.others = lambda: left.append(len(store.customers))
        transactions.conflicts = 6
        assert make().delete_matching((), 10)["deleted"] == 10
        assert left == [10] * 7 + [9, 7, 3]

    def test_ids_are_those_of_customers(self, make: Callable[..., DeletionService], store: Meanwhile) -> None:
        assert make().delete_matching((Condition(CUST_ID, Op.IN, ("C3", "C4")),), 2)["deleted"] == 2
        assert "C3" not in store.customers
