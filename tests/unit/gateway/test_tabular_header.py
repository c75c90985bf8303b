"""The header of a CSV file: which columns there must be, may be and are ignored, in any order and letter case."""

from __future__ import annotations

import io
from typing import Any

import pytest
from fakes.customers import body, inputs

from gateway.schemas.tabular import CsvCustomers
from gateway.services.errors import InvalidInput
from gateway.services.imports import RowFault
from shared.features import CUST_ID, DERIVED, INPUTS, complete

COLUMNS = [CUST_ID, *(f.name for f in INPUTS)]
HEADER = ",".join(COLUMNS)


def _row(cust_id: str) -> str:
    return ",".join(str(value) for value in body(cust_id).values())


def _read(text: str) -> tuple[list[tuple[str, Any]], list[RowFault], int]:
    batches = list(CsvCustomers(io.StringIO(text, newline="")).batches())
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
    customers = CsvCustomers(io.StringIO(f"Note,{HEADER},x\nhello,{_row('A')},\n"))
    assert customers.ignored_columns == ["Note", "x"]
    assert [i for b in customers.batches() for i, _ in b.customers] == ["A"]


def test_derived_columns_are_computed_whatever_the_file_says() -> None:
    text = f"{HEADER},{DERIVED[0].name}\n{_row('A')},7\n{_row('B')},x\n"
    customers = CsvCustomers(io.StringIO(text))
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
        CsvCustomers(io.StringIO(text))
    return [error["pointer"] for error in caught.value.errors], str(caught.value)


def test_a_header_that_lacks_columns() -> None:
    pointers, detail = _header_fault("BALANCE,TENURE\n")
    assert pointers == [f"/{n}" for n in COLUMNS if n not in ("BALANCE", "TENURE", "CREDIT_LIMIT", "MINIMUM_PAYMENTS")]
    assert "CUST_ID column is missing" in detail


def test_a_header_that_names_a_column_twice() -> None:
    assert _header_fault(f"{HEADER},balance\n") == (
        ["/BALANCE"],
        "the header does not fit: BALANCE column is there twice",
    )


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_a_file_without_a_header(text: str) -> None:
    pointers, _ = _header_fault(text)
    assert pointers


def test_a_file_with_only_a_header() -> None:
    assert _read(f"{HEADER}\n") == ([], [], 0)
