"""The list of customers over HTTP: bounded pages, walked by cursor."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from fakes.gateway import CUSTOMERS, FakeGateway
from hypothesis import given
from hypothesis import strategies as st
from support.customers import cust_ids, stored
from support.problems import assert_problem
from werkzeug.test import TestResponse

from gateway.schemas.paging import DEFAULT_LIMIT, MAX_LIMIT
from gateway.services.customers.query import FIELDS, SORTABLE
from shared.features import CUST_ID

SIX = ["?BALANCE[gte]", "?segment[gt]", "?sort", "?fields", "?limit", "?count"]


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
        assert ('rel="next"' in answer.headers["Link"]) == (answer.json["next_cursor"] is not None)
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
    gateway.store.delete("D")
    link = first.headers["Link"]
    rest = gateway.client.get(link[1 : link.index('>; rel="next"')])
    assert [c[CUST_ID] for c in first.json["items"] + rest.json["items"]] == ["B", "D", "F", "G"]


def _links(answer: TestResponse) -> dict[str, str]:
    """Return the addresses in the header Link, by relation."""
    parts = [re.fullmatch('<([^<>" ]*)>; rel="([a-z]+)"', link) for link in answer.headers["Link"].split(", ")]
    return {part[2]: part[1] for part in parts if part}


def test_links_repeat_all_parameters() -> None:
    gateway = _with_customers(["A", "B", "C"])
    asked = {"limit": "1", "CUST_ID[in]": "B,C,x", "sort": "-BALANCE,CUST_ID", "fields": "BALANCE", "count": "exact"}
    answer = gateway.client.get(CUSTOMERS, query_string=asked)
    links = {relation: urlsplit(link) for relation, link in _links(answer).items()}
    assert {link.path for link in links.values()} == {CUSTOMERS}
    assert dict(parse_qsl(links["first"].query)) == asked
    assert dict(parse_qsl(links["next"].query)) == {**asked, "cursor": answer.json["next_cursor"]}
    following = gateway.client.get(_links(answer)["next"])
    assert [c[CUST_ID] for c in following.json["items"]] == ["C"]
    assert _links(following) == {"first": _links(answer)["first"]}


def test_a_cursor_holds_only_for_the_list_that_it_came_with() -> None:
    gateway = _with_customers(["A", "B", "C"])
    asked = {"limit": "1", "BALANCE[gte]": "1", "sort": "-BALANCE"}
    cursor = gateway.client.get(CUSTOMERS, query_string=asked).json["next_cursor"]
    for same in ({"limit": "2"}, {"fields": "BALANCE"}, {"count": "estimated"}):
        assert gateway.client.get(CUSTOMERS, query_string={**asked, **same, "cursor": cursor}).status_code == 200
    for other in ({"BALANCE[gte]": "2"}, {"sort": "BALANCE"}, {"sort": "-BALANCE,segment"}, {"TENURE": "12"}):
        answer = gateway.client.get(CUSTOMERS, query_string={**asked, **other, "cursor": cursor})
        assert "another list" in assert_problem(answer, 422, "validation_failed", ["?cursor"])["errors"][0]["detail"]
    assert_problem(gateway.client.get(f"{CUSTOMERS}?cursor={cursor}"), 422, "validation_failed", ["?cursor"])


def test_the_order_of_filters_makes_no_other_list() -> None:
    gateway = _with_customers(["A", "B"])
    cursor = gateway.client.get(f"{CUSTOMERS}?limit=1&TENURE=12&BALANCE[gt]=0").json["next_cursor"]
    answer = gateway.client.get(f"{CUSTOMERS}?limit=1&BALANCE[gt]=0&TENURE=12&cursor={cursor}")
    assert [c[CUST_ID] for c in answer.json["items"]] == ["B"]


def test_fields_choose_members() -> None:
    gateway = _with_customers(["A", "B"])
    answer = gateway.client.get(f"{CUSTOMERS}?fields=segment,BALANCE&sort=-PURCHASES,confidence&limit=1")
    assert answer.json["items"] == [{CUST_ID: "A", "BALANCE": 100.0, "segment": None}]
    assert answer.json["next_cursor"]


@pytest.mark.parametrize(
    ("query", "total", "kind"),
    [
        ("count=exact", 3, "exact"),
        ("count=estimated", 3, "exact"),  # one page has them all
        ("count=exact&limit=1", 3, "exact"),
        ("count=estimated&limit=1", 3, "estimated"),
        ("count=estimated&limit=1&BALANCE=100", 3, "exact"),
        ("count=exact&limit=1&BALANCE[ne]=100", 0, "exact"),
    ],
)
def test_totals_on_request(query: str, total: int, kind: str) -> None:
    body = _with_customers(["A", "B", "C"]).client.get(f"{CUSTOMERS}?{query}").json
    assert (body["total"], body["total_kind"]) == (total, kind)
    assert "total" not in _with_customers(["A"]).client.get(CUSTOMERS).json


def test_the_total_of_a_later_page_is_that_of_the_list() -> None:
    gateway = _with_customers(["A", "B", "C"])
    first = gateway.client.get(f"{CUSTOMERS}?limit=2&count=exact")
    assert gateway.client.get(_links(first)["next"]).json["total"] == 3


def test_a_long_query_is_refused_but_its_longest_page_address_works() -> None:
    gateway = _with_customers(["A", "B"])
    ids = ",".join(["A", "B", *(f"{n:04}" + "x" * 60 for n in range(50))])
    answer = gateway.client.get(CUSTOMERS, query_string={"CUST_ID[in]": ids, "limit": "1"})
    assert gateway.client.get(_links(answer)["next"]).status_code == 200
    long = gateway.client.get(CUSTOMERS, query_string={"CUST_ID[in]": f"{ids},{','.join(['y' * 64] * 5)}"})
    assert_problem(long, 414, "uri_too_long")


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
        ("BALANCE[$gt]=1&limit=-1&page=x", ["?BALANCE[$gt]", "?page", "?limit"]),
        ("limit=-1&cursor=x", ["?limit"]),
        ("limit=1&limit=2", ["?limit"]),
        ("BALANCE[gt]=1&BALANCE[gt]=2", ["?BALANCE[gt]"]),
        (f"sort={min(set(FIELDS) - set(SORTABLE))}", ["?sort"]),
        ("sort=", ["?sort"]),
        ("sort=BALANCE,-BALANCE", ["?sort"]),
        ("sort=--BALANCE", ["?sort"]),
        ("sort=BALANCE,PURCHASES,PAYMENTS,segment,CUST_ID", ["?sort"]),
        ("fields=BALANCE,balance", ["?fields"]),
        ("fields=", ["?fields"]),
        ("count=yes", ["?count"]),
        ("format=csv", ["?format"]),
        ("BALANCE[gte]=x&segment[gt]=a&sort=x&fields=y&limit=z&count=", SIX),
    ],
)
def test_queries_that_break_the_rules(gateway: FakeGateway, query: str, pointers: list[str]) -> None:
    assert_problem(gateway.client.get(f"{CUSTOMERS}?{query}"), 422, "validation_failed", pointers)
