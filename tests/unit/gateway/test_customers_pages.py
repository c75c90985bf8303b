"""The room of the customers: what the table answers, and what the page of one customer says, in plain words."""

from __future__ import annotations

import csv
import html
import io
import re
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import fakes.store
import pytest
from contracts.changes import about, at
from contracts.customers import assignment
from fakes.api_keys import key_of
from fakes.gateway import CUSTOMERS, FakeGateway
from fakes.model import DOWN, SLOW
from fakes.store import InMemoryCustomerStore
from hypothesis import given
from hypothesis import strategies as st
from support.customers import body, inputs, stored
from support.sessions import PageClient, browser_of

from gateway.pages.controllers.customers import COLUMNS
from gateway.pages.controllers.customers import _in_form as in_form
from gateway.pages.customer_filters import PARAMETERS
from gateway.services.customers import lists
from gateway.services.customers.query import CustomerQuery, Filters, Total
from gateway.services.errors import QueryTimeout
from gateway.services.principal import Scope
from shared.features import BY_NAME, INPUTS, Kind

SCRIPT = "<script>alert(1)</script>"
READER = "csk_000000000007_" + "k" * 43
FEW = 5


def words(page: str) -> str:
    """What a page says: its text without tags, as one line."""
    shown = re.sub(r"(?s)<(script|style|head).*?</\1>|<[^>]*>", " ", page)
    return " ".join(html.unescape(shown).split())


def ids(page: str) -> list[str]:
    """The customers in the table of a page, in order."""
    return re.findall(r'<th scope="row"><a href="/customers/([^"]+)">', page)


def link(page: str, name: str) -> str:
    """The address of a link by its text."""
    found = re.search(rf'<a[^>]*href="([^"]*)"[^>]*>{re.escape(name)}', page)
    assert found, f"no link {name!r}"
    return html.unescape(found[1])


def show(browser: PageClient, address: str, status: int = 200) -> str:
    answer = browser.get(address)
    assert answer.status_code == status, answer.text
    for name in BY_NAME:
        assert not re.search(rf"\b{name}\b", words(answer.text)), f"{name} stands on the page"
    return answer.text


def table(**filters: str) -> str:
    return f"/customers?{urlencode(filters)}"


class CountingStore(InMemoryCustomerStore):
    """Notes which conditions it counts, and can be too slow."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: list[Filters] = []
        self.slow = False

    def find(self, query: CustomerQuery) -> list[fakes.store.CustomerPart]:
        if self.slow:
            raise QueryTimeout(1.0)
        return super().find(query)

    def count(self, filters: Filters, exact: bool) -> Total:
        self.counted.append(filters)
        return super().count(filters, exact)


@pytest.fixture
def gateway() -> FakeGateway:
    """A gateway with four customers, one of whom waits for a segment."""
    gateway = FakeGateway(store=CountingStore())
    gateway.store.insert_many(
        [
            stored("A", assignment("seg-01"), BALANCE=10.0, PURCHASES_FREQUENCY=0.25),
            stored("B", assignment("seg-02"), BALANCE=2_500.0, PURCHASES_FREQUENCY=0.5, CREDIT_LIMIT=None),
            stored("C", assignment("seg-02"), BALANCE=30.0, PURCHASES_FREQUENCY=0.75),
            stored("D", None, BALANCE=40.0, PURCHASES_FREQUENCY=1.0),
        ]
    )
    return gateway


@pytest.fixture
def browser(gateway: FakeGateway) -> PageClient:
    return browser_of(gateway)


class TestTable:
    def test_says_who_they_are_in_plain_words(self, browser: PageClient) -> None:
        text = words(show(browser, "/customers"))
        assert "4 customers" in text
        assert "Average balance owed" in text
        assert "A Low balance 75% borderline 10 " in text
        assert "B High balance 75% borderline 2,500" in text
        assert "missing" in text
        assert "D waiting for a segment –" in text

    @pytest.mark.parametrize(
        ("filters", "found", "said"),
        [
            ({"CUST_ID[prefix]": "B"}, ["B"], "Customer begins with B"),
            ({"segment": "seg-02"}, ["B", "C"], "Segment is High balance"),
            ({"segment_status": "pending"}, ["D"], "State is waiting for a segment"),
            ({"borderline": "true"}, ["A", "B", "C"], "Borderline is yes"),
            ({"BALANCE[gte]": "20", "BALANCE[lte]": "50"}, ["C", "D"], "Average balance owed at least 20 "),
            ({"PURCHASES_FREQUENCY[gte]": "50"}, ["B", "C", "D"], "Months with purchases at least 50%"),
            ({"PURCHASES_FREQUENCY[in]": "50,75"}, ["B", "C"], "Months with purchases one of 50%, 75%"),
            ({"rival": "seg-02", "model_version": "v1"}, ["A", "B", "C"], "Model version is v1"),
            ({"CREDIT_LIMIT[exists]": "false"}, ["B"], "Credit limit no"),
            ({"segment": " ", "BALANCE[gte]": "", "sort": ""}, ["A", "B", "C", "D"], "4 customers"),
            ({"sort": "-BALANCE"}, ["B", "D", "C", "A"], "Average balance owed ↓"),
        ],
    )
    def test_is_filtered_and_sorted_and_says_by_what(
        self, browser: PageClient, filters: dict[str, str], found: list[str], said: str
    ) -> None:
        page = show(browser, table(**filters))
        assert ids(page) == found
        assert said in words(page)

    def test_says_numbers_as_they_were_typed_and_which_range_is_the_wrong_way_round(self, browser: PageClient) -> None:
        chips = words(
            show(
                browser,
                table(**{"BALANCE[gte]": "9.015", "PURCHASES_FREQUENCY[lte]": "75.25", "PURCHASES[lte]": "5000.01"}),
            )
        )
        for typed in ("at least 9.015", "at most 75.25%", "at most 5,000.01"):
            assert typed in chips
        wrong = show(browser, table(**{"BALANCE[gte]": "9000", "BALANCE[lte]": "100"}), 422)
        assert "The lower end is above the upper one." in words(wrong)
        assert 'value="9000"' in wrong

    def test_a_filter_goes_alone_and_a_header_sorts_the_other_way_round(self, browser: PageClient) -> None:
        page = show(browser, table(**{"segment": "seg-02", "BALANCE[gte]": "20", "sort": "-BALANCE"}))
        without = re.search(r'href="([^"]*)" aria-label="Remove the filter on Segment"', page)
        assert without
        assert ids(show(browser, html.unescape(without[1]))) == ["B", "D", "C"]
        assert ids(show(browser, link(page, "Average balance owed"))) == ["C", "B"]
        assert 'aria-sort="descending"' in page

    def test_is_walked_forward_and_back_to_the_first_page(self, browser: PageClient) -> None:
        address, walked = table(limit="2", sort="-BALANCE", segment_status="assigned"), []
        first = page = show(browser, address)
        walked += ids(page)
        while 'rel="next"' in page:
            page = show(browser, html.unescape(re.search(r'rel="next" href="([^"]*)"', page)[1]))  # type: ignore[index]
            walked += ids(page)
        assert walked == ["B", "C", "A"]
        assert ids(show(browser, link(page, "First page"))) == ids(first) == ["B", "C"]

    def test_what_it_shows_can_be_downloaded_in_full_or_as_it_stands(
        self, gateway: FakeGateway, browser: PageClient
    ) -> None:
        page = show(browser, table(**{"PURCHASES_FREQUENCY[gte]": "75", "sort": "-BALANCE"}))
        whole = browser.get(link(page, "CSV, all data"))
        assert [line.split(",")[0] for line in whole.text.split()] == ["CUST_ID", "C", "D"]
        assert "PURCHASES_FREQUENCY" in whole.text
        browser.set_cookie("columns", "segment.rival.BALANCE")
        shown = browser.get(link(show(browser, table()), "CSV, as shown"))
        headings, *rows = csv.reader(io.StringIO(shown.data.decode("utf-8-sig"), newline=""))
        assert headings == ["Customer", "Segment", "Closest other segment", "Average balance owed"]
        called = gateway.services.segments.descriptions.names()
        assert [row[:2] for row in rows[-2:]] == [["C", called["seg-02"]], ["D", ""]]
        assert "customers-as-shown-" in shown.headers["Content-Disposition"]
        shown.close()  # or the next finds no place
        assert browser.get(link(page, "NDJSON")).mimetype == "application/x-ndjson"
        assert browser.get(link(page, "Parquet")).status_code == 200

    @pytest.mark.parametrize(
        ("chosen", "columns"),
        [
            ("TENURE.rival", ["Customer", "Closest other segment", "Months as a customer"]),
            (".".join(COLUMNS), None),
            (f"{SCRIPT}.nothing", ["Customer", "Segment", "Confidence", "Average balance owed"]),
            ("", ["Customer", "Segment", "Confidence", "Average balance owed"]),
        ],
    )
    def test_has_the_columns_that_the_browser_remembers(
        self, browser: PageClient, chosen: str, columns: list[str] | None
    ) -> None:
        browser.set_cookie("columns", chosen)
        page = show(browser, "/customers")
        headers = [words(found) for found in re.findall(r"(?s)<th scope=\"col\"[^>]*>(.*?)</th>", page)]
        shown = [header.rstrip(" ↑↕") for header in headers]
        assert len(shown) == len(COLUMNS) + 1 if columns is None else shown[: len(columns)] == columns

    def test_says_what_is_wrong_beside_the_field_and_keeps_what_was_typed(self, browser: PageClient) -> None:
        page = show(browser, table(**{"BALANCE[gte]": "a lot", "CUST_ID[prefix]": SCRIPT, "segment": "seg-01"}), 422)
        assert "Must be a number." in words(page)
        assert 'aria-describedby="fault-BALANCE%5Bgte%5D"' in page
        assert 'id="fault-BALANCE%5Bgte%5D"' in page
        assert 'value="a lot"' in page
        assert f'value="{html.escape(SCRIPT)}"' in page
        assert SCRIPT not in page
        assert '<option value="seg-01" selected>' in page

    @pytest.mark.parametrize(
        ("filters", "said"),
        [
            ({"cursor": "nonsense"}, "This page of the list does not go with these filters."),
            ({"TENURE[ne]": "x"}, "Months as a customer must be a number."),
            ({"sort": "TENURE"}, "Customers cannot be sorted by this."),
            ({f"{f.name}[gte]": "1" for f in INPUTS} | {f"{f.name}[lt]": "2" for f in INPUTS}, "at most 20 conditions"),
        ],
    )
    def test_refuses_what_has_no_field_in_words_too(
        self, browser: PageClient, filters: dict[str, str], said: str
    ) -> None:
        assert said in words(show(browser, table(**filters), 422))

    @given(st.dictionaries(st.sampled_from([p.name for p in PARAMETERS]), st.text() | st.from_regex(r"-?\d+%?")))
    def test_takes_or_refuses_whatever_is_typed(self, filters: dict[str, str]) -> None:
        answer = _ANY.get(table(**filters))
        assert answer.status_code in (200, 422)
        assert "<h1>Customers</h1>" in answer.text

    def test_without_customers_it_says_how_they_come(self) -> None:
        page = show(browser_of(FakeGateway()), "/customers")
        assert "There are no customers yet" in words(page)
        assert link(page, "Import customers") == "/imports"

    def test_where_none_matches_it_says_so(self, browser: PageClient) -> None:
        page = show(browser, table(segment="seg-77"))
        assert "No customer matches" in words(page)
        assert "seg-77 (not in the active model)" in words(page)

    def test_without_the_model_service_segments_go_by_their_ids(
        self, gateway: FakeGateway, browser: PageClient
    ) -> None:
        gateway.model.failure = DOWN
        assert "A seg-01 75%" in words(show(browser, "/customers"))


class TestManyCustomers:
    @pytest.fixture(autouse=True)
    def many(self, monkeypatch: pytest.MonkeyPatch, gateway: FakeGateway) -> None:
        monkeypatch.setattr(lists, "SMALL_BASE", FEW)
        monkeypatch.setattr(fakes.store, "ESTIMATE_LIMIT", FEW)
        gateway.store.insert_many([stored(f"M{n}", assignment("seg-02"), BALANCE=100.0) for n in range(9)])

    @pytest.mark.parametrize(
        ("filters", "named"),
        [
            ({"TENURE[gte]": "6", "segment": "seg-02"}, "Months as a customer."),
            ({"PURCHASES_TRX[gte]": "6", "sort": "-created_at"}, "Number of purchases, sorting by First stored."),
        ],
    )
    def test_what_has_no_index_is_explained_and_can_be_downloaded(
        self, browser: PageClient, filters: dict[str, str], named: str
    ) -> None:
        page = show(browser, table(**filters), 422)
        assert f"this would take too long: {named}" in words(page)
        assert len(browser.get(link(page, "download these customers as CSV")).text.split()) > FEW

    def test_what_takes_too_long_is_said_with_the_filter_in_place(
        self, gateway: FakeGateway, browser: PageClient
    ) -> None:
        gateway.store.slow = True
        page = show(browser, table(**{"BALANCE[gte]": "77"}), 503)
        assert "That took too long." in words(page)
        assert 'value="77"' in page

    @pytest.mark.parametrize(
        ("filters", "said"),
        [
            ({"limit": "2"}, "About 13 customers"),
            ({"segment": "seg-01"}, "1 customer "),
            ({"segment": "seg-02", "BALANCE[gte]": "50", "limit": "2"}, "5 or more customers"),
            ({"segment": "seg-01", "PURCHASES[gte]": "1", "CUST_ID[prefix]": "A"}, "1 customer "),
            ({"BALANCE[gte]": "50", "PURCHASES[gte]": "1", "limit": "2"}, "2 customers on this page"),
        ],
    )
    def test_are_counted_only_where_one_index_knows(
        self, gateway: FakeGateway, browser: PageClient, filters: dict[str, str], said: str
    ) -> None:
        assert said in words(show(browser, table(**filters)))
        assert all(len({c.field for c in counted} - {"segment"}) <= 1 for counted in gateway.store.counted)


class TestCustomer:
    def test_is_described_and_explained_in_plain_words(self, browser: PageClient) -> None:
        page = show(browser, "/customers/A")
        text = words(page)
        assert "Borderline Only 75% sure" in text
        assert "Otherwise it would most likely be in High balance" in text
        assert "In this segment since" in text
        assert "because of an import" in text
        assert "Average balance owed 10 " in text
        assert 'aria-label="speaks for Low balance"' in page
        assert "The customer moves at 1,000." in text
        assert "Average balance owed 10 1,000" in text
        assert "Months with purchases 25%" in text

    def test_has_a_form_with_what_is_stored_exactly(self, gateway: FakeGateway, browser: PageClient) -> None:
        gateway.store.insert(stored("E", None, PURCHASES_FREQUENCY=0.166667, CREDIT_LIMIT=None, BALANCE=1e-07))
        page = show(browser, "/customers/E")
        values = dict(re.findall(r'<input id="(\w+)"[^>]* value="([^"]*)"', page))
        assert values["PURCHASES_FREQUENCY"] == "16.6667"
        assert values["CREDIT_LIMIT"] == ""
        assert values["BALANCE"] == "0.0000001"
        assert values["TENURE"] == "12"
        assert set(values) == {f.name for f in INPUTS}
        assert f'data-revision="{gateway.store.get("E")["revision"]}"' in page

    @given(st.floats(0, 1e12) | st.integers(0, 10**12), st.sampled_from(list(Kind)))
    def test_the_form_says_every_number_exactly(self, value: float, kind: Kind) -> None:
        field = next(f for f in INPUTS if f.kind is kind)
        places = 2 if kind is Kind.FREQUENCY else 0
        assert Decimal(in_form(value, field.name)).scaleb(-places) == Decimal(repr(value))

    def test_what_looks_odd_is_said(self, gateway: FakeGateway, browser: PageClient) -> None:
        gateway.store.insert(stored("E", None, CASH_ADVANCE=500.0, CASH_ADVANCE_TRX=0))
        text = words(show(browser, "/customers/E"))
        assert re.search("What looks odd in the data Cash advances in 12 months .* do not agree", text)

    @pytest.mark.parametrize("failure", [DOWN, SLOW])
    def test_without_the_model_service_all_but_the_explanation_is_there(
        self, gateway: FakeGateway, browser: PageClient, failure: Any
    ) -> None:
        _moves(gateway)
        show(browser, "/customers")  # the names are known
        gateway.model.failure, gateway.model.calls = failure, []
        text = words(show(browser, "/customers/A"))
        assert "The explanation is not available at the moment" in text
        assert "Not available at the moment" in text
        assert "Average balance owed 10 " in text
        assert "Why it moved cannot be said at the moment" in text
        assert [name for name, _ in gateway.model.calls if name in ("predict", "explain_move")] == ["predict"]

    def test_history_says_what_changed_and_why_it_moved(self, gateway: FakeGateway, browser: PageClient) -> None:
        _moves(gateway)
        text = words(show(browser, "/customers/A"))
        assert "Data changed" in text
        assert "Moved from High balance to Low balance." in text
        assert "Average balance owed 5,000 10 " in text

    def test_history_goes_on_and_comes_back(self, gateway: FakeGateway, browser: PageClient) -> None:
        gateway.changes.append([about("customer", "A", n, type="customer.rescored", seq=n) for n in range(1, 13)])
        first = show(browser, "/customers/A")
        second = show(browser, link(first, "Earlier changes"))
        assert [page.count("Scored again") for page in (first, second)] == [10, 2]
        assert show(browser, link(second, "Latest changes")).count("Scored again") == 10

    def test_one_that_waits_for_a_segment_can_be_scored_now(self, browser: PageClient) -> None:
        page = show(browser, "/customers/D")
        assert "Waiting for a segment" in words(page)
        assert "data-rescore" in page

    def test_one_that_the_model_sees_elsewhere_by_now_says_so(self, browser: PageClient) -> None:
        page = show(browser, "/customers/C")  # stored in the segment of high balances, with 30
        assert "The model of today would place this customer elsewhere: in Low balance" in words(page)
        assert "data-rescore" in page

    def test_one_that_lacks_what_the_model_needs_is_shown_without_reasons(
        self, gateway: FakeGateway, browser: PageClient
    ) -> None:
        gap = {name: value for name, value in stored("E").items() if name not in ("TENURE",)}
        gateway.store.insert(gap)
        text = words(show(browser, "/customers/E"))
        assert "the model needs data that this customer lacks" in text
        assert "Months as a customer missing" in text

    def test_who_may_only_read_is_offered_no_change(self, gateway: FakeGateway) -> None:
        gateway.keys.insert(key_of(READER, [Scope.CUSTOMERS_READ]))
        page = show(browser_of(gateway, READER), "/customers/A")
        assert not re.search("data-(edit|form|delete|rescore)|what-if", page)


class TestGone:
    @pytest.mark.parametrize("cust_id", ["nobody", SCRIPT.replace("/", "%2F"), "%20", "..."])
    def test_unknown_and_impossible_ids_find_nobody(self, browser: PageClient, cust_id: str) -> None:
        answer = browser.get(f"/customers/{cust_id}")
        assert answer.status_code == 404
        assert "There is n" in words(answer.text)  # a slash makes another address, of nothing
        assert "<script>alert" not in answer.text

    def test_a_deleted_customer_is_shown_and_offered_to_be_restored(
        self, gateway: FakeGateway, browser: PageClient
    ) -> None:
        assert gateway.client.delete(f"{CUSTOMERS}/A").status_code == 204
        page = show(browser, "/customers/A")
        assert "Customer A was deleted" in words(page)
        assert 'data-restore="A"' in page

    def test_the_deleted_ones_are_listed_page_by_page_and_found(self, gateway: FakeGateway) -> None:
        gateway.store.insert_many([stored(f"X{n:03}", assignment()) for n in range(60)])
        for n in range(60):
            gateway.services.deletions.delete(f"X{n:03}")
        browser = browser_of(gateway)
        first = show(browser, "/deleted-customers")
        second = show(browser, link(first, "Next page"))
        assert ids(first) + ids(second) == [f"X{n:03}" for n in range(60)]
        assert "can be restored for 30 days" in words(first)
        assert ids(show(browser, "/deleted-customers?CUST_ID=X007")) == ["X007"]
        assert "No deleted customer has this id" in show(
            browser, f"/deleted-customers?{urlencode({'CUST_ID': SCRIPT})}"
        )

    def test_where_nobody_was_deleted_it_says_so(self, browser: PageClient) -> None:
        assert "Nobody has been deleted" in show(browser, "/deleted-customers")


def test_what_the_pages_scripts_send_changes_restores_and_notices_others(
    gateway: FakeGateway, browser: PageClient
) -> None:
    gateway.client.post(CUSTOMERS, json=body("N", **inputs()))
    token = {"X-CSRF-Token": browser.csrf_token("/customers/N")}
    revision = gateway.store.get("N")["revision"]
    sent = {"headers": {**token, "If-Match": f'"{revision}"'}, "content_type": "application/merge-patch+json"}
    assert browser.patch(f"{CUSTOMERS}/N", data='{"BALANCE": 1}', **sent).status_code == 200
    assert browser.patch(f"{CUSTOMERS}/N", data='{"BALANCE": 2}', **sent).status_code == 412
    assert browser.delete(f"{CUSTOMERS}/N", headers=sent["headers"]).status_code == 412
    assert browser.delete(f"{CUSTOMERS}/N").status_code == 403  # without the token
    assert browser.delete(f"{CUSTOMERS}/N", headers=token).status_code == 204
    assert browser.post(f"{CUSTOMERS}/N/restore", headers=token).json["BALANCE"] == 1


def _moves(gateway: FakeGateway) -> None:
    part = {"from": "seg-02", "from_since": at(-9), "to": "seg-01", "confidence": 0.8, "rival": "seg-02"}
    values = {"fields": ["BALANCE"], "values": {"BALANCE": [5_000.0, 10.0]}}
    gateway.changes.append([about("customer", "A", 2, seq=1, segment={**part, "model_version": "v1"}, **values)])


_ANY = browser_of(FakeGateway())
"""For made-up filters: an application is dear to build, and none of them changes anything."""
