"""Lines of an id and numbers are read all at once: exactly as cell by cell, whatever stands among them."""

import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.customer_files.csv import CsvCustomers, CsvRecords
from shared.customer_files.rows import ReadOptions, Unchecked
from shared.features import CUST_ID, INPUT_NAMES

HEADER = ",".join([CUST_ID, *INPUT_NAMES, "REGION"])
NUMBERS = ["0", "1", "1.5", "0.1", "1e5", "2E-3", "-0", "-3", "12345678901234567", "123456789012345678901234", "7.500"]
ODD = ["", "1e999", "007", "+5", ".5", "5.", "1e", "-", "NA", "1 ", " 1", '"3"', '"', "true", "null", "[1]", "1,5", "é"]
IDS = ["C1", "", " C3", '"C,4"', '"C5"', "\ufeff", CUST_ID, "'=x", "ü", "1", "[", "\0"]

cells = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS + ODD))
plain_lines = st.lists(st.sampled_from(NUMBERS), min_size=18, max_size=18)
lines = st.builds(
    lambda cust_id, cells, end: ",".join([cust_id, *cells]) + end,
    st.one_of(st.from_regex(r"\A[A-Z][0-9]{1,3}\Z"), st.sampled_from(IDS)),
    st.one_of(plain_lines, st.lists(cells, min_size=18, max_size=18), st.lists(cells, min_size=0, max_size=20)),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
)


def read(text: str, batch_rows: int) -> list[Unchecked]:
    return list(CsvCustomers([text.encode()], ReadOptions(batch_rows=batch_rows)).batches())


def without_columns(rows: Unchecked) -> tuple[object, ...]:
    words, unreadable = dict(rows.words), rows.unreadable
    return list(rows.lines), rows.ids, unreadable, rows.broken, rows.blank, words, rows.warnings, rows.null(0, "")


@given(st.lists(lines, max_size=12), st.integers(1, 5))
@example([f"{cust_id},{','.join(['1'] * 18)}\n" for cust_id in IDS[:6]], 1)
@example([f"{cust_id},{','.join(['1'] * 18)}\n" for cust_id in IDS[6:]], 1)
@example([f"A1,{','.join([cell] * 18)}\n" for cell in NUMBERS + ODD], 1)
@example(["A1," + ",".join(["1"] * 17) + ",\n", "A2,1," + ",".join([""] * 16) + ",1"], 2)
def test_a_file_is_read_as_cell_by_cell(written: list[str], batch_rows: int) -> None:
    text = f"{HEADER}\n{''.join(written)}"
    found = read(text, batch_rows)
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(CsvRecords, "plain", lambda _records, _most: None)
        expected = read(text, batch_rows)
    assert list(map(without_columns, found)) == list(map(without_columns, expected))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.array(one.columns), np.array(other.columns))


def test_no_cell_of_a_file_of_numbers_is_cut_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CsvRecords, "read", lambda _records, _most: sys.exit("read cell by cell"))
    text = f"{HEADER}\n" + "".join(f"C{row},{row}.25,,{','.join(['1'] * 15)},3\n" for row in range(7))
    customers = CsvCustomers([text.encode()], ReadOptions(batch_rows=5))
    rows = next(customers.batches())
    assert rows.ids == [f"C{row}" for row in range(5)]
    assert rows.columns[0].tolist() == [row + 0.25 for row in range(5)]
    assert np.isnan(rows.columns[1]).all()
