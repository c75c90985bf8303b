"""What every `CustomerStore` does: run over the fake, over mongomock and over a real mongod, so that none can drift.

Subclass it in a test module and give it a fixture `store` with an empty store.
"""

from __future__ import annotations

from datetime import datetime

import pytest
from support.customers import ORIGIN, becoming, inputs, stored

from gateway.services.customers.customer import (
    Customer,
    Placement,
    assigned_customer,
    changed_customer,
    new_customer,
    reason_of,
    shown,
)
from gateway.services.customers.query import Condition, CustomerQuery, Op
from gateway.services.customers.store import CustomerStore
from gateway.services.errors import CustomerExists
from shared.features import CUST_ID, complete

AT = datetime(2024, 5, 1, 12, 0, 0, 123000)  # in UTC; stores keep no zone


def assignment(segment: str = "seg-01", version: str = "v1", rival: str | None = "seg-02") -> Placement:
    """Return an assignment to the segment by the model version."""
    return Placement(id=segment, confidence=0.75, rival=rival, model_version=version, assigned_at=AT)


def ids(customers: list[Customer]) -> list[str]:
    """Return the CUST_IDs, in order."""
    return [customer[CUST_ID] for customer in customers]


def every(store: CustomerStore) -> list[Customer]:
    """Return all customers of a small store, in CUST_ID order."""
    return store.find(CustomerQuery(limit=100))


class SingleOperations:
    """Reads, writes of one customer, and what mongomock can do beyond; method names come first in the tests' names."""

    def test_get_returns_none_for_an_unknown_customer(self, store: CustomerStore) -> None:
        assert store.get("nobody") is None

    @pytest.mark.parametrize("segment", [None, assignment(), assignment(rival=None)])
    def test_get_returns_what_was_inserted(self, store: CustomerStore, segment: Placement | None) -> None:
        customer = stored("A", segment, MINIMUM_PAYMENTS=None)
        store.insert(customer)
        found = store.get("A")
        assert found == customer
        assert {name: type(value) for name, value in (found or {}).items()} == {n: type(v) for n, v in customer.items()}

    def test_get_returns_a_copy(self, store: CustomerStore) -> None:
        store.insert(stored("A", assignment()))
        first = store.get("A")
        assert first is not None
        first["segment"]["id"] = "changed"
        assert store.get("A") != first

    def test_insert_keeps_a_copy(self, store: CustomerStore) -> None:
        customer = stored("A", assignment())
        store.insert(customer)
        customer["BALANCE"] = -1.0
        assert store.get("A") != customer

    def test_insert_leaves_its_argument_alone(self, store: CustomerStore) -> None:
        customer = stored("A")
        before = dict(customer)
        store.insert(customer)
        assert customer == before

    def test_insert_of_a_taken_id_changes_nothing(self, store: CustomerStore) -> None:
        first = stored("A")
        store.insert(first)
        with pytest.raises(CustomerExists):
            store.insert(stored("A", BALANCE=5.0))
        assert store.get("A") == first

    def test_get_many_returns_those_that_exist(self, store: CustomerStore) -> None:
        a, b = stored("A"), stored("B")
        store.insert_many([a, b, stored("C")])
        assert store.get_many(["B", "nobody", "A"]) == {"A": a, "B": b}

    def test_get_many_of_none(self, store: CustomerStore) -> None:
        assert store.get_many([]) == {}

    def test_find_goes_in_code_point_order(self, store: CustomerStore) -> None:
        names = ["b", "A", "a", "_", "9", "10", "B", "-", "a.b", "a-b", "Z"]
        store.insert_many([stored(name) for name in names])
        assert ids(every(store)) == sorted(names)

    def test_find_starts_after_a_place_and_stops_at_the_limit(self, store: CustomerStore) -> None:
        store.insert_many([stored(name) for name in "ABCDE"])

        def after(cust_id: str, limit: int) -> list[str]:
            return ids(store.find(CustomerQuery(after=(cust_id,), limit=limit)))

        assert after("B", 2) == ["C", "D"]
        assert after("BB", 1) == ["C"]
        assert after("E", 5) == []
        assert ids(store.find(CustomerQuery(limit=1))) == ["A"]

    def test_stream_gives_every_customer_once_by_column_in_order(self, store: CustomerStore) -> None:
        store.insert_many([stored(name, BALANCE=float(n), CREDIT_LIMIT=None) for n, name in enumerate("CABED")])
        blocks = list(store.stream(["BALANCE", "CREDIT_LIMIT", "TENURE"], 2))
        assert [block.ids for block in blocks] == [["A", "B"], ["C", "D"], ["E"]]
        assert [block.columns["BALANCE"] for block in blocks] == [[1.0, 2.0], [0.0, 4.0], [3.0]]
        assert blocks[2].columns == {"BALANCE": [3.0], "CREDIT_LIMIT": [None], "TENURE": [12]}
        assert type(blocks[2].columns["TENURE"][0]) is int

    def test_stream_of_a_feature_that_a_customer_lacks_is_null(self, store: CustomerStore) -> None:
        store.insert(stored("A"))
        assert [block.columns for block in store.stream(["NEW"], 2)] == [{"NEW": [None]}]

    def test_stream_of_an_empty_store(self, store: CustomerStore) -> None:
        assert list(store.stream(["BALANCE"], 2)) == []

    def test_stream_goes_on_after_customers_that_come_and_go_meanwhile(self, store: CustomerStore) -> None:
        store.insert_many([stored(name) for name in "BDF"])
        blocks = store.stream(["BALANCE"], 1)
        assert next(blocks).ids == ["B"]
        store.insert_many([stored(name) for name in "AE"])
        store.delete("D")
        assert [block.ids for block in blocks] == [["E"], ["F"]]

    def test_update_of_the_expected_revision(self, store: CustomerStore) -> None:
        old, new = stored("A", assignment()), stored("A", BALANCE=5.0)
        store.insert(old)
        assert store.update(becoming(old, new)) is True
        assert store.get("A") == new

    def test_update_of_another_revision_changes_nothing(self, store: CustomerStore) -> None:
        old = stored("A")
        store.insert(old)
        assert store.update(becoming(stored("A"), stored("A", BALANCE=5.0))) is False
        assert store.get("A") == old

    def test_update_never_creates(self, store: CustomerStore) -> None:
        assert store.update(becoming(stored("A"), stored("A"))) is False
        assert store.get("A") is None

    def test_update_adds_its_entry_to_those_that_wait(self, store: CustomerStore) -> None:
        new = new_customer("A", complete(inputs()), None, ORIGIN)
        store.insert(new)
        old = store.get("A")
        assert old is not None
        update = changed_customer(old, complete(inputs(BALANCE=5.0)), assignment(), ORIGIN)
        assert store.update(update)
        assert not store.update(update)
        assert store.get("A") == update.customer
        assert store.delete("A") == {**update.customer, "outbox": [*new["outbox"], update.entry]}

    def test_nobody_who_reads_sees_what_waits_nor_whoever_is_shown_why_one_is_due(self, store: CustomerStore) -> None:
        new = new_customer("A", complete(inputs()), None, ORIGIN)
        store.insert(new)
        read = {name: value for name, value in new.items() if name != "outbox"}
        assert [store.get("A"), *store.get_many(["A"]).values(), *store.due("v1", None, 1)] == [read] * 3
        assert "due" in read
        assert every(store) == [shown(new)]

    def test_update_drops_members(self, store: CustomerStore) -> None:
        old = stored("A")
        store.insert(old | {"OLD": 1.0})  # type: ignore[operator]  # a feature that is none any more
        update = changed_customer({**old, "OLD": 1.0}, complete(inputs(BALANCE=5.0)), None, ORIGIN)  # type: ignore[typeddict-unknown-key]
        assert store.update(update)
        found = store.get("A")
        assert found == update.customer
        assert "OLD" not in found

    def test_delete_returns_the_customer_as_it_was(self, store: CustomerStore) -> None:
        customer = stored("A", assignment())
        store.insert_many([customer, stored("B")])
        assert store.delete("A") == customer
        assert ids(every(store)) == ["B"]

    def test_delete_of_nobody(self, store: CustomerStore) -> None:
        store.insert(stored("A"))
        assert store.delete("B") is None
        assert ids(every(store)) == ["A"]

    def test_delete_many_deletes_those_that_the_filters_hold_for(self, store: CustomerStore) -> None:
        customers = {name: stored(name, BALANCE=float(n)) for n, name in enumerate("ABCD")}
        store.insert_many(list(customers.values()))
        rich = (Condition("BALANCE", Op.GTE, 1.0),)
        found = store.delete_many(["A", "B", "C", "nobody"], rich)
        assert {customer[CUST_ID]: customer for customer in found} == {name: customers[name] for name in "BC"}
        assert ids(every(store)) == ["A", "D"]
        assert store.delete_many(["A"], rich) == store.delete_many([], ()) == []
        assert ids(store.delete_many(["A"], ())) == ["A"]

    def test_insert_many_stores_the_new_and_names_the_taken(self, store: CustomerStore) -> None:
        first = stored("B")
        store.insert(first)
        assert store.insert_many([stored("A"), stored("B", BALANCE=5.0), stored("C")]) == {"B"}
        assert ids(every(store)) == ["A", "B", "C"]
        assert store.get("B") == first

    def test_insert_many_of_new_ones_only(self, store: CustomerStore) -> None:
        assert store.insert_many([stored("A"), stored("B")]) == set()

    def test_due_are_the_pending_and_those_of_other_versions(self, store: CustomerStore) -> None:
        store.insert_many([stored("A"), stored("B", assignment()), stored("C", assignment(version="v0")), stored("D")])
        assert ids(store.due("v1", None, 10)) == ["A", "C", "D"]
        assert ids(store.due("v1", "A", 10)) == ["C", "D"]
        assert ids(store.due("v1", None, 2)) == ["A", "C"]
        assert ids(store.due("v2", None, 10)) == ["A", "B", "C", "D"]

    def test_due_returns_whole_customers(self, store: CustomerStore) -> None:
        customer = stored("A")
        store.insert(customer)
        assert store.due("v1", None, 1) == [customer]

    def test_those_that_lack_a_feature_are_left_out_of_the_due_ones_and_told(self, store: CustomerStore) -> None:
        lacking = stored("A")
        del lacking["TENURE"]  # type: ignore[misc]  # it was stored before there was one
        store.insert_many([lacking, stored("B"), stored("C", assignment())])
        assert ids(store.due("v1", None, 10, ["TENURE"])) == ["B"]
        assert ids(store.due("v1", None, 10, ["BALANCE"])) == ids(store.due("v1", None, 10)) == ["A", "B"]
        assert store.lacked_by_due("v1", ["BALANCE", "TENURE"]) == ["TENURE"]
        assert store.lacked_by_due("v1", ["BALANCE"]) == []
        store.delete("A")
        assert store.lacked_by_due("v1", ["TENURE"]) == []


class CustomerStoreContract(SingleOperations):
    """All of the port."""

    def test_segment_counts(self, store: CustomerStore) -> None:
        old = assignment("seg-02", "v0")
        store.insert_many([stored("A"), stored("B", assignment()), stored("C", old), stored("D", old)])
        counts = store.segment_counts()
        assert (counts.by_segment, counts.pending, counts.total) == ({"seg-01": 1, "seg-02": 2}, 1, 4)
        assert counts.by_version == {"v0": 2, "v1": 1}

    def test_segment_counts_of_an_empty_store(self, store: CustomerStore) -> None:
        counts = store.segment_counts()
        assert (counts.by_segment, counts.pending, counts.total) == ({}, 0, 0)
        assert counts.by_version == {}

    def test_update_many_writes_those_of_the_expected_revision(self, store: CustomerStore) -> None:
        old = [stored(name) for name in "ABC"]
        new = [stored(name, BALANCE=5.0) for name in "ABCD"]
        store.insert_many(old)
        read = [old[0], stored("B"), old[2], stored("D")]
        assert store.update_many([becoming(*pair) for pair in zip(read, new, strict=True)]) == {"B", "D"}
        assert every(store) == [new[0], old[1], new[2]]

    def test_update_many_of_matching_ones_only(self, store: CustomerStore) -> None:
        old, new = stored("A"), stored("A", BALANCE=5.0)
        store.insert(old)
        assert store.update_many([becoming(old, new)]) == set()
        assert store.get("A") == new

    def test_somewhere_is_a_customer(self, store: CustomerStore) -> None:
        assert store.somewhere() is None
        store.insert_many([stored(name) for name in "ABC"])
        assert store.somewhere() in ("A", "B", "C", None)

    def test_one_that_lacks_a_feature_can_come_back_be_assigned_and_changed(self, store: CustomerStore) -> None:
        lacking = stored("A")
        del lacking["TENURE"]  # type: ignore[misc]  # it was stored before there was one
        store.insert(lacking)
        update = assigned_customer(lacking, assignment(), reason_of(ORIGIN, "model_activated"))
        assert store.update_many([update]) == set()
        changed = {**update.customer, "revision": "changed", "BALANCE": 7.0}
        assert store.update(becoming(update.customer, changed))
        assert store.get("A") == changed

    def test_ping_of_a_store_that_works(self, store: CustomerStore) -> None:
        store.ping()
