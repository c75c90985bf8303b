"""Lists that no index serves: taken where they look through few customers, else refused before anything is read."""

from __future__ import annotations

import fakes.store
import pytest
from contracts.customers import assignment
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.store import InMemoryCustomerStore
from support.customers import stored
from support.problems import assert_problem

from gateway.data_access.mongo.customer_schema import MAX_INDEXES
from gateway.services.customers import lists, query
from gateway.services.customers.query import INDEXED, CustomerQuery
from gateway.settings import Settings
from gateway.stores import schema_of
from shared.features import FEATURES

FEW = 5
"""What the tests take for few customers, stored or left by a condition."""


class CountingStore(InMemoryCustomerStore):
    """Notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def find(self, query: CustomerQuery) -> list[fakes.store.CustomerPart]:
        self.asked.append("find")
        return super().find(query)

    def count(self, filters: query.Filters, exact: bool) -> query.Total:
        self.asked.append("count")
        return super().count(filters, exact)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    """A gateway with more customers than are looked through; three of them in one segment, most in another."""
    monkeypatch.setattr(lists, "SMALL_BASE", FEW)
    monkeypatch.setattr(fakes.store, "ESTIMATE_LIMIT", FEW)
    gateway = FakeGateway(store=CountingStore())
    some = [stored(f"A{n}", assignment("seg-01"), BALANCE=float(n)) for n in range(3)]
    most = [stored(f"B{n}", assignment("seg-02"), BALANCE=100.0) for n in range(9)]
    gateway.store.insert_many([*some, *most])
    return gateway


@pytest.mark.parametrize(
    ("asked", "pointers"),
    [
        ("TENURE=12", ["?TENURE"]),
        ("TENURE[gte]=12&sort=BALANCE", ["?TENURE[gte]"]),
        ("sort=-created_at", ["?sort"]),
        ("sort=BALANCE,created_at", ["?sort"]),
        ("sort=created_at&PURCHASES_TRX[lt]=99&segment=seg-02", ["?PURCHASES_TRX[lt]", "?sort"]),
        ("rival[exists]=true&BALANCE[gte]=100&segment[ne]=seg-01", ["?rival[exists]"]),
        ("TENURE=12&count=exact&limit=1", ["?TENURE"]),
    ],
)
def test_what_would_look_through_many_is_refused_unread_and_says_what_is_offered(
    many: FakeGateway, asked: str, pointers: list[str]
) -> None:
    problem = assert_problem(many.client.get(f"{CUSTOMERS}?{asked}"), 422, "query_not_indexed", pointers)
    assert all(name in problem["detail"] for name in INDEXED)
    assert "find" not in many.store.asked


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("TENURE=12&segment=seg-01", 3),
        ("TENURE=12&BALANCE[lt]=100", 3),
        ("TENURE=12&BALANCE[gte]=100&segment=seg-01", 0),  # neither alone leaves few, both in one index do
        ("sort=-created_at&CUST_ID[prefix]=A", 3),
        ("TENURE=12&CUST_ID[in]=A1,B1", 2),
        ("TENURE=12&segment_status=pending", 0),
        ("TENURE=12&BALANCE[gte]=0&CUST_ID[lt]=B", 3),
    ],
)
def test_a_second_condition_that_leaves_few_customers_makes_it_possible(
    many: FakeGateway, asked: str, found: int
) -> None:
    assert len(many.client.get(f"{CUSTOMERS}?{asked}").json["items"]) == found


def test_what_has_an_index_is_read_without_a_look_beforehand(many: FakeGateway) -> None:
    for asked in ("", "sort=-BALANCE", "segment=seg-01&borderline=true&sort=confidence", "model_version=v1"):
        assert many.client.get(f"{CUSTOMERS}?{asked}").status_code == 200
    assert set(many.store.asked) == {"find"}


def test_a_small_base_takes_any_filter_and_order(many: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "SMALL_BASE", 12)
    assert len(many.client.get(f"{CUSTOMERS}?TENURE=12&sort=-created_at").json["items"]) == 12


def test_a_walk_that_has_begun_is_finished_though_the_base_has_grown(
    many: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "SMALL_BASE", 12)
    cursor = many.client.get(f"{CUSTOMERS}?TENURE=12&limit=10").json["next_cursor"]
    monkeypatch.setattr(lists, "SMALL_BASE", FEW)
    assert len(many.client.get(f"{CUSTOMERS}?TENURE=12&limit=10&cursor={cursor}").json["items"]) == 2


def test_exports_and_bulk_deletion_take_any_filter(many: FakeGateway) -> None:
    exported = many.client.get("/api/v1/exports/customers?TENURE=12&format=ndjson")
    assert len(exported.text.splitlines()) == 12
    assert many.client.delete(f"{CUSTOMERS}?TENURE=12&dry_run=true").json["matching"] == 12


def test_every_sortable_feature_has_its_indexes_and_there_are_not_too_many() -> None:
    (customers,) = [each for each in schema_of(Settings()) if each.name == "customers"]
    names = [index.document["name"] for index in (*customers.indexes, *customers.put_off)]
    assert {f"segment_by_{f.name}" for f in FEATURES if f.sortable} <= set(names)
    assert len(["_id_", *names]) <= MAX_INDEXES
