"""What every `CustomerStore` finds and counts: run over the fake and over a real mongod."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.customer_queries import START
from support.customers import stored

from contracts.customers import assignment
from gateway.services.customers.customer import Customer
from gateway.services.customers.query import (
    Condition,
    CustomerQuery,
    Op,
    SortKey,
    Total,
    order_of,
    position_of,
)
from gateway.services.customers.store import CustomerStore
from shared.features import CUST_ID


def _population() -> list[Customer]:
    late = START + timedelta(days=1)
    return [
        stored("A", assignment("seg-01"), BALANCE=1.0, CREDIT_LIMIT=None) | {"updated_at": START},
        stored("B", assignment("seg-02", rival=None), BALANCE=2.0, CREDIT_LIMIT=10.0) | {"updated_at": late},
        stored("C", None, BALANCE=2.0, CREDIT_LIMIT=10.0) | {"updated_at": late},
        stored("C2", assignment("seg-01", "v0"), BALANCE=3.0, CREDIT_LIMIT=5.0) | {"updated_at": late},
    ]


def _sorted_by(*names: str) -> tuple[SortKey, ...]:
    return order_of([SortKey(name.removeprefix("-"), name.startswith("-")) for name in names])


class QueryContract:
    """Subclass it in a test module and give it a fixture `store` with an empty store."""

    @pytest.mark.parametrize(
        ("field", "op", "value", "found"),
        [
            ("BALANCE", Op.EQ, 2.0, "B C"),
            ("BALANCE", Op.NE, 2.0, "A C2"),
            ("BALANCE", Op.GT, 2.0, "C2"),
            ("BALANCE", Op.GTE, 2.0, "B C C2"),
            ("BALANCE", Op.LT, 2.0, "A"),
            ("BALANCE", Op.LTE, 2.0, "A B C"),
            ("BALANCE", Op.IN, (1.0, 3.0, 9.0), "A C2"),
            ("CREDIT_LIMIT", Op.EXISTS, False, "A"),
            ("CREDIT_LIMIT", Op.EXISTS, True, "B C C2"),
            ("CREDIT_LIMIT", Op.NE, 10.0, "A C2"),
            ("CREDIT_LIMIT", Op.LT, 10.0, "C2"),
            ("CUST_ID", Op.PREFIX, "C", "C C2"),
            ("CUST_ID", Op.GT, "B", "C C2"),
            ("segment", Op.EQ, "seg-01", "A C2"),
            ("segment", Op.NE, "seg-01", "B C"),
            ("segment", Op.EXISTS, False, "C"),
            ("rival", Op.EXISTS, False, "B C"),
            ("confidence", Op.LT, 0.9, "A B C2"),
            ("borderline", Op.EQ, True, "A B C2"),
            ("borderline", Op.EQ, False, ""),
            ("model_version", Op.NE, "v1", "C C2"),
            ("segment_status", Op.EQ, "pending", "C"),
            ("segment_status", Op.EQ, "assigned", "A B C2"),
            ("updated_at", Op.GT, START, "B C C2"),
        ],
    )
    def test_find_with_one_condition(self, store: CustomerStore, field: str, op: Op, value: object, found: str) -> None:
        store.insert_many(_population())
        filters = (Condition(field, op, value),)
        assert [c[CUST_ID] for c in store.find(CustomerQuery(filters))] == found.split()
        assert store.count(filters, True) == Total(len(found.split()), "exact")
        assert store.count(filters, False) == Total(len(found.split()), "exact")

    def test_all_conditions_hold(self, store: CustomerStore) -> None:
        store.insert_many(_population())
        between = (Condition("BALANCE", Op.GTE, 2.0), Condition("BALANCE", Op.LT, 3.0))
        filters = (*between, Condition("segment", Op.NE, "seg-01"))
        assert [c[CUST_ID] for c in store.find(CustomerQuery(filters))] == ["B", "C"]

    def test_count_without_conditions(self, store: CustomerStore) -> None:
        store.insert_many(_population())
        assert store.count((), True) == Total(4, "exact")
        assert store.count((), False) == Total(4, "estimated")

    @pytest.mark.parametrize(
        ("names", "found"),
        [
            (["BALANCE"], "A B C C2"),
            (["-BALANCE"], "C2 C B A"),
            (["-BALANCE", "CUST_ID"], "C2 B C A"),
            (["CREDIT_LIMIT"], "A C2 B C"),
            (["-CREDIT_LIMIT"], "C B C2 A"),
            (["CREDIT_LIMIT", "-segment"], "A C2 B C"),
            (["segment", "-BALANCE"], "C C2 A B"),
            (["-segment", "BALANCE"], "B A C2 C"),
            (["-CUST_ID", "BALANCE"], "C2 C B A"),
            (["updated_at", "-CREDIT_LIMIT", "segment"], "A C B C2"),
        ],
    )
    def test_find_in_an_order_from_any_place(self, store: CustomerStore, names: list[str], found: str) -> None:
        store.insert_many(_population())
        order = _sorted_by(*names)
        everyone = store.find(CustomerQuery(order=order))
        assert [c[CUST_ID] for c in everyone] == found.split()
        for place, customer in enumerate(everyone):
            for limit in (1, 2, 3):
                rest = store.find(CustomerQuery(order=order, after=position_of(customer, order), limit=limit))
                assert rest == everyone[place + 1 :][:limit]

    def test_find_reads_the_fields_asked_for(self, store: CustomerStore) -> None:
        customer = stored("A", assignment())
        store.insert(customer)
        (found,) = store.find(CustomerQuery(fields=("segment", "BALANCE")))
        assert found == {name: customer[name] for name in (CUST_ID, "segment", "BALANCE")}

    def test_lists_are_right_without_the_sort_indexes(self, store: CustomerStore) -> None:
        store.insert(stored("A"))
        store.drop_sort_indexes()
        store.drop_sort_indexes()
        assert store.find(CustomerQuery(order=_sorted_by("BALANCE")))
        assert store.find(CustomerQuery((Condition("segment_status", Op.EQ, "pending"),), _sorted_by("BALANCE")))
