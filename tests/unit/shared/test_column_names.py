"""Names of columns in files: one table for both tiers, without two meanings for any name."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.column_names import ALIASES, fold, known_names, read_header
from shared.features import CUST_ID, FEATURES, INPUTS

NAMES = [CUST_ID, *(f.name for f in FEATURES)]


def test_aliases_are_of_columns_that_there_are() -> None:
    assert set(ALIASES) <= set(NAMES)


def test_no_name_stands_for_two_columns() -> None:
    written = [fold(name) for name in chain(NAMES, *ALIASES.values())]
    assert len(written) == len(set(written))


@pytest.mark.parametrize(
    ("written", "column"),
    [
        ("customer_id", CUST_ID),
        ("id", CUST_ID),
        (" Cust Id ", CUST_ID),
        ("Cust-ID", CUST_ID),
        ("ONE_OFF_PURCHASES", "ONEOFF_PURCHASES"),
        ("one-off purchases", "ONEOFF_PURCHASES"),
        ("INSTALLMENT_PURCHASES", "INSTALLMENTS_PURCHASES"),
        ("PURCHASE", "PURCHASES"),
        ("credit limit", "CREDIT_LIMIT"),
        ("Credit\u00a0Limit", "CREDIT_LIMIT"),
        ("Tenure", "TENURE"),
    ],
)
def test_names_that_are_understood(written: str, column: str) -> None:
    assert read_header(["x", written]).places == {column: 1}


@given(st.permutations(NAMES), st.sampled_from([str.lower, str.title, str.upper]))
def test_order_and_letter_case_do_not_matter(names: list[str], case: object) -> None:
    header = read_header([case(name) for name in names])  # type: ignore[operator]
    assert header.places == {name: place for place, name in enumerate(names)}
    assert (header.ignored, header.missing, header.twice) == ([], [], {})


def test_unknown_columns_are_named_as_they_are_written() -> None:
    assert read_header(["Note ", "", "BALANCE"]).ignored == ["Note ", ""]


def test_what_is_missing() -> None:
    assert read_header(["BALANCE"]).missing == [f.name for f in INPUTS if not f.nullable and f.name != "BALANCE"]


def test_two_columns_of_one_meaning_are_named_as_they_are_written() -> None:
    assert read_header(["id", "Cust_ID", "CUST ID", "BALANCE"]).twice == {CUST_ID: ["id", "Cust_ID", "CUST ID"]}


def test_counts_what_is_known() -> None:
    assert known_names(["balance", "Balance", "x", "id"]) == 2
