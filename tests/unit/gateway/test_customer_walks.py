"""Walking the pages of any list, while others write, on the store in memory."""

from __future__ import annotations

from fakes.gateway import FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.customer_queries import disturbances, expected, filters, populations, query_string, sorts, walk

from gateway.services.customers.customer import Customer
from gateway.services.customers.query import Filters, SortKey, order_of
from shared.features import CUST_ID


@given(populations, filters, sorts, st.integers(1, 8), st.data())
def test_each_customer_that_is_there_throughout_comes_once_and_in_order(
    population: list[Customer], wanted: Filters, keys: list[SortKey], limit: int, data: st.DataObject
) -> None:
    gateway = FakeGateway()
    gateway.store.insert_many(population)
    stable = {c[CUST_ID] for c in population if data.draw(st.booleans())}
    found = [
        customer[CUST_ID]
        for customer in walk(
            gateway.client,
            query_string(wanted, keys, limit),
            lambda: data.draw(disturbances(gateway.store, stable)),
        )
    ]
    assert [i for i in found if i in stable] == expected(gateway.store, wanted, order_of(keys), stable)


@given(populations, filters, sorts)
def test_totals_are_what_a_walk_finds(population: list[Customer], wanted: Filters, keys: list[SortKey]) -> None:
    gateway = FakeGateway()
    gateway.store.insert_many(population)
    query = query_string(wanted, keys, 3)
    total = gateway.client.get("/api/v1/customers", query_string={**query, "count": "exact"}).json
    assert (total["total"], total["total_kind"]) == (len(list(walk(gateway.client, query))), "exact")
