"""The header of a CSV file: which columns there must be, may be and are ignored, in any order and letter case."""

from __future__ import annotations

from typing import Any

import pytest
from support.customers import body, inputs

from gateway.files.reader import CustomerFile
from gateway.services.errors import InvalidInput
from gateway.services.imports.source import RowFault
from shared.features import CUST_ID, DERIVED, INPUTS, complete
from shared.model_contract import CSV

COLUMNS = [CUST_ID, *(f.name for f in INPUTS)]
HEADER = ",".join(COLUMNS)


def _row(cust_id: str) -> str:
    return ",".join(str(value) for value in body(cust_id).values())


def _read(text: str) -> tuple[list[tuple[str, Any]], list[RowFault], int]:
    batches = list(CustomerFile(CSV, [text.encode()]).batches())
    return (
        [c for b in batches for c in b.customers],
        [f for b in batches for f in b.faults],
        sum(b.rejected for b in batches),
    )


@pytest.mark.parametrize(
    "header", ["\ufeff" + HEADER, '\ufeff"' + '","'.join(COLUMNS) + '"', HEADER.lower(), f" {HEADER} "]
)
def test_headers_that_fit(header: str) -> None:
    ((cust_id, _),), faults, _ = _read(f"{header}\n{_row('A')}\n")
    assert (cust_id, faults) == ("A", [])


def test_columns_come_in_any_order() -> None:
    shuffled = sorted(COLUMNS, reverse=True)
    values = {CUST_ID: "A", **inputs(BALANCE=7.5)}
    text = ",".join(shuffled) + "\n" + ",".join(str(values[name]) for name in shuffled)
    ((cust_id, features),), _, _ = _read(text)
    assert (cust_id, features) == ("A", complete(inputs(BALANCE=7.5)))


def test_unknown_columns_are_ignored_and_named() -> None:
    customers = CustomerFile(CSV, [f"Note,{HEADER},x\nhello,{_row('A')},\n".encode()])
    assert customers.ignored_columns == ["Note", "x"]
    assert [i for b in customers.batches() for i, _ in b.customers] == ["A"]


def test_derived_columns_are_computed_whatever_the_file_says() -> None:
    text = f"{HEADER},{DERIVED[0].name}\n{_row('A')},7\n{_row('B')},x\n"
    customers = CustomerFile(CSV, [text.encode()])
    (batch,) = customers.batches()
    assert customers.ignored_columns == []
    assert [features for _, features in batch.customers] == [complete(inputs())] * 2


def test_nullable_columns_may_be_absent() -> None:
    columns = [name for name in COLUMNS if name not in ("CREDIT_LIMIT", "MINIMUM_PAYMENTS")]
    values = body("A")
    ((_, features),), _, _ = _read(",".join(columns) + "\n" + ",".join(str(values[name]) for name in columns))
    assert (features["CREDIT_LIMIT"], features["MINIMUM_PAYMENTS"]) == (None, None)


def _header_fault(text: str) -> tuple[list[str], str]:
    with pytest.raises(InvalidInput) as caught:
        CustomerFile(CSV, [text.encode()])
    return [error["pointer"] for error in caught.value.errors], str(caught.value)


def test_a_header_that_lacks_columns() -> None:
    pointers, detail = _header_fault("BALANCE,TENURE\n")
    assert pointers == [f"/{n}" for n in COLUMNS if n not in ("BALANCE", "TENURE", "CREDIT_LIMIT", "MINIMUM_PAYMENTS")]
    assert "CUST_ID column is missing" in detail


def test_a_header_that_names_a_column_twice() -> None:
    pointers, detail = _header_fault(f"{HEADER},balance\n")
    assert pointers == ["/BALANCE"]
    assert detail.startswith("The header does not fit: line 1 was read as 19 columns, 'CUST_ID', 'BALANCE', ")
    assert detail.endswith(" BALANCE column is there twice: 'BALANCE' and 'balance'.")


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-8"])
def test_a_header_that_is_not_in_utf8_is_told_so(encoding: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        CustomerFile(CSV, [HEADER.replace("PURCHASES", "Umsätze", 1).encode(encoding)])
    assert ("save the file as UTF-8" in str(caught.value)) == (encoding != "utf-8")


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_a_file_without_a_header(text: str) -> None:
    pointers, _ = _header_fault(text)
    assert pointers


def test_a_file_with_only_a_header() -> None:
    assert _read(f"{HEADER}\n") == ([], [], 0)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_header_tells_what_separates_the_cells(delimiter: str, quote: str) -> None:
    names = delimiter.join(f"{quote}{name}{quote}" for name in ["a;b,c" if quote else "Note", *COLUMNS])
    cells = delimiter.join(["1", *map(str, body("A").values())])
    ((cust_id, features),), faults, _ = _read(f"{names}\n{cells}\n")
    assert (cust_id, features, faults) == ("A", complete(inputs()), [])


def test_columns_may_have_other_names() -> None:
    header = HEADER.replace("CUST_ID", "customer id").replace("ONEOFF_", "One-Off ").replace("TENURE", "tenure")
    ((cust_id, features),), _, _ = _read(f"{header}\n{_row('A')}\n")
    assert (cust_id, features) == ("A", complete(inputs()))


def test_two_names_of_one_column_are_refused_with_both() -> None:
    pointers, detail = _header_fault(f"{HEADER},customer_id,client_id\n".replace("CUST_ID,", "", 1))
    assert pointers == ["/CUST_ID"]
    assert "'customer_id' and 'client_id'" in detail


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named(encoding: str) -> None:
    with pytest.raises(InvalidInput, match="UTF-16"):
        CustomerFile(CSV, [f"{HEADER}\n{_row('A')}\n".encode(encoding)])


def test_bytes_that_are_no_utf8_cost_their_row_only_where_they_matter() -> None:
    lines = [
        f"Note,{HEADER}".encode(),
        "Müller,".encode("latin-1") + _row("A").encode(),
        b"x,\xff" + _row("B").encode(),
    ]
    (batch,) = CustomerFile(CSV, [b"\n".join(lines)]).batches()
    assert [i for i, _ in batch.customers] == ["A"]
    assert [(fault["line"], fault["column"]) for fault in batch.faults] == [(3, CUST_ID)]


def test_zero_bytes_cost_their_row_only() -> None:
    lines = [HEADER, _row("A"), _row("B\0"), _row("C").replace("100.0", "100.0\0", 1), _row("D")]
    customers, faults, rejected = _read("\n".join(lines))
    assert [i for i, _ in customers] == ["A", "D"]
    assert ([fault["line"] for fault in faults], rejected) == ([3, 4], 2)
