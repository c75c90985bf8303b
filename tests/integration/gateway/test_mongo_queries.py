"""Lists on a real mongod: what the store in memory says, walks while others write, and queries that take too long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from contracts.customers import assignment
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.store import InMemoryCustomerStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection
from support.customer_queries import disturbances, expected, filters, populations, query_string, sorts, walk
from support.customers import stored
from support.problems import assert_problem

from gateway.data_access.mongo.customers import MongoCustomerStore
from gateway.services.customers.customer import Customer
from gateway.services.customers.query import RANKED, CustomerQuery, Filters, SortKey, order_of, position_of
from gateway.services.errors import QueryTimeout
from shared.features import CUST_ID

moderately = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def database_name(emptied_database: str) -> str:
    """One database for all tests of this module."""
    return emptied_database


def _filled(store: MongoCustomerStore, customers: Collection, population: list[Customer]) -> InMemoryCustomerStore:
    """Put the customers into the store, and into one in memory that is returned."""
    customers.delete_many({})
    memory = InMemoryCustomerStore()
    memory.insert_many(population)
    if population:
        store.insert_many(population)
    return memory


@moderately
@given(population=populations, tries=st.lists(st.tuples(filters, sorts, st.integers(1, 8)), min_size=5, max_size=10))
def test_it_finds_what_the_store_in_memory_finds(
    store: MongoCustomerStore,
    customers: Collection,
    population: list[Customer],
    tries: list[tuple[Filters, list[SortKey], int]],
) -> None:
    memory = _filled(store, customers, population)
    for wanted, keys, limit in tries:
        order = order_of(keys)
        everyone = memory.find(CustomerQuery(wanted, order, limit=100))
        assert store.find(CustomerQuery(wanted, order, limit=100)) == everyone
        assert store.count(wanted, True) == memory.count(wanted, True)
        assert store.count(wanted, False) == memory.count(wanted, False)
        for customer in everyone[::3]:
            following = CustomerQuery(wanted, order, position_of(customer, order), limit)
            assert store.find(following) == memory.find(following)


@moderately
@given(population=populations, wanted=filters, keys=sorts, limit=st.integers(1, 8), data=st.data())
def test_each_customer_that_is_there_throughout_comes_once_and_in_order(
    gateway: FakeGateway,
    customers: Collection,
    population: list[Customer],
    wanted: Filters,
    keys: list[SortKey],
    limit: int,
    data: st.DataObject,
) -> None:
    _filled(gateway.store, customers, population)
    stable = {c[CUST_ID] for c in population if data.draw(st.booleans())}
    pages = walk(
        gateway.client, query_string(wanted, keys, limit), lambda: data.draw(disturbances(gateway.store, stable))
    )
    found = [customer[CUST_ID] for customer in pages]
    assert [i for i in found if i in stable] == expected(gateway.store, wanted, order_of(keys), stable)


@contextmanager
def _watched(customers: Collection) -> Iterator[list[dict[str, Any]]]:
    """Yield a list that has afterwards what MongoDB's profiler says of each query."""
    queries: list[dict[str, Any]] = []
    customers.database.command("profile", 2)
    yield queries
    customers.database.command("profile", 0)
    queries += customers.database["system.profile"].find({"op": "query"})


def _one_of_many(n: int) -> Customer:
    return stored(f"C{n}", (None, *map(assignment, ("seg-01", "seg-02")))[n % 3], BALANCE=float(n), PURCHASES=0.0)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("PURCHASES=0&sort=PURCHASES", 10),
        ("PURCHASES=0&sort=-PURCHASES", 10),
        ("PURCHASES=0", 10),
        ("BALANCE[gte]=300&sort=BALANCE", 10),
        ("BALANCE[gte]=300&segment[ne]=seg-01&sort=-BALANCE", 10),
        ("segment[in]=seg-01,seg-02&sort=BALANCE", 10),
        ("sort=BALANCE,PURCHASES", 10),
        ("sort=-BALANCE,CUST_ID", 10),
        ("BALANCE=7&sort=PURCHASES", 1),
        ("BALANCE=7&TENURE=12", 1),
    ],
)
def test_indexes_within_segments_serve_all_of_them(
    gateway: FakeGateway, customers: Collection, asked: str, found: int
) -> None:
    gateway.store.insert_many([_one_of_many(n) for n in range(1_500)])
    gateway.client.get(f"{CUSTOMERS}?{asked}&limit=10")
    with _watched(customers) as queries:
        answer = gateway.client.get(f"{CUSTOMERS}?{asked}&limit=10")
    assert len(answer.json["items"]) == found
    assert sum(query["docsExamined"] for query in queries) <= 150


@pytest.mark.parametrize("field", [CUST_ID, "segment", *RANKED])
@pytest.mark.parametrize("descending", [False, True])
def test_a_sorted_page_reads_no_more_than_itself(
    store: MongoCustomerStore, customers: Collection, field: str, descending: bool
) -> None:
    """At any depth, over all segments: each sort key has an index, and MongoDB uses it."""
    store.insert_many([_one_of_many(n) for n in range(1_500)])
    order = order_of([SortKey(field, descending)])
    place = store.find(CustomerQuery(order=order, limit=1_000))[-1]
    with _watched(customers) as queries:
        store.find(CustomerQuery(order=order, after=position_of(place, order), limit=10))
    assert sum(query["nreturned"] for query in queries) == 10
    assert not any(query.get("hasSortStage") for query in queries)
    assert sum(query["docsExamined"] for query in queries) <= 100  # MongoDB tries some plans before it settles on one


def test_sizes_of_segments_are_counted_without_reading_customers(
    store: MongoCustomerStore, customers: Collection
) -> None:
    """Grouping a million customers takes six times as long."""
    store.insert_many([stored(f"C{n}", assignment(f"seg-0{n % 3}", f"v{n % 2}")) for n in range(900)])
    store.insert_many([stored("PENDING")])
    customers.database.command("profile", 2)
    counts = store.segment_counts()
    customers.database.command("profile", 0)
    assert counts.by_segment == {"seg-00": 300, "seg-01": 300, "seg-02": 300}
    assert (counts.by_version, counts.pending) == ({"v0": 450, "v1": 450}, 1)
    commands = list(customers.database["system.profile"].find({"ns": customers.full_name, "op": "command"}))
    assert len(commands) == 7
    assert sum(command["docsExamined"] for command in commands) <= 1
    assert sum(command["keysExamined"] for command in commands) < 1_500


@pytest.fixture
def impatient(store: MongoCustomerStore, customers: Collection) -> MongoCustomerStore:
    """A store with many customers that gives queries a millisecond."""
    store.insert_many([stored(f"C{n}") for n in range(20_000)])
    return MongoCustomerStore(customers, query_timeout=0.001)


def test_a_query_that_takes_too_long_is_stopped_and_says_how_to_narrow_it(impatient: MongoCustomerStore) -> None:
    gateway = FakeGateway(store=impatient)
    for query in ("TENURE=3", "TENURE=3&sort=BALANCE", "count=exact", "TENURE[lt]=99&count=exact&limit=1"):
        problem = assert_problem(gateway.client.get(f"{CUSTOMERS}?{query}"), 503, "query_timeout")
        assert "BALANCE" in problem["detail"]
    assert gateway.client.get(f"{CUSTOMERS}/C1").status_code == 200


def test_the_limit_of_a_query_holds_for_nothing_else(impatient: MongoCustomerStore) -> None:
    with pytest.raises(QueryTimeout):
        impatient.find(CustomerQuery(order=order_of([SortKey("BALANCE")]), limit=20_000))
    assert len(list(impatient.stream(["BALANCE"], 20_000))) == 1


@pytest.mark.parametrize("keys", ["BALANCE", "-BALANCE", "segment,-BALANCE", "CUST_ID", "-confidence", "updated_at"])
@pytest.mark.parametrize("segment", [{"segment": "seg-01"}, {"segment_status": "pending"}])
def test_a_page_of_a_segment_reads_no_more_than_itself(
    gateway: FakeGateway, customers: Collection, segment: dict[str, str], keys: str
) -> None:
    """Each sort key has an index within segments, which MongoDB is told to use."""
    some = [stored(f"C{n}", (assignment(), None)[n % 2], BALANCE=float(n)) for n in range(600)]
    for n, customer in enumerate(some):  # of pending ones with the very same value, MongoDB reads all
        customer["updated_at"] += timedelta(seconds=n)
    gateway.store.insert_many(some)
    asked = {**segment, "sort": keys, "limit": "10"}
    cursor = gateway.client.get(CUSTOMERS, query_string={**asked, "limit": "200"}).json["next_cursor"]
    with _watched(customers) as queries:
        answer = gateway.client.get(CUSTOMERS, query_string={**asked, "cursor": cursor})
    assert len(answer.json["items"]) == 10
    assert sum(query["docsExamined"] for query in queries) <= 25
