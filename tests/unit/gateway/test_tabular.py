"""CSV customers: the verdicts and stored values of the JSON schema, and the file's own oddities."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError
from support.customers import any_numbers, body, cust_ids, faultless, inputs

from gateway.files.reader import CustomerFile
from gateway.schemas.customers import customer_schema
from gateway.services.errors import InvalidInput
from gateway.services.imports.source import RowFault
from shared.customer_files.csv import DELIMITERS, MOST_LINES
from shared.customer_files.text import BLOCK_BYTES, MAX_LINE
from shared.features import CUST_ID, INPUTS, complete
from shared.model_contract import CSV


def csv_customers(pieces: Iterable[bytes], batch_rows: int = 1_000) -> CustomerFile:
    return CustomerFile(CSV, pieces, batch_rows=batch_rows)


COLUMNS = [CUST_ID, *(f.name for f in INPUTS)]
HEADER = ",".join(COLUMNS)
NOT_NUMBERS = ["1_000", "0x10", "1,5", "1 000", "1e", "--1", "$5", "5%", "'5'", "=1+1", "true", "nil", "missing", "-"]
NOT_NUMBERS += ["-nan", "inf", "-Infinity", "1e400", "\u0661\u0662", "１２", "½", "1\u00a0000"]
_json_schema = customer_schema()


def row(cust_id: str = "A", **changes: Any) -> str:
    return ",".join(str(value) for value in body(cust_id, **changes).values())


def read(text: str, batch_rows: int = 1_000) -> tuple[list[tuple[str, Any]], list[RowFault], int]:
    batches = list(csv_customers([text.encode()], batch_rows).batches())
    for batch in batches:
        assert len(batch.lines) == len(batch.customers)
    return (
        [c for b in batches for c in b.customers],
        [f for b in batches for f in b.faults],
        sum(b.rejected for b in batches),
    )


def refused(text: str) -> list[tuple[int, str | None, str]]:
    _, faults, rejected = read(text)
    assert rejected == len({fault["line"] for fault in faults})
    return [(fault["line"], fault["column"], fault["detail"]) for fault in faults]


# Numbers as both JSON and CSV can write them, and texts that only look like numbers to Python.
_written = st.one_of(
    any_numbers().filter(lambda v: v is None or v - v == 0).map(lambda v: "" if v is None else json.dumps(v)),
    st.sampled_from(["1e400", "-1e400", "1e5", "1E-5", "12.0", "0", "1", "6", "0.5", "-0.0", "1000000", "1e6"]),
    st.sampled_from(
        ["nan", "inf", "-inf", "１２", "1_000", " ", "true", "false", "null", '"5"', "[1", "1]", "9" * 400]
    ),
)
_plain = {f.name: json.dumps(inputs()[f.name]) for f in INPUTS}
_mostly_good = st.dictionaries(st.sampled_from(list(_plain)), _written, max_size=3).map(lambda some: _plain | some)


def _as_json(cells: dict[str, str]) -> dict[str, Any]:
    return {name: _json_value(cell) for name, cell in cells.items()}


def _json_value(cell: str) -> Any:
    """Return what a client would send for a cell: null for a blank (and not for the text), a number, or a string."""
    if not cell.strip() or cell in ("nan", "null"):
        return cell.strip() or None
    try:
        return float(cell) if cell in ("inf", "-inf") else json.loads(cell)
    except json.JSONDecodeError:
        return cell


def _json_verdict(cust_id: str, cells: dict[str, str]) -> tuple[dict[str, Any] | None, list[str]]:
    sent = {CUST_ID: cust_id, **_as_json(cells)}
    for feature in INPUTS:
        if feature.nullable and sent[feature.name] in ("nan", "null"):
            sent[feature.name] = None
    try:
        sent = _json_schema.load(sent)
    except ValidationError as error:
        return None, sorted(error.messages_dict)
    del sent[CUST_ID]
    return complete(sent), []


@given(st.lists(st.tuples(st.sampled_from(["A", "b.c", "a b", ""]), _mostly_good), max_size=6), st.integers(1, 4))
def test_agrees_with_the_json_schema(rows: list[tuple[str, dict[str, str]]], batch_rows: int) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *([i, *cells.values()] for i, cells in rows)])
    customers, faults, rejected = read(text.getvalue(), batch_rows)
    verdicts = [_json_verdict(*one) for one in rows]
    seen: set[str] = set()
    for place, ((cust_id, _), (stored, _)) in enumerate(zip(rows, verdicts, strict=True)):
        if stored is not None and cust_id in seen:
            verdicts[place] = None, [CUST_ID]
        seen |= {cust_id} if stored is not None else set()
    expected = [(i, stored) for (i, _), (stored, _) in zip(rows, verdicts, strict=True) if stored is not None]
    assert repr(customers) == repr(expected)  # repr tells 1 from 1.0
    wrong = [(line, column) for line, (_, columns) in enumerate(verdicts, 2) for column in columns]
    assert sorted((f["line"], f["column"]) for f in faults) == sorted(wrong)
    assert rejected == sum(stored is None for stored, _ in verdicts)


@pytest.mark.parametrize("cell", NOT_NUMBERS)
@pytest.mark.parametrize("column", ["BALANCE", "TENURE", "CREDIT_LIMIT"])
def test_what_is_no_number_is_refused(cell: str, column: str) -> None:
    text = f"{HEADER}\n{row('A')}\n{row('B', **{column: csv_cell(cell)})}\n{row('C')}\n"
    ((line, where, detail),) = refused(text)
    assert (line, where) == (3, column)
    assert detail.startswith(("must be a number", "must be a finite number"))
    assert cell not in detail, "it may be an id in the wrong column"
    assert [cust_id for cust_id, _ in read(text)[0]] == ["A", "C"]


def csv_cell(text: str) -> str:
    return f'"{text}"' if "," in text else text


@pytest.mark.parametrize(
    ("cell", "value"), [(" 5 ", 5.0), ("+5", 5.0), ("5.", 5.0), (".5", 0.5), ("5e0", 5.0), ("-0", 0.0)]
)
def test_spellings_of_numbers(cell: str, value: float) -> None:
    ((_, features),), _, _ = read(f"{HEADER}\n{row(BALANCE=cell)}")
    assert features["BALANCE"] == value


@pytest.mark.parametrize("cell", ["", " ", "\t"])
def test_blank_means_null(cell: str) -> None:
    ((_, features),), _, _ = read(f"{HEADER}\n{row(CREDIT_LIMIT=cell)}")
    assert features["CREDIT_LIMIT"] is None
    assert refused(f"{HEADER}\n{row(BALANCE=cell)}") == [(2, "BALANCE", "must not be blank")]


def test_every_fault_of_a_row_is_listed_and_the_row_counted_once() -> None:
    _, faults, rejected = read(f"{HEADER}\n{row('a b', BALANCE=-1, TENURE='x')}\n")
    assert [fault["column"] for fault in faults] == [CUST_ID, "BALANCE", "TENURE"]
    assert rejected == 1


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_line_ends(newline: str, last: str) -> None:
    text = newline.join([HEADER, row("A"), row("B"), row("a b")]) + last.replace("\n", newline)
    assert [i for i, _ in read(text)[0]] == ["A", "B"]
    assert [line for line, _, _ in refused(text)] == [4]


@pytest.mark.parametrize("blank", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_rows", [1, 2, 3])
def test_blank_lines_count_as_lines_only(blank: int, batch_rows: int) -> None:
    gap = "\n" * blank
    text = f"{gap}{HEADER}\n{gap}{row('A')}\n{gap}{row('a b')}\n{gap}{row('B')}\n{gap}"
    customers, faults, rejected = read(text, batch_rows)
    assert [i for i, _ in customers] == ["A", "B"]
    assert ([fault["line"] for fault in faults], rejected) == ([3 * blank + 3], 1)


def test_rows_of_another_length() -> None:
    assert refused(f"{HEADER}\n{row('A')},1\nB,1\n{row('C')}\n   \n") == [
        (2, None, "has 19 cells where the header has 18"),
        (3, None, "has 2 cells where the header has 18"),
    ]


def test_quoted_line_breaks_keep_the_line_numbers_right() -> None:
    text = f'Note,{HEADER}\n"one\ntwo\r\nthree",{row("A")}\nx,{row("a b")}\n"four\nfive",{row("c d")}\nx,y\n'
    assert [(line, column) for line, column, _ in refused(text)] == [(5, CUST_ID), (6, CUST_ID), (8, None)]


@pytest.mark.parametrize(
    ("end", "others"),
    [
        ('"', []),
        (f'"{row("B")}\n{row("C")}\n', ["C"]),
        (row("B")[:-2] + '"12', []),
        (row("B")[:-2] + '"12\n', []),
        (f'B,"{row("C")}\n' * 3, []),
        (f'"B,1\n{row("C")}\n{row("D")}\n"E\n{row("F")}\n', ["C", "D", "F"]),
    ],
)
def test_an_unterminated_quote_costs_its_own_line_only(end: str, others: list[str]) -> None:
    text = f"{HEADER}\n{row('A')}\n{end}"
    customers, faults, rejected = read(text)
    assert [i for i, _ in customers] == ["A", *others]
    assert faults[0]["line"] == 3
    assert rejected == len(faults)
    assert len(customers) + rejected == len(text.splitlines()) - 1, "every line is stored or listed"


@pytest.mark.parametrize("header", ['"CUST_ID', '"CUST_ID"x,BALANCE\n'])
def test_a_broken_header_is_refused(header: str) -> None:
    with pytest.raises(InvalidInput, match="The header is not CSV"):
        read(header)


def test_a_decimal_comma_is_refused_in_so_many_words() -> None:
    text = f"{HEADER}\n{row(BALANCE='7.5')}\n".replace(",", ";").replace(".", ",")
    found = refused(text)
    assert (2, "BALANCE") in {(line, column) for line, column, _ in found}
    assert all("decimal point" in detail for _, _, detail in found)


@pytest.mark.parametrize("cell", ["'-A", "'--A", "' -A"])
def test_a_quote_that_an_export_put_before_an_id_is_taken_off(cell: str) -> None:
    customers, faults, _ = read(f"{HEADER}\n{row(cell)}\n{row('A-')}\n")
    assert [i for i, _ in customers] == ([cell[1:], "A-"] if " " not in cell else ["A-"])
    assert len(faults) == (" " in cell)


@pytest.mark.parametrize("cell", ["'A", "'", "''-A", "'.A"])
def test_no_other_quote_is(cell: str) -> None:
    assert [column for _, column, _ in refused(f"{HEADER}\n{row(cell)}\n")] == [CUST_ID]


@pytest.mark.parametrize("batch_rows", [1, 2, 1_000])
def test_a_giant_line_costs_itself_only(batch_rows: int) -> None:
    for size in (MAX_LINE, 4 * MAX_LINE + 2, 1_000_000):
        text = f"Note,{HEADER}\n,{row('A')}\n{'x' * size},{row('B')}\n{'y' * 100},{row('C')}\n"
        customers, faults, rejected = read(text, batch_rows)
        assert [i for i, _ in customers] == ["A", "C"]
        assert ([fault["line"] for fault in faults], rejected) == ([3], 1)
        assert "longer than 65,536 characters" in faults[0]["detail"]


def test_a_cell_of_many_lines_costs_its_first_line_only() -> None:
    text = f'Note,{HEADER}\n"' + "\n" * (MOST_LINES + 5) + f'",{row("A")}\nx,{row("B")}\n'
    customers, faults, _ = read(text)
    assert [i for i, _ in customers] == ["B"]
    assert faults[0]["line"] == 2
    assert "100 lines" in faults[0]["detail"]


def test_quotes_that_open_again_and_again_cost_little() -> None:
    """Each of these lines leaves a cell open, as the first of a record and as any other."""
    text = f"{HEADER}\n" + 'b","a\n' * 2_000
    customers, faults, rejected = read(text)
    assert customers == []
    assert len(faults) == rejected == 2_000


@given(
    st.lists(st.tuples(cust_ids, faultless()), min_size=1, max_size=8, unique_by=lambda row: row[0]),
    st.sampled_from(DELIMITERS),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 60),
)
def test_however_a_file_is_cut_and_written_it_says_the_same(
    rows: list[tuple[str, dict[str, Any]]], delimiter: str, quoting: Any, newline: str, piece: int
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=newline)
    writer.writerows([COLUMNS, *([i, *(f[name] for name in COLUMNS[1:])] for i, f in rows)])
    content = text.getvalue().encode()
    pieces = [content[place : place + piece] for place in range(0, len(content), piece)]
    customers = [c for b in csv_customers(pieces, batch_rows=3).batches() for c in b.customers]
    assert repr(customers) == repr([(i, complete(features)) for i, features in rows])


def test_rows_after_an_endless_quoted_cell_are_read_again() -> None:
    text = f'{HEADER}\nB,"{"x" * 200_000}\n{row("C")}\n{row("a b")}\n'
    customers, faults, _ = read(text)
    assert [i for i, _ in customers] == ["C"]
    assert [(fault["line"], fault["column"]) for fault in faults] == [(2, None), (4, CUST_ID)]
    assert faults[0]["detail"].startswith("is not valid CSV")


@given(st.text(alphabet=st.sampled_from('A1,."\n\r ;\t\0ä'), max_size=200), st.integers(1, 3))
def test_any_text_after_the_header_is_answered_row_by_row(text: str, batch_rows: int) -> None:
    customers, faults, rejected = read(f"{HEADER}\n{text}", batch_rows)
    assert customers == []
    assert rejected == len({fault["line"] for fault in faults})
    assert [fault["line"] for fault in faults] == sorted(fault["line"] for fault in faults)


def test_batches_have_the_size_asked_for() -> None:
    text = "\n".join([HEADER, *(row(f"C{n}") for n in range(7))])
    sizes = [len(b.customers) for b in csv_customers([text.encode()], batch_rows=3).batches()]
    assert sizes == [3, 3, 1]


def test_a_file_is_read_only_as_far_as_asked() -> None:
    def pieces() -> Iterator[bytes]:
        yield f"{HEADER}\n{row('A')}\n{row('B')}\n".encode() + b"\n" * BLOCK_BYTES
        raise AssertionError("read further than asked")

    batches = csv_customers(pieces(), batch_rows=1).batches()
    assert [next(batches).customers[0][0] for _ in range(2)] == ["A", "B"]


@pytest.mark.parametrize("batch_rows", [1, 2, 1_000])
def test_of_one_customer_the_first_faultless_row_counts(batch_rows: int) -> None:
    lines = [row("A", BALANCE=1), row("B", TENURE=13), row("A", BALANCE=2), row("B"), row("A", BALANCE=1), row("B")]
    customers, faults, rejected = read("\n".join([HEADER, *lines]), batch_rows)
    assert [(i, features["BALANCE"]) for i, features in customers] == [("A", 1.0), ("B", 100.0)]
    assert [(f["line"], f["column"], f["detail"]) for f in faults if f["column"] == CUST_ID] == [
        (4, CUST_ID, "repeats the CUST_ID of line 2"),
        (6, CUST_ID, "repeats the CUST_ID of line 2"),
        (7, CUST_ID, "repeats the CUST_ID of line 5"),
    ]
    assert rejected == 4
