"""What every `DeletedCustomers`, `ErasureRecords` and `Transactions` does: run over the fakes and a real mongod."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from support.customers import ORIGIN, inputs, stored

from contracts.changes import about
from gateway.services.customers.customer import Customer, DeletedCustomer, deleted_customer, new_customer
from gateway.services.customers.deletions import DeletedCustomers
from gateway.services.customers.erasures import Erasure, ErasureRecords
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import CustomerExists
from gateway.services.events.log import Outboxes
from gateway.services.transactions import Transactions
from shared.features import CUST_ID, complete

AT = datetime(2124, 5, 1, 12, 0, 0, 123000)  # in UTC; far enough ahead that nothing expires meanwhile
MINUTE = timedelta(minutes=1)


def copy_of(cust_id: str, **changes: Any) -> DeletedCustomer:
    """Return the copy of a customer that was deleted at `AT`."""
    return {**stored(cust_id, **changes), "deleted_at": AT, "expires_at": AT + timedelta(days=1)}


class DeletedCustomersContract:
    """Subclass it in a test module and give it a fixture `deleted` with an empty store."""

    def test_what_is_kept_comes_back_as_it_was(self, deleted: DeletedCustomers) -> None:
        copy = copy_of("A", MINIMUM_PAYMENTS=None)
        deleted.keep([copy])
        found = deleted.get("A")
        assert found == copy
        assert {name: type(value) for name, value in (found or {}).items()} == {n: type(v) for n, v in copy.items()}

    def test_nobody(self, deleted: DeletedCustomers) -> None:
        assert deleted.get("A") is None
        assert deleted.take(["A"]) == deleted.take([]) == deleted.take(["A", "B"]) == deleted.page(None, 5) == []

    def test_a_later_copy_takes_the_place_of_an_earlier_one(self, deleted: DeletedCustomers) -> None:
        earlier, later, other = copy_of("A"), copy_of("A", BALANCE=5.0), copy_of("B")
        deleted.keep([earlier])
        deleted.keep([other, later])
        assert deleted.page(None, 5) == [later, other]

    def test_a_copy_is_taken_once(self, deleted: DeletedCustomers) -> None:
        copy = copy_of("A")
        deleted.keep([copy, copy_of("B")])
        assert deleted.take(["A"]) == [{**copy, "outbox": []}]
        assert deleted.take(["A"]) == []
        assert [copy[CUST_ID] for copy in deleted.page(None, 5)] == ["B"]

    def test_many_are_taken_at_once(self, deleted: DeletedCustomers) -> None:
        deleted.keep([copy_of("A"), copy_of("B"), copy_of("C")])
        assert {copy[CUST_ID] for copy in deleted.take(["C", "A", "nobody"])} == {"A", "C"}
        assert [copy[CUST_ID] for copy in deleted.page(None, 5)] == ["B"]

    def test_a_later_copy_continues_the_outbox_of_the_earlier_one(self, deleted: DeletedCustomers) -> None:
        first, second = (new_customer("A", complete(inputs()), None, ORIGIN) for _ in range(2))
        first["due"]["was"] = "seg-07"
        del second["due"]
        copies = [deleted_customer(customer, MINUTE, ORIGIN) for customer in (first, second)]
        for copy in copies:
            deleted.keep([copy])
        assert deleted.get("A") == {name: value for name, value in copies[1].items() if name != "outbox"}
        assert deleted.take(["A"]) == [{**copies[1], "outbox": [*copies[0]["outbox"], *copies[1]["outbox"]]}]

    def test_pages_are_in_order(self, deleted: DeletedCustomers) -> None:
        deleted.keep([copy_of(cust_id) for cust_id in ("b", "A", "C", "a")])
        assert [copy[CUST_ID] for copy in deleted.page(None, 3)] == ["A", "C", "a"]
        assert [copy[CUST_ID] for copy in deleted.page("a", 3)] == ["b"]


class TransactionsContract:
    """Subclass it and give it the fixtures `transactions` and `store`, `deleted`, `records`, `outboxes`, all empty."""

    def test_all_that_was_written_takes_effect(
        self,
        transactions: Transactions,
        store: CustomerStore,
        deleted: DeletedCustomers,
        records: ErasureRecords,
        outboxes: Outboxes,
    ) -> None:
        customer, copy = stored("A"), copy_of("B")

        def work() -> str:
            store.insert(customer)
            deleted.keep([copy])
            records.add(erasure())
            outboxes.add([about("api_key", "k1")])
            return "done"

        assert transactions.run(work) == "done"
        assert (store.get("A"), deleted.get("B"), records.get("e1")) == (customer, copy, erasure())
        assert outboxes.waiting().entries == 1

    def test_an_error_leaves_everything_as_it_was(
        self,
        transactions: Transactions,
        store: CustomerStore,
        deleted: DeletedCustomers,
        records: ErasureRecords,
        outboxes: Outboxes,
    ) -> None:
        customers, copies = [stored("A"), stored("B")], [copy_of("C"), copy_of("D")]
        store.insert_many(customers)
        deleted.keep(copies)

        def work() -> None:
            assert store.delete("A") == customers[0]
            assert sorted(copy[CUST_ID] for copy in deleted.take(["C", "D"])) == ["C", "D"]
            deleted.keep([copy_of("A")])
            records.add(erasure())
            outboxes.add([about("api_key", "k1")])
            store.insert(stored("B"))

        with pytest.raises(CustomerExists):
            transactions.run(work)
        assert store.get_many(["A", "B"]) == {"A": customers[0], "B": customers[1]}
        assert deleted.page(None, 5) == copies
        assert records.get("e1") is None
        assert outboxes.waiting().entries == 0

    def test_what_is_written_in_it_is_read_in_it(
        self, transactions: Transactions, store: CustomerStore, deleted: DeletedCustomers
    ) -> None:
        customer, copy = stored("A"), copy_of("A")

        def work() -> tuple[Customer | None, list[DeletedCustomer], Customer | None]:
            deleted.keep([copy])
            store.insert(customer)
            return store.get("A"), deleted.take(["A"]), store.delete("A")

        assert transactions.run(work) == (customer, [{**copy, "outbox": []}], customer)
        assert (store.get("A"), deleted.get("A")) == (None, None)


def erasure(identity: str = "e1", digest: str = "h1", minutes: int = 0, cust_id: str | None = "A") -> Erasure:
    """Return an erasure asked for so many minutes after `AT`."""
    at = AT + minutes * MINUTE
    return Erasure(id=identity, digest=digest, cust_id=cust_id, requested_at=at)


class ErasureRecordsContract:
    """Subclass it in a test module and give it a fixture `records` with an empty store."""

    def test_what_is_added_comes_back(self, records: ErasureRecords) -> None:
        records.add(erasure())
        assert records.get("e1") == erasure()
        assert records.get("e2") is None

    def test_entries_of_a_place_add_up_and_none_is_noted_too(self, records: ErasureRecords) -> None:
        records.add(erasure())
        for place, number in (("customers", 1), ("audit", 0), ("customers", 2)):
            records.note("e1", place, number)
        found = records.get("e1")
        assert found is not None
        assert found.erased == {"customers": 3, "audit": 0}

    def test_a_complete_one_does_not_name_the_customer(self, records: ErasureRecords) -> None:
        records.add(erasure())
        records.complete("e1", AT + MINUTE)
        found = records.get("e1")
        assert found is not None
        assert (found.cust_id, found.completed_at) == (None, AT + MINUTE)
        assert records.unfinished(AT + MINUTE, None, 5) == []

    def test_those_of_one_customer_come_newest_first(self, records: ErasureRecords) -> None:
        for place, minutes in enumerate([1, 3, 2]):
            records.add(erasure(f"e{place}", minutes=minutes))
        records.add(erasure("other", "h2"))
        assert [found.id for found in records.of("h1", 5)] == ["e1", "e2", "e0"]
        assert [found.id for found in records.of("h1", 1)] == ["e1"]
        assert records.of("h3", 5) == []

    def test_all_of_them_come_by_id(self, records: ErasureRecords) -> None:
        for identity in ("c", "a", "b"):
            records.add(erasure(identity, f"digest of {identity}"))
        records.complete("a", AT)
        assert [found.id for found in records.page(None, 5)] == ["a", "b", "c"]
        assert [found.id for found in records.page("a", 1)] == ["b"]
        assert records.page("c", 5) == []

    def test_unfinished_ones_come_by_id_once_they_are_old_enough(self, records: ErasureRecords) -> None:
        for identity, minutes in (("c", 1), ("a", 1), ("b", 2), ("d", 3)):
            records.add(erasure(identity, minutes=minutes))
        records.complete("a", AT)
        until = AT + 2 * MINUTE
        assert [found.id for found in records.unfinished(until, None, 5)] == ["b", "c"]
        assert [found.id for found in records.unfinished(until, None, 1)] == ["b"]
        assert [found.id for found in records.unfinished(until, "b", 5)] == ["c"]
