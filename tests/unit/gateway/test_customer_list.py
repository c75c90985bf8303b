"""The list of customers over HTTP: bounded pages, walked by cursor."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from fakes.customers import cust_ids, stored
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.problems import assert_problem
from hypothesis import given
from hypothesis import strategies as st

from gateway.schemas.paging import DEFAULT_LIMIT, MAX_LIMIT
from shared.features import CUST_ID


def _with_customers(ids: list[str]) -> FakeGateway:
    gateway = FakeGateway()
    gateway.store.insert_many([stored(cust_id) for cust_id in ids])
    return gateway


def _walk(gateway: FakeGateway, limit: int) -> list[list[str]]:
    """Follow next_cursor from the first page to the last; return the ids of every page."""
    pages, query = [], {"limit": str(limit)}
    while query:
        answer = gateway.client.get(CUSTOMERS, query_string=query)
        assert answer.status_code == 200
        pages.append([c[CUST_ID] for c in answer.json["items"]])
        assert ("Link" in answer.headers) == (answer.json["next_cursor"] is not None)
        query = {"limit": str(limit), "cursor": answer.json["next_cursor"]} if answer.json["next_cursor"] else {}
    return pages


@given(st.sets(cust_ids, max_size=12), st.integers(1, 14))
def test_walking_returns_every_customer_once_in_order(ids: set[str], limit: int) -> None:
    pages = _walk(_with_customers(list(ids)), limit)
    assert [cust_id for page in pages for cust_id in page] == sorted(ids)
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert len(pages) == max(1, -(-len(ids) // limit))


def test_customers_that_come_and_go_meanwhile_disturb_nobody_else() -> None:
    gateway = _with_customers(list("BDFH"))
    first = gateway.client.get(CUSTOMERS, query_string={"limit": 2})
    gateway.store.insert_many([stored(name) for name in "ACG"])
    gateway.store.delete("D", None)
    link = first.headers["Link"]
    assert link.endswith('>; rel="next"')
    rest = gateway.client.get(link[1 : link.index(">")])
    assert [c[CUST_ID] for c in first.json["items"] + rest.json["items"]] == ["B", "D", "F", "G"]


def test_the_link_is_the_next_page() -> None:
    gateway = _with_customers(["A", "B"])
    answer = gateway.client.get(CUSTOMERS, query_string={"limit": 1})
    url = urlsplit(answer.headers["Link"].split(">")[0][1:])
    assert url.path == CUSTOMERS
    assert parse_qs(url.query) == {"limit": ["1"], "cursor": [answer.json["next_cursor"]]}


def test_items_are_what_a_read_answers() -> None:
    gateway = _with_customers(["A"])
    assert gateway.client.get(CUSTOMERS).json == {
        "items": [gateway.client.get(f"{CUSTOMERS}/A").json],
        "next_cursor": None,
    }


def test_an_empty_list() -> None:
    assert FakeGateway().client.get(CUSTOMERS).json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(("query", "size"), [({}, DEFAULT_LIMIT), ({"limit": str(MAX_LIMIT)}, MAX_LIMIT)])
def test_pages_are_bounded(query: dict[str, str], size: int) -> None:
    gateway = _with_customers([f"C{n}" for n in range(MAX_LIMIT + 1)])
    assert len(gateway.client.get(CUSTOMERS, query_string=query).json["items"]) == size


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["?limit"]),
        ("limit=501", ["?limit"]),
        ("limit=ten", ["?limit"]),
        ("limit=", ["?limit"]),
        ("cursor=", ["?cursor"]),
        ("cursor=C1", ["?cursor"]),
        ("cursor=%FF", ["?cursor"]),
        ("page=2", ["?page"]),
        ("BALANCE[$gt]=1&limit=-1&page=x", ["?BALANCE[$gt]", "?page"]),
        ("limit=-1&cursor=x", ["?limit", "?cursor"]),
        ("limit=1&limit=2", ["?limit"]),
    ],
)
def test_queries_that_break_the_rules(gateway: FakeGateway, query: str, pointers: list[str]) -> None:
    assert_problem(gateway.client.get(f"{CUSTOMERS}?{query}"), 422, "validation_failed", pointers)
