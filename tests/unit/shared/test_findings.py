"""Soft findings: each rule on both sides of its limit, and none on a plain customer."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.customers import faultless, inputs

from shared.features import INPUT_NAMES, complete
from shared.findings import column_findings, findings


def _found(**changes: Any) -> set[tuple[str, str]]:
    sent = inputs(**changes)
    return {(f["pointer"], f["code"]) for f in findings(complete(sent), sent)}


def test_a_plain_customer_has_none() -> None:
    assert _found() == set()


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"PURCHASES": 202.1}, "PURCHASES", "purchase_identity"),
        ({"PURCHASES": 197.9}, "PURCHASES", "purchase_identity"),
        ({"ONEOFF_PURCHASES_FREQUENCY": 0.51}, "ONEOFF_PURCHASES_FREQUENCY", "frequency_above_total"),
        ({"PURCHASES_INSTALLMENTS_FREQUENCY": 0.6}, "PURCHASES_INSTALLMENTS_FREQUENCY", "frequency_above_total"),
        ({"PURCHASES_TRX": 0}, "PURCHASES", "zero_mismatch"),
        ({"CASH_ADVANCE": 0}, "CASH_ADVANCE", "zero_mismatch"),
        ({"CASH_ADVANCE_TRX": 0}, "CASH_ADVANCE", "zero_mismatch"),
        ({"CASH_ADVANCE_FREQUENCY": 0}, "CASH_ADVANCE", "zero_mismatch"),
        ({"CASH_ADVANCE_FREQUENCY": 1.01}, "CASH_ADVANCE_FREQUENCY", "frequency_above_one"),
        ({"TENURE": 5}, "TENURE", "short_tenure"),
        ({"BALANCE": 110.1}, "BALANCE", "over_limit"),
        ({"MINIMUM_PAYMENTS": 200.1}, "MINIMUM_PAYMENTS", "minimum_over_limit"),
        ({"MINIMUM_PAYMENTS": None}, "MINIMUM_PAYMENTS", "missing_minimum"),
        ({"CREDIT_LIMIT": None}, "CREDIT_LIMIT", "missing_limit"),
        ({"AVERAGE_PURCHASE_TRX": 1.0}, "AVERAGE_PURCHASE_TRX", "derived_differs"),
    ],
)
def test_each_rule_finds(changes: dict[str, Any], field: str, code: str) -> None:
    assert _found(**changes) == {(f"/{field}", code)}


@pytest.mark.parametrize(
    "changes",
    [
        {"PURCHASES": 201.9},
        {"ONEOFF_PURCHASES_FREQUENCY": 0.5000001},
        {"CASH_ADVANCE": 0, "CASH_ADVANCE_TRX": 0, "CASH_ADVANCE_FREQUENCY": 0},
        {"CASH_ADVANCE_FREQUENCY": 1.0},
        {"TENURE": 6},
        {"BALANCE": 110.0},
        {"MINIMUM_PAYMENTS": 200.0},
        {"MINIMUM_PAYMENTS": None, "PAYMENTS": 0},
        {"AVERAGE_PURCHASE_TRX": 200 / 12},
        {"AVERAGE_PURCHASE_TRX": None},
    ],
)
def test_no_rule_finds_what_is_within(changes: dict[str, Any]) -> None:
    assert _found(**changes) == set()


def test_limits_are_not_compared_with_a_missing_limit() -> None:
    assert _found(CREDIT_LIMIT=None, BALANCE=1e6, MINIMUM_PAYMENTS=1e6) == {("/CREDIT_LIMIT", "missing_limit")}


def test_a_purchase_frequency_of_zero_contradicts_everything_about_purchases() -> None:
    codes = [code for _, code in sorted(_found(PURCHASES_FREQUENCY=0))]
    assert sorted(codes) == ["frequency_above_total", "frequency_above_total", "zero_mismatch"]


def test_derived_columns_are_compared_only_with_what_was_sent() -> None:
    assert findings(complete(inputs())) == []


def test_the_sentence_about_a_derived_column_has_both_values() -> None:
    sent = inputs(AVERAGE_PURCHASE_TRX=1.0)
    (found,) = findings(complete(sent), sent)
    assert found["detail"] == "Average purchase was sent as 1; the computed 16.6667 is used"


@given(faultless())
def test_findings_are_sentences_about_fields_and_never_a_failure(sent: dict[str, Any]) -> None:
    customer = complete(sent)
    for finding in findings(customer, sent):
        assert finding["pointer"][1:] in customer
        assert not re.search(r"[A-Z]{2}|_", finding["detail"]), "columns are called by their plain names"


@given(st.lists(faultless(), max_size=5))
def test_many_customers_have_the_findings_that_each_of_them_has(sent: list[dict[str, Any]]) -> None:
    customers = [complete(customer) for customer in sent]
    columns = {name: np.array([c[name] for c in customers], dtype=np.float64) for name in INPUT_NAMES}
    by_row: list[list[tuple[str, str, str]]] = [[] for _ in customers]
    for found in column_findings(columns):
        for row in np.flatnonzero(found.rows).tolist():
            by_row[row].append((f"/{found.column}", found.code, found.detail))
    assert by_row == [[(f["pointer"], f["code"], f["detail"]) for f in findings(c)] for c in customers]
