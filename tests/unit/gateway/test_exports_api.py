"""GET /exports/customers: which kind of file, of whom, when it fails, and how many at once."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from contracts.customers import assignment
from fakes.gateway import CUSTOMERS, EXPORTS, FakeGateway
from fakes.store import InMemoryCustomerStore
from pyarrow import parquet
from support.customers import stored
from support.problems import assert_problem

from gateway.controllers.exports import BROKEN_OFF
from gateway.files.writer import csv_for_people
from gateway.services.customers.exports import ExportService
from gateway.services.customers.query import Filters
from gateway.services.customers.store import Row
from gateway.services.errors import StoreError, StoreUnavailable
from gateway.settings import Settings
from shared.features import CUST_ID
from shared.model_contract import CSV, NDJSON, PARQUET

KINDS = {"csv": CSV, "ndjson": NDJSON, "parquet": PARQUET}


class BreakingStore(InMemoryCustomerStore):
    """Reads `whole` blocks of one row, then raises `fault`."""

    whole = 0
    fault: Exception = StoreUnavailable("The database has no primary.")

    def rows(self, filters: Filters, paths: Sequence[str], size: int) -> Iterator[list[Row]]:
        for place, block in enumerate(super().rows(filters, paths, 1)):
            if place == self.whole:
                raise self.fault
            yield block


def _filled(store: Any = None, names: str = "CAB", **settings: Any) -> FakeGateway:
    gateway = FakeGateway(settings=Settings(**settings), store=store or InMemoryCustomerStore())
    gateway.store.insert_many([stored(n, assignment(f"seg-0{i}"), BALANCE=i + 0.5) for i, n in enumerate(names)])
    return gateway


@pytest.fixture
def filled() -> FakeGateway:
    """The gateway with three customers."""
    return _filled()


def _ids(content: bytes) -> list[str]:
    return [row[CUST_ID] for row in csv.DictReader(io.StringIO(content.decode(), newline=""))]


class TestKind:
    @pytest.mark.parametrize(("kind", "media_type"), KINDS.items(), ids=list(KINDS))
    def test_is_the_one_asked_for(self, filled: FakeGateway, kind: str, media_type: str) -> None:
        for query, accept in (
            (f"format={kind}", "*/*"),
            ("", f"text/html, {media_type};q=0.9"),
            (f"format={kind}", "image/png"),
            ("", f"{media_type}; charset=utf-8"),
            ("", f"{media_type.upper()};charset=UTF-8;q=0.5, */*;q=0.1"),
        ):
            answer = filled.client.get(EXPORTS, query_string=query, headers={"Accept": accept})
            assert (answer.status_code, answer.mimetype, bool(answer.data)) == (200, media_type, True)
            name = re.fullmatch(
                rf'attachment; filename="customers-\d{{4}}-\d\d-\d\d\.{kind}"', answer.headers["Content-Disposition"]
            )
            assert name
            assert "Accept" in answer.headers["Vary"]

    @pytest.mark.parametrize("accept", [None, "*/*", "text/html,*/*;q=0.8", "text/*", "text/csv, application/json"])
    def test_is_csv_where_that_will_do(self, filled: FakeGateway, accept: str | None) -> None:
        answer = filled.client.get(EXPORTS, headers={"Accept": accept} if accept else {})
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"

    @pytest.mark.parametrize("accept", ["application/json", "image/png", "text/csv;q=0", "text/csv; a=b; q=0"])
    def test_that_there_is_not_is_refused(self, filled: FakeGateway, accept: str) -> None:
        assert_problem(filled.client.get(EXPORTS, headers={"Accept": accept}), 406, "not_acceptable")


class TestFile:
    def test_as_csv_has_every_customer_in_order(self, filled: FakeGateway) -> None:
        answer = filled.client.get(EXPORTS)
        assert _ids(answer.data) == ["A", "B", "C"]

    def test_as_ndjson_has_what_the_list_has(self, filled: FakeGateway) -> None:
        lines = filled.client.get(EXPORTS, query_string={"format": "ndjson"}).data.splitlines()
        assert [json.loads(line) for line in lines] == filled.client.get(CUSTOMERS).json["items"]

    def test_as_parquet_has_every_customer(self, filled: FakeGateway) -> None:
        content = filled.client.get(EXPORTS, query_string={"format": "parquet"}).data
        table = parquet.ParquetFile(io.BytesIO(content)).read().to_pylist()
        assert [(row[CUST_ID], row["BALANCE"], row["segment"]) for row in table] == [
            ("A", 1.5, "seg-01"),
            ("B", 2.5, "seg-02"),
            ("C", 0.5, "seg-00"),
        ]

    @pytest.mark.parametrize("kind", KINDS)
    def test_of_nobody_is_whole_as_well(self, kind: str) -> None:
        answer = FakeGateway().client.get(EXPORTS, query_string={"format": kind})
        assert answer.status_code == 200
        assert BROKEN_OFF not in answer.data

    def test_has_only_the_members_asked_for(self, filled: FakeGateway) -> None:
        query = {"fields": "segment,BALANCE"}
        assert filled.client.get(EXPORTS, query_string=query).data.splitlines()[0] == (
            b"CUST_ID,BALANCE,segment,rival,confidence,borderline,model_version,assigned_at"
        )
        line = filled.client.get(EXPORTS, query_string={**query, "format": "ndjson"}).data.splitlines()[0]
        assert set(json.loads(line)) == {CUST_ID, "BALANCE", "segment"}

    def test_has_only_the_customers_asked_for(self, filled: FakeGateway) -> None:
        query = {"BALANCE[gte]": "1.5", "segment[in]": "seg-00,seg-01", "fields": CUST_ID}
        assert filled.client.get(EXPORTS, query_string=query).data == b"CUST_ID\r\nA\r\n"

    def test_can_be_chosen_by_many_ids(self, filled: FakeGateway) -> None:
        others = ",".join(f"{n:03}".ljust(64, "x") for n in range(99))
        query = {"CUST_ID[in]": f"A,{others}", "segment[ne]": "x", "rival[in]": others, "fields": CUST_ID}
        assert len(others) * 2 > 12_000
        query |= {"model_version[in]": others, "segment[in]": f"seg-01,{others}"}
        assert filled.client.get(EXPORTS, query_string=query).status_code == 200


class TestForPeople:
    def test_has_exactly_the_columns_asked_for_with_labels_and_a_name_of_its_own(self, filled: FakeGateway) -> None:
        query = {"columns": "BALANCE,CUST_ID,borderline,segment_status", "segment": "seg-01"}
        answer = filled.client.get(EXPORTS, query_string=query, headers={"Accept": "application/x-ndjson"})
        assert answer.data.decode("utf-8-sig") == (
            "Average balance owed,Customer,Borderline,State\r\n1.5,A,true,assigned\r\n"
        )
        assert re.search('filename="customers-as-shown-.*[.]csv"', answer.headers["Content-Disposition"])
        assert filled.client.head(EXPORTS, query_string=query).headers["Content-Type"] == answer.headers["Content-Type"]

    @pytest.mark.parametrize("name", ["=1+1", "-Big, and small", '+say "x"', "@a", "Plain"])
    def test_names_segments_and_lets_no_spreadsheet_run_a_name(self, name: str) -> None:
        rows = [["A", "seg-01", "seg-02", 0.5], ["B", None, None, None]]
        content = b"".join(csv_for_people([rows], ["CUST_ID", "segment", "rival", "confidence"], {"seg-01": name}))
        _, *read = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        assert read == [["A", name if name == "Plain" else f"'{name}", "seg-02", "0.5"], ["B", "", "", ""]]


class TestRefusals:
    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("format=xlsx", "?format"),
            ("format=", "?format"),
            ("format=csv&format=csv", "?format"),
            ("fields=SHOE_SIZE", "?fields"),
            ("fields=", "?fields"),
            ("columns=SHOE_SIZE", "?columns"),
            ("columns=segment&fields=segment", "?columns"),
            ("columns=segment&format=parquet", "?columns"),
            ("BALANCE[gte]=much", "?BALANCE[gte]"),
            ("limit=5", "?limit"),
            ("cursor=x", "?cursor"),
            ("sort=BALANCE", "?sort"),
        ],
    )
    def test_name_the_parameter(self, filled: FakeGateway, query: str, pointer: str) -> None:
        assert filled.client.head(EXPORTS, query_string=query).status_code == 422
        assert_problem(filled.client.get(EXPORTS, query_string=query), 422, "validation_failed", [pointer])

    def test_of_other_methods(self, filled: FakeGateway) -> None:
        assert_problem(filled.client.post(EXPORTS), 405, "method_not_allowed")


class TestFaults:
    def test_before_the_first_byte_are_a_problem(self, filled: FakeGateway) -> None:
        filled.store.failure = StoreUnavailable("the database cannot be reached")
        for kind in KINDS:
            answer = filled.client.get(EXPORTS, query_string={"format": kind})
            assert_problem(answer, 503, "store_unavailable")

    @pytest.mark.parametrize("fault", [StoreUnavailable("away"), StoreError("broken"), ValueError("a bug")], ids=repr)
    @pytest.mark.parametrize("kind", KINDS)
    def test_midway_break_the_answer_and_mark_the_file(self, kind: str, fault: Exception) -> None:
        store = BreakingStore()
        store.whole, store.fault = 2, fault
        answer = _filled(store).client.get(EXPORTS, query_string={"format": kind}, buffered=False)
        content = answer.iter_encoded()
        read = []
        with pytest.raises(type(fault), match=str(fault)):
            read.extend(content)
        assert read[-1] == BROKEN_OFF
        assert _unreadable(kind, b"".join(read))


def _unreadable(kind: str, content: bytes) -> bool:
    """Whether whoever reads the file finds out."""
    try:
        if kind == "csv":
            list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
        elif kind == "ndjson":
            [json.loads(line) for line in content.splitlines()]
        else:
            parquet.ParquetFile(io.BytesIO(content))
    except (csv.Error, ValueError):
        return True
    return False


class TestHead:
    @pytest.mark.parametrize("kind", KINDS)
    def test_has_the_headers_and_reads_nothing(self, filled: FakeGateway, kind: str) -> None:
        expected = filled.client.get(EXPORTS, query_string={"format": kind}).headers
        filled.store.failure = StoreError("nobody may read")
        answer = filled.client.head(EXPORTS, query_string={"format": kind})
        assert (answer.status_code, answer.data) == (200, b"")
        for name in ("Content-Type", "Content-Disposition", "Vary"):
            assert answer.headers[name] == expected[name]


class TestOccupancy:
    def _begun(self, gateway: FakeGateway) -> Any:
        answer = gateway.client.get(EXPORTS, buffered=False)
        next(answer.iter_encoded())
        return answer

    def test_an_export_holds_its_place_until_it_is_sent(self) -> None:
        gateway = _filled(threads=2)  # room for one
        answer = self._begun(gateway)
        assert_problem(gateway.client.get(EXPORTS), 503, "analysis_busy")
        assert len(list(answer.iter_encoded())) > 0
        answer.close()
        assert gateway.client.get(EXPORTS).status_code == 200

    def test_a_client_that_leaves_gives_its_place_back(self) -> None:
        gateway = _filled(threads=2)
        self._begun(gateway).close()
        assert gateway.client.get(EXPORTS).status_code == 200

    @pytest.mark.parametrize("whole", [0, 1])
    def test_an_export_that_fails_gives_its_place_back(self, whole: int) -> None:
        store = BreakingStore()
        store.whole = whole
        gateway = _filled(store, threads=2)
        answer = gateway.client.get(EXPORTS, buffered=False)
        with pytest.raises(StoreUnavailable) if whole else nullcontext():
            list(answer.iter_encoded())
        answer.close()
        store.whole = 9
        assert gateway.client.get(EXPORTS).status_code == 200


class TestReadingAhead:
    def test_is_by_one_block(self) -> None:
        store = InMemoryCustomerStore()
        store.insert_many([stored(name) for name in "ABCDE"])
        read: list[int] = []

        def counted(*arguments: Any) -> Iterator[list[Row]]:
            for block in InMemoryCustomerStore.rows(store, *arguments):
                read.append(len(block))
                yield block

        store.rows = counted  # type: ignore[method-assign]
        blocks = ExportService(store, 2).customers((), [CUST_ID])
        assert read == [2], "the first is there before the answer begins"
        seen = []
        for block in blocks:
            seen += block
            assert sum(read) <= len(seen) + 2
        assert seen == [[name] for name in "ABCDE"]
        assert read == [2, 2, 1]
