"""Names of columns in files: one table for both tiers, without two meanings for any name."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.customer_files.header import ALIASES, fold, known_names, read_header, read_mapping
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
    header = read_header(["id", "Cust_ID", "CUST ID", "BALANCE"])
    assert header.twice == {CUST_ID: ["Cust_ID", "CUST ID"]}
    assert read_header(["id", "client", "customer", "client id"]).twice == {CUST_ID: ["id", "customer", "client id"]}


def test_the_exact_name_goes_before_others() -> None:
    header = read_header(["ID", "CUST_ID", "Purchase", "PURCHASES"])
    assert header.places == {CUST_ID: 1, "PURCHASES": 3}
    assert (header.ignored, header.twice) == (["ID", "Purchase"], {})
    assert header.beside == {"ID": CUST_ID, "Purchase": "PURCHASES"}


def test_what_a_caller_says_goes_before_everything() -> None:
    header = read_header(["ID", "CUST_ID", "Konto-Nr", "saldo"], {CUST_ID: "konto nr", "BALANCE": "Saldo"})
    assert header.places == {CUST_ID: 2, "BALANCE": 3}
    assert header.ignored == ["ID", "CUST_ID"]
    assert header.columns == [
        {"column": CUST_ID, "read_from": "Konto-Nr"},
        {"column": "BALANCE", "read_from": "saldo"},
    ]


def test_a_column_may_be_read_from_another_of_the_data_dictionary() -> None:
    header = read_header(["BALANCE", "PAYMENTS"], {"BALANCE": "PAYMENTS"})
    assert header.places == {"BALANCE": 1}
    assert "PAYMENTS" in header.missing


def test_a_mapped_column_that_is_not_there_is_a_fault() -> None:
    header = read_header(["ID", "BALANCE"], {CUST_ID: "ACCOUNT"})
    (fault,) = (fault for fault in header.faults(id_required=True) if fault["pointer"] == f"/{CUST_ID}")
    assert fault["detail"] == "column is to be read from 'ACCOUNT', which is missing"


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("CUST_ID:ACCOUNT_NO,BALANCE:Saldo", {CUST_ID: "ACCOUNT_NO", "BALANCE": "Saldo"}),
        (" cust id : Account no , Balance:Saldo: total", {CUST_ID: "Account no", "BALANCE": "Saldo: total"}),
        ('"BALANCE:Saldo, Ende"', {"BALANCE": "Saldo, Ende"}),
        ('BALANCE:x, "PAYMENTS:a ""b"", c"', {"BALANCE": "x", "PAYMENTS": 'a "b", c'}),
    ],
)
def test_mappings(text: str, mapping: dict[str, str]) -> None:
    assert read_mapping(text) == mapping


@pytest.mark.parametrize(
    "text", ["", "CUST_ID", "CUST_ID:", ":x", "X:y", "BALANCE:a,BALANCE:b", "BALANCE:a,PAYMENTS:A", "BALANCE:a,", '"']
)
def test_what_is_no_mapping(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        read_mapping(text)


@pytest.mark.parametrize("name", ["AVERAGE_PURCHASE_TRX", "segment"])
def test_only_what_is_read_is_mapped(name: str) -> None:
    with pytest.raises(ValueError, match="is none"):
        read_mapping(f"{name}:x")


def test_counts_what_is_known() -> None:
    assert known_names(["balance", "Balance", "x", "id"]) == 2
