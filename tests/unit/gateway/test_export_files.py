"""Customers as CSV, NDJSON and Parquet: what is written reads back as it was, and is never run as a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime

import orjson
import pytest
from fakes.store import row_of
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from support.customers import cust_ids, faultless, stored

from gateway.files.writer import KINDS, flat_columns
from gateway.services.customers.customer import Assignment, Customer
from gateway.services.customers.query import MEMBERS
from shared.features import CUST_ID, FEATURES, complete

AT = datetime(2024, 5, 1, 12, 0, 0, 123000)
SEGMENT = Assignment(id="seg-01", confidence=0.75, rival="seg-02", model_version="v1", assigned_at=AT)
ALL = flat_columns(MEMBERS)

customers = st.builds(
    lambda cust_id, features, segment: stored(cust_id, segment, **features),
    cust_ids,
    faultless(),
    st.sampled_from([None, SEGMENT, {**SEGMENT, "rival": None, "confidence": 1.0}]),
)


def as_json(customer: Customer) -> bytes:
    return orjson.dumps(customer, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)


blocks = st.lists(st.lists(customers, min_size=1, max_size=3), max_size=3)


def _file(kind: str, written: Sequence[Sequence[Customer]], members: Sequence[str] = MEMBERS) -> bytes:
    columns = KINDS[kind].columns(members)
    paths = KINDS[kind].paths(columns)
    return b"".join(KINDS[kind].write([[row_of(c, paths) for c in block] for block in written], columns))


def _csv(*written: list[Customer], members: Sequence[str] = MEMBERS) -> str:
    return _file("csv", written, members).decode()


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def _parquet(*written: list[Customer]) -> parquet.ParquetFile:
    return parquet.ParquetFile(io.BytesIO(_file("parquet", written)))


class TestColumns:
    def test_are_the_id_the_features_the_segment_and_the_record_in_this_order(self) -> None:
        segment = ("segment", "rival", "confidence", "borderline", "model_version", "assigned_at")
        record = ("segment_status", "revision", "created_at", "updated_at", "seq")
        assert (CUST_ID, *(f.name for f in FEATURES), *segment, *record) == ALL

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_of_the_segment_are_all_that_belongs_to_it(self, kind: str) -> None:
        assert KINDS[kind].columns((CUST_ID, "segment")) == (CUST_ID, *ALL[len(FEATURES) + 1 : -5])


class TestCsv:
    @given(blocks)
    def test_has_a_row_for_each_customer_with_every_number_exact(self, written: list[list[Customer]]) -> None:
        rows = _rows(_csv(*written))
        assert [row[CUST_ID].removeprefix("'") for row in rows] == [c[CUST_ID] for block in written for c in block]
        read = [{f.name: float(row[f.name]) if row[f.name] else None for f in FEATURES} for row in rows]
        assert read == [{f.name: c[f.name] for f in FEATURES} for block in written for c in block]

    def test_writes_a_customer_as_the_api_does(self) -> None:
        customer = stored("C1", SEGMENT, BALANCE=0.1, MINIMUM_PAYMENTS=None) | {
            "revision": "r",
            "created_at": AT,
            "updated_at": AT,
        }
        (row,) = _rows(_csv([customer]))
        time = "2024-05-01T12:00:00.123000Z"
        assert row == {f.name: "" if customer[f.name] is None else json.dumps(customer[f.name]) for f in FEATURES} | {
            CUST_ID: "C1",
            "segment": "seg-01",
            "confidence": "0.75",
            "borderline": "true",
            "rival": "seg-02",
            "model_version": "v1",
            "assigned_at": time,
            "segment_status": "assigned",
            "revision": "r",
            "created_at": time,
            "updated_at": time,
            "seq": "0",
        }

    def test_leaves_blank_what_a_customer_does_not_have(self) -> None:
        older = stored("C1")
        del older["BALANCE"]
        (row,) = _rows(_csv([older]))
        assert (row["BALANCE"], row["segment"], row["borderline"]) == ("", "", "")

    def test_is_the_header_alone_without_customers(self) -> None:
        assert _csv() == ",".join(ALL) + "\r\n"

    def test_ends_every_line_with_a_line_break_of_rfc_4180(self) -> None:
        text = _csv([stored("A"), stored("B")], [stored("C")], members=(CUST_ID, "TENURE"))
        assert text == "CUST_ID,TENURE\r\nA,12\r\nB,12\r\nC,12\r\n"

    def test_may_be_of_ids_alone(self) -> None:
        assert _csv([stored("A"), stored("null")], members=(CUST_ID,)) == "CUST_ID\r\nA\r\nnull\r\n"

    @pytest.mark.parametrize("cust_id", ["-1-cmd", "-"])
    def test_shows_an_id_that_would_be_a_formula_as_text(self, cust_id: str) -> None:
        assert _rows(_csv([stored(cust_id)]))[0][CUST_ID] == f"'{cust_id}"

    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=a,b", '="a"', '@"', "=\\"])
    def test_neutralises_any_text(self, text: str) -> None:
        customer = stored("C1", {**SEGMENT, "model_version": text})
        assert _rows(_csv([customer]))[0]["model_version"] == f"'{text}"

    @pytest.mark.parametrize("text", ["a,b", 'say "x"', "a\nb", "back\\slash", "],[", ",null", "null", "ä", "a-b=c"])
    def test_keeps_any_other_text(self, text: str) -> None:
        customer = stored("C1", {**SEGMENT, "model_version": text}, MINIMUM_PAYMENTS=None)
        (row,) = _rows(_csv([customer]))
        plain = _rows(_csv([{**customer, "segment": SEGMENT}]))[0]
        assert row == plain | {"model_version": text}

    @given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
    def test_reads_back_whatever_a_text_holds(self, text: str) -> None:
        (row,) = _rows(_csv([stored("C1", {**SEGMENT, "rival": text})]))
        assert row["rival"] in (text, f"'{text}")

    def test_never_touches_a_negative_number(self) -> None:
        assert _rows(_csv([stored("C1") | {"BALANCE": -0.5}]))[0]["BALANCE"] == "-0.5"


class TestNdjson:
    @given(blocks)
    def test_has_each_customer_on_a_line(self, written: list[list[Customer]]) -> None:
        lines = _file("ndjson", written).splitlines()
        assert [json.loads(line) for line in lines] == [json.loads(as_json(c)) for block in written for c in block]

    def test_is_empty_without_customers(self) -> None:
        assert _file("ndjson", []) == b""


class TestParquet:
    @given(blocks)
    def test_reads_back_as_it_was(self, written: list[list[Customer]]) -> None:
        names = [CUST_ID, *(f.name for f in FEATURES), "segment_status", "revision"]
        rows = _parquet(*written).read().to_pylist()
        assert [{n: row[n] for n in names} for row in rows] == [{n: c[n] for n in names} for b in written for c in b]
        read = [complete(row) for row in rows]
        assert read == [{f.name: c[f.name] for f in FEATURES} for b in written for c in b]

    def test_has_typed_columns_with_nulls_and_times(self) -> None:
        table = _parquet([stored("A", SEGMENT, MINIMUM_PAYMENTS=None), stored("B")]).read()
        kinds = {field.name: str(field.type) for field in table.schema}
        assert kinds[CUST_ID] == "string"
        assert {kinds[f.name] for f in FEATURES if f.whole} == {"int64"}
        assert {kinds[f.name] for f in FEATURES if not f.whole} == {"double"}
        assert kinds["created_at"] == "timestamp[ms, tz=UTC]"
        rows = table.to_pylist()
        assert rows[0]["assigned_at"].isoformat() == "2024-05-01T12:00:00.123000+00:00"
        assert (rows[0]["MINIMUM_PAYMENTS"], rows[0]["borderline"], rows[1]["borderline"]) == (None, True, None)

    def test_has_a_row_group_for_each_block(self) -> None:
        assert _parquet([stored("A"), stored("B")], [stored("C")]).num_row_groups == 2

    def test_has_its_columns_without_customers(self) -> None:
        assert _parquet().schema_arrow.names == list(ALL)

    def test_does_not_read_as_a_file_while_it_is_unfinished(self) -> None:
        kind = KINDS["parquet"]
        pieces = kind.write([[row_of(stored(i), kind.paths(ALL))] for i in "AB"], ALL)
        begun = next(pieces) + next(pieces)
        with pytest.raises(ValueError, match="Parquet"):
            parquet.ParquetFile(io.BytesIO(begun))
