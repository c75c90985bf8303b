"""What every `CustomerStore.rows` does: run over the fake and over a real mongod."""

from __future__ import annotations

from typing import Any

import pytest
from support.customers import stored

from contracts.customers import AT, assignment
from gateway.services.customers.query import Condition, Op
from gateway.services.customers.store import CustomerStore
from shared.features import CUST_ID


def walk(store: CustomerStore, paths: list[str], size: int = 2, *conditions: Condition) -> list[list[Any]]:
    """Return all rows of all blocks."""
    return [row for block in store.rows(conditions, [CUST_ID, *paths], size) for row in block]


class CustomerRowsContract:
    """Subclass it in a test module and give it a fixture `store` with an empty store."""

    def test_rows_come_in_blocks_in_order(self, store: CustomerStore) -> None:
        store.insert_many([stored(name, BALANCE=float(n)) for n, name in enumerate("CABED")])
        blocks = list(store.rows((), [CUST_ID, "BALANCE"], 2))
        assert blocks == [[["A", 1.0], ["B", 2.0]], [["C", 0.0], ["D", 4.0]], [["E", 3.0]]]

    def test_rows_keep_the_types_of_values(self, store: CustomerStore) -> None:
        store.insert(stored("A", assignment()) | {"created_at": AT})
        ((row,),) = store.rows((), [CUST_ID, "TENURE", "BALANCE", "segment.assigned_at", "created_at"], 2)
        assert row == ["A", 12, 100.0, AT, AT]
        assert [type(value) for value in row[1:3]] == [int, float]

    @pytest.mark.parametrize("segment", [None, assignment(), assignment(rival=None)])
    def test_rows_have_the_segment_whole_and_in_parts(self, store: CustomerStore, segment: Any) -> None:
        customer = stored("A", segment)
        store.insert(customer)
        parts = {key: segment and segment[key] for key in assignment()}
        whole = customer["segment"]
        assert walk(store, ["segment", *(f"segment.{key}" for key in parts)]) == [["A", whole, *parts.values()]]

    def test_rows_have_null_where_a_customer_has_nothing(self, store: CustomerStore) -> None:
        store.insert(stored("A", MINIMUM_PAYMENTS=None))
        assert walk(store, ["NEW", "NEW.part", "MINIMUM_PAYMENTS"]) == [["A", None, None, None]]

    def test_rows_of_an_empty_store(self, store: CustomerStore) -> None:
        assert list(store.rows((), [CUST_ID], 2)) == []

    def test_rows_are_those_that_fit(self, store: CustomerStore) -> None:
        store.insert_many([stored(name, BALANCE=float(n)) for n, name in enumerate("ABCDEFG")])
        rich = Condition("BALANCE", Op.GTE, 2.0)
        assert walk(store, [], 2, rich, Condition(CUST_ID, Op.NE, "D")) == [["C"], ["E"], ["F"], ["G"]]
        assert walk(store, [], 2, rich, Condition(CUST_ID, Op.LT, "E")) == [["C"], ["D"]]
        assert walk(store, [], 2, Condition(CUST_ID, Op.GT, "F")) == [["G"]]

    def test_rows_go_on_after_customers_that_come_and_go_meanwhile(self, store: CustomerStore) -> None:
        store.insert_many([stored(name) for name in "BDF"])
        blocks = store.rows((), [CUST_ID], 1)
        assert next(blocks) == [["B"]]
        store.insert_many([stored(name) for name in "AE"])
        store.delete("D")
        assert list(blocks) == [[["E"]], [["F"]]]
