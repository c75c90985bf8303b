"""What every `DeletedCustomers` and every `ErasureRecords` does: run over the fakes and over a real mongod."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from support.customers import stored

from gateway.services.customers.customer import Customer
from gateway.services.customers.deletions import DeletedCustomers
from gateway.services.customers.erasures import Erasure, ErasureRecords
from shared.features import CUST_ID

AT = datetime(2124, 5, 1, 12, 0, 0, 123000)  # in UTC; far enough ahead that nothing expires meanwhile
MINUTE = timedelta(minutes=1)


def copy_of(cust_id: str, minutes: int = 0, deleted: int = 0, created: int = 0, **changes: Any) -> Customer:
    """Return a copy whose customer was last changed, created, and deleted, so many minutes after `AT`."""
    return stored(cust_id, **changes) | {
        "created_at": AT + created * MINUTE,
        "updated_at": AT + minutes * MINUTE,
        "deleted_at": AT + deleted * MINUTE,
        "expires_at": AT + timedelta(days=1),
    }


def put(deleted: DeletedCustomers, *copies: Customer) -> None:
    """Keep copies that count, of deletions d0, d1 …."""
    for place, copy in enumerate(copies):
        deleted.keep(f"d{place}", copy, AT)


class DeletedCustomersContract:
    """Subclass it in a test module and give it a fixture `deleted` with an empty store."""

    def test_what_is_kept_comes_back_as_it_was(self, deleted: DeletedCustomers) -> None:
        copy = copy_of("A", MINIMUM_PAYMENTS=None)
        put(deleted, copy)
        found = deleted.latest("A", AT)
        assert found == copy
        assert {name: type(value) for name, value in (found or {}).items()} == {n: type(v) for n, v in copy.items()}

    def test_nobody(self, deleted: DeletedCustomers) -> None:
        assert deleted.latest("A", AT) is None
        assert deleted.page(None, 5, AT) == []
        assert deleted.forget_until("A", AT) == deleted.erase("A", AT) == 0
        assert deleted.claim("A", "c", AT, AT) is None
        assert deleted.finish("A", "c") is False
        deleted.forget("d1")
        deleted.confirm("d1")
        deleted.release("A", "c")

    def test_a_copy_counts_from_its_time_or_once_it_is_confirmed(self, deleted: DeletedCustomers) -> None:
        copy = copy_of("A")
        deleted.keep("d", copy, AT + MINUTE)
        assert deleted.latest("A", AT) is None
        assert deleted.page(None, 5, AT) == []
        assert deleted.claim("A", "c", AT, AT) is None
        assert deleted.latest("A", AT + MINUTE) == copy
        deleted.confirm("d")
        assert deleted.latest("A", AT) == copy
        assert deleted.page(None, 5, AT) == [copy]

    def test_the_latest_is_of_the_latest_state_then_of_the_latest_deletion(self, deleted: DeletedCustomers) -> None:
        copies = [copy_of("A", 2, 5), copy_of("A", 3, 4), copy_of("A", 3, 6), copy_of("A", 1, 9), copy_of("B", 9)]
        put(deleted, *copies)
        assert deleted.latest("A", AT) == copies[2]
        deleted.forget("d2")
        assert deleted.latest("A", AT) == copies[1]

    def test_a_claimed_copy_does_not_count_until_it_is_released_or_its_time_has_come(
        self, deleted: DeletedCustomers
    ) -> None:
        older, latest = copy_of("A", 1), copy_of("A", 2)
        put(deleted, older, latest)
        assert deleted.claim("A", "c", AT, AT + MINUTE) == latest
        assert deleted.latest("A", AT) == older
        assert deleted.latest("A", AT + MINUTE) == latest
        deleted.release("A", "another")
        assert deleted.latest("A", AT) == older
        deleted.release("A", "c")
        assert deleted.latest("A", AT) == latest
        assert deleted.finish("A", "c") is False

    def test_only_who_claimed_a_copy_finishes_it(self, deleted: DeletedCustomers) -> None:
        put(deleted, copy_of("A"), copy_of("B"))
        deleted.claim("A", "c", AT, AT + MINUTE)
        assert deleted.finish("A", "another") is False
        assert deleted.finish("A", "c") is True
        assert deleted.finish("A", "c") is False
        assert [copy[CUST_ID] for copy in deleted.page(None, 5, AT + MINUTE)] == ["B"]

    def test_a_claim_whose_time_has_come_is_taken_over(self, deleted: DeletedCustomers) -> None:
        copy = copy_of("A")
        put(deleted, copy)
        deleted.claim("A", "first", AT, AT + MINUTE)
        assert deleted.claim("A", "second", AT + MINUTE, AT + 2 * MINUTE) == copy
        assert deleted.finish("A", "first") is False
        assert deleted.finish("A", "second") is True

    def test_forget_until_spares_later_states_and_other_customers(self, deleted: DeletedCustomers) -> None:
        put(deleted, copy_of("A", 1), copy_of("A", 2), copy_of("A", 3), copy_of("B", 1))
        assert deleted.forget_until("A", AT + 2 * MINUTE) == 2
        assert deleted.forget_until("A", AT + 2 * MINUTE) == 0
        assert [copy[CUST_ID] for copy in deleted.page(None, 5, AT)] == ["A", "B"]

    def test_erase_spares_later_customers_of_the_same_id_and_others(self, deleted: DeletedCustomers) -> None:
        put(deleted, copy_of("A", 4), copy_of("A", 5, created=1), copy_of("A", 9, created=2), copy_of("B"))
        deleted.keep("in limbo", copy_of("A", 9), AT + MINUTE)
        assert deleted.erase("A", AT + MINUTE) == 3
        assert [(copy[CUST_ID], copy["created_at"]) for copy in deleted.page(None, 5, AT + MINUTE)] == [
            ("A", AT + 2 * MINUTE),
            ("B", AT),
        ]

    def test_pages_have_each_customer_once_in_order(self, deleted: DeletedCustomers) -> None:
        put(deleted, *(copy_of(cust_id, minutes) for cust_id in ("b", "A", "C", "a") for minutes in (1, 3, 2)))
        first, second = deleted.page(None, 3, AT), deleted.page("a", 3, AT)
        assert [copy[CUST_ID] for copy in first] == ["A", "C", "a"]
        assert [copy[CUST_ID] for copy in second] == ["b"]
        assert {copy["updated_at"] for copy in first + second} == {AT + 3 * MINUTE}


def erasure(identity: str = "e1", digest: str = "h1", minutes: int = 0, cust_id: str | None = "A") -> Erasure:
    """Return an erasure asked for so many minutes after `AT`."""
    at = AT + minutes * MINUTE
    return Erasure(id=identity, digest=digest, cust_id=cust_id, requested_at=at, created_until=at)


class ErasureRecordsContract:
    """Subclass it in a test module and give it a fixture `records` with an empty store."""

    def test_what_is_added_comes_back(self, records: ErasureRecords) -> None:
        records.add(erasure())
        assert records.get("e1") == erasure()
        assert records.get("e2") is None

    def test_entries_of_a_place_add_up_and_none_is_noted_too(self, records: ErasureRecords) -> None:
        records.add(erasure())
        for place, entries in (("customers", 1), ("audit", 0), ("customers", 2)):
            records.note("e1", place, entries)
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

    def test_one_that_is_withdrawn_is_gone(self, records: ErasureRecords) -> None:
        records.add(erasure())
        records.withdraw("e1")
        assert records.get("e1") is None

    def test_those_of_one_customer_come_newest_first(self, records: ErasureRecords) -> None:
        for place, minutes in enumerate([1, 3, 2]):
            records.add(erasure(f"e{place}", minutes=minutes))
        records.add(erasure("other", "h2"))
        assert [found.id for found in records.of("h1", 5)] == ["e1", "e2", "e0"]
        assert [found.id for found in records.of("h1", 1)] == ["e1"]
        assert records.of("h3", 5) == []

    def test_unfinished_ones_come_by_id_once_they_are_old_enough(self, records: ErasureRecords) -> None:
        for identity, minutes in (("c", 1), ("a", 1), ("b", 2), ("d", 3)):
            records.add(erasure(identity, minutes=minutes))
        records.complete("a", AT)
        until = AT + 2 * MINUTE
        assert [found.id for found in records.unfinished(until, None, 5)] == ["b", "c"]
        assert [found.id for found in records.unfinished(until, None, 1)] == ["b"]
        assert [found.id for found in records.unfinished(until, "b", 5)] == ["c"]
