"""Every way to write the same table of customers down, and what is no such table."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from model_customers import tiny_customers
from support.parquet_in_process import ProgramInProcess

from model_service.training.dataset import read_customers
from model_service.training.errors import DataRefused
from shared.customer_files import reader
from shared.features import CUST_ID, INPUTS

HEADER = ",".join([CUST_ID, *(f.name for f in INPUTS)])
PLAIN = tiny_customers()


def as_csv(table: pd.DataFrame = PLAIN, **options) -> bytes:
    return table.to_csv(index=False, **options).encode()


def as_parquet(table: pd.DataFrame | pa.Table = PLAIN) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False), buffer)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    monkeypatch.setattr(reader, "ParquetProgram", ProgramInProcess)


@pytest.fixture
def read(tmp_path):
    """Reads a file of the given content, named as asked."""

    def of(content: bytes, name: str = "customers.csv"):
        (tmp_path / name).write_bytes(content)
        return read_customers(tmp_path / name)

    return of


@pytest.fixture
def plain(read):
    return read(as_csv()).frame


@pytest.mark.parametrize(
    "content",
    [
        as_csv(sep=";"),
        as_csv(sep="\t"),
        as_csv(PLAIN.rename(columns=str.lower)),
        as_csv(PLAIN.rename(columns=lambda name: f" {name.title()} ")),
        as_csv(PLAIN[PLAIN.columns[::-1]]),
        as_csv(PLAIN.assign(**{"note, with; marks": "a, b; c"})),
        b"\xef\xbb\xbf" + as_csv(),
        b"\n \n" + as_csv() + b"\n\n",
        as_csv(lineterminator="\r\n"),
        as_csv(lineterminator="\r"),
        as_csv(quoting=1),
    ],
    ids=["semicolon", "tab", "lower case", "spaces", "order", "note", "mark", "blank", "crlf", "cr", "quotes"],
)
def test_the_same_customers_however_they_are_written(read, plain, content):
    pd.testing.assert_frame_equal(read(content).frame, plain)


@pytest.mark.parametrize(
    "name",
    ["customers.parquet", "upload", "upload.csv"],
)
def test_parquet_holds_the_same_customers(read, plain, name):
    data = read(as_parquet(), name)
    pd.testing.assert_frame_equal(data.frame, plain)
    assert data.lines.tolist() == list(range(2, 182))
    assert data.source["rows"] == len(plain)


@pytest.mark.parametrize("kind", [pa.float32(), pa.decimal128(20, 3), pa.int64(), pa.uint16()], ids=str)
def test_numbers_of_any_kind_are_numbers(read, kind):
    table = pa.Table.from_pandas(PLAIN.round(), preserve_index=False)
    place = table.schema.get_field_index("CREDIT_LIMIT")
    changed = table.set_column(place, "CREDIT_LIMIT", table.column(place).cast(kind))
    np.testing.assert_array_equal(read(as_parquet(changed)).frame["CREDIT_LIMIT"], PLAIN["CREDIT_LIMIT"].round())


@pytest.mark.parametrize("values", ["many", True, b"x", ["list"]])
def test_parquet_columns_of_other_kinds_are_refused(read, values):
    with pytest.raises(DataRefused, match=r"column BALANCE holds .* values, not numbers"):
        read(as_parquet(PLAIN.assign(BALANCE=[values] * len(PLAIN))))


@pytest.mark.parametrize("keep", [4, 100, -8, -1])
def test_truncated_parquet_is_refused(read, keep):
    with pytest.raises(DataRefused, match="cannot be read as Parquet"):
        read(as_parquet()[:keep])


def test_csv_under_a_false_name_is_refused(read):
    with pytest.raises(DataRefused, match="cannot be read as Parquet"):
        read(as_csv(), "customers.parquet")


def test_what_parquet_lacks_is_named(read):
    with pytest.raises(DataRefused, match=r"\. BALANCE column is missing; TENURE column is missing\.$"):
        read(as_parquet(PLAIN.drop(columns=["BALANCE", "TENURE"])))
    with pytest.raises(DataRefused, match=r"BALANCE column is there twice: 'BALANCE' and 'balance'\.$"):
        read(as_parquet(PLAIN.assign(balance=1.0)))
    with pytest.raises(DataRefused, match="has no rows"):
        read(as_parquet(PLAIN.iloc[:0]))
    data = read(as_parquet(PLAIN.assign(CUST_ID=PLAIN[CUST_ID].replace("C2", "C1"))))
    assert data.notes == ["line 4: CUST_ID repeats the CUST_ID of line 3"]


def test_bad_rows_of_parquet_are_counted_as_in_csv(read):
    data = read(as_parquet(PLAIN.assign(BALANCE=PLAIN["BALANCE"].where(PLAIN.index != 3, -1.0), note="x")))
    assert data.notes == ["line 5: BALANCE must be at least 0", "ignored columns: note"]


def test_ids_are_text_not_numbers(read):
    ids = [str(i) for i in range(len(PLAIN))]
    ids[5] = "007"
    assert len(read(as_csv(PLAIN.assign(CUST_ID=ids))).frame) == len(PLAIN), "007 and 7 are two customers"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda cells: HEADER.encode() + b"\n" + cells)))
@example(b"PAR1")
@example(b"PAR1" + bytes(40) + b"PAR1")
@example(HEADER.encode() + b"\n" + b"1," * 16 + b'"')
@example(HEADER.encode() + b"\n" + b"9" * 5000)
@example(HEADER.encode() + b"\n\xff")
@example(b'"' + HEADER.encode())
def test_no_bytes_do_anything_but_be_refused(read, content):
    with pytest.raises(DataRefused):
        read(content, "some.file")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    column=st.sampled_from(INPUTS),
    cell=st.one_of(
        st.text(st.characters(blacklist_characters='\r\n"', blacklist_categories=["Cs"])),
        st.floats().map(repr),
        st.integers().map(str),
    ),
)
def test_one_odd_cell_costs_one_row_at_most(read, column, cell):
    table = PLAIN.astype({column.name: object})
    table.loc[7, column.name] = cell
    data = read(as_csv(table))
    assert len(data.frame) == len(PLAIN) - data.source["refused"]
    assert data.source["refused"] <= 1
    if data.source["refused"]:
        assert data.notes[0].startswith(f"line 9: {column.name} ")
    else:
        value = data.frame[column.name][7]
        assert column.fault(None if np.isnan(value) else value) is None
