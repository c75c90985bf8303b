"""The data dictionary: every hard rule at its bounds, stored forms and derived columns."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.customers import any_numbers, faultless, good_values, inputs

from shared import features as f
from shared.features import CUST_ID, DERIVED, DISTANCE, FEATURES, INPUTS, Feature, Kind, complete, cust_id_fault

each_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
# The contract as design.md section 2 has it; a change there is made here by hand, on purpose.
AMOUNTS = ["BALANCE", "PURCHASES", "ONEOFF_PURCHASES", "INSTALLMENTS_PURCHASES", "CASH_ADVANCE", "PAYMENTS"]
FREQUENCIES = [
    "BALANCE_FREQUENCY",
    "PURCHASES_FREQUENCY",
    "ONEOFF_PURCHASES_FREQUENCY",
    "PURCHASES_INSTALLMENTS_FREQUENCY",
    "PRC_FULL_PAYMENT",
]
ACCEPTED: list[tuple[list[str], list[float | None]]] = [
    (AMOUNTS, [0, 0.0, 1e12, 1e-300]),
    (["MINIMUM_PAYMENTS"], [0, 1e12, None]),
    (["CREDIT_LIMIT"], [5e-324, 1e12, None]),
    (FREQUENCIES, [0, 1, 0.5]),
    (["CASH_ADVANCE_FREQUENCY"], [0, 1.5, 2]),
    (["CASH_ADVANCE_TRX", "PURCHASES_TRX"], [0, 1_000_000, 12.0]),
    (["TENURE"], [1, 12, 6.0]),
]
REFUSED: list[tuple[list[str], list[float | None]]] = [
    (AMOUNTS, [-5e-324, math.nextafter(1e12, math.inf), None]),
    (["MINIMUM_PAYMENTS"], [-0.01, math.nextafter(1e12, math.inf)]),
    (["CREDIT_LIMIT"], [0, -0.0, -1, math.nextafter(1e12, math.inf)]),
    (FREQUENCIES, [-5e-324, math.nextafter(1, 2), None]),
    (["CASH_ADVANCE_FREQUENCY"], [-0.1, math.nextafter(2, 3), None]),
    (["CASH_ADVANCE_TRX", "PURCHASES_TRX"], [-1, 0.5, 1_000_001, None]),
    (["TENURE"], [0, 13, 6.5, None]),
]


def _cases(table: list[tuple[list[str], list[float | None]]]) -> list[tuple[str, float | None]]:
    return [(name, value) for names, values in table for name in names for value in values]


@pytest.mark.parametrize(("name", "value"), _cases(ACCEPTED))
def test_accepts_the_bounds(name: str, value: float | None) -> None:
    assert f.BY_NAME[name].fault(value) is None


@pytest.mark.parametrize(("name", "value"), _cases(REFUSED))
def test_refuses_what_is_just_beyond(name: str, value: float | None) -> None:
    assert f.BY_NAME[name].fault(value)


def test_the_tables_above_name_every_input() -> None:
    named = {name for names, _ in ACCEPTED for name in names}
    assert named == {name for names, _ in REFUSED for name in names} == {feature.name for feature in INPUTS}


@each_feature
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_refuses_numbers_that_are_not_finite(feature: Feature, value: float) -> None:
    assert feature.fault(value) == "must be a finite number"


@each_feature
@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, "a boolean"), ("1", "a string"), ([1], "an array"), ({}, "an object"), (b"1", "another type")],
)
def test_refuses_what_is_no_number(feature: Feature, value: object, kind: str) -> None:
    assert feature.fault(value) == f"must be a number, not {kind}"


@given(st.data())
def test_accepts_every_value_within_the_rules(data: st.DataObject) -> None:
    feature = data.draw(st.sampled_from(FEATURES))
    assert feature.fault(data.draw(good_values(feature))) is None


@given(st.sampled_from(INPUTS), st.integers(10**400, 10**401) | st.floats(allow_nan=False) | any_numbers())
def test_a_verdict_follows_from_the_bounds(feature: Feature, value: float | None) -> None:
    if value is None:
        assert (feature.fault(value) is None) == feature.nullable
        return
    low = value > feature.minimum if feature.exclusive_minimum else value >= feature.minimum
    whole = not feature.whole or (abs(value) < sys.maxsize and float(value).is_integer())
    assert (feature.fault(value) is None) == bool(low and value <= feature.maximum and whole)


@given(st.sampled_from(INPUTS), st.none() | st.booleans() | st.text() | st.binary() | st.lists(st.integers()))
def test_never_raises_on_strange_values(feature: Feature, value: object) -> None:
    assert (feature.fault(value) is None) == (value is None and feature.nullable)


@given(faultless())
def test_complete_has_every_feature_in_its_stored_type(sent: dict[str, Any]) -> None:
    stored = complete(sent)
    assert list(stored) == [feature.name for feature in FEATURES]
    for feature in INPUTS:
        value = stored[feature.name]
        assert value == sent[feature.name]
        assert value is None or type(value) is (int if feature.whole else float)
        assert value is None or math.copysign(1, value) == 1  # no -0.0
    assert stored == complete(stored)


def test_complete_fills_absent_columns_with_null_and_drops_others() -> None:
    sent = inputs()
    del sent["CREDIT_LIMIT"]
    stored = complete({**sent, CUST_ID: "A", "other": 1})
    assert stored["CREDIT_LIMIT"] is None
    assert set(stored) == {feature.name for feature in FEATURES}


@pytest.mark.parametrize(("purchases", "transactions", "mean"), [(100.0, 4, 25.0), (0.0, 4, 0.0), (100.0, 0, 0.0)])
def test_average_purchase(purchases: float, transactions: int, mean: float) -> None:
    stored = complete(inputs(PURCHASES=purchases, PURCHASES_TRX=transactions, AVERAGE_PURCHASE_TRX=7.0))
    assert stored["AVERAGE_PURCHASE_TRX"] == mean


@given(faultless())
def test_derived_columns_keep_their_own_rules(sent: dict[str, Any]) -> None:
    stored = complete(sent)
    assert [feature.fault(stored[feature.name]) for feature in DERIVED] == [None] * len(DERIVED)


def test_the_views_of_the_dictionary() -> None:
    assert len(DISTANCE) == len(INPUTS) == 17
    assert [feature.name for feature in DERIVED] == ["AVERAGE_PURCHASE_TRX"]
    assert len(f.BY_NAME) == len(FEATURES)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("CREDIT_LIMIT", "(0, 1e+12], may be null"),
        ("TENURE", "integer in [1, 12]"),
        ("AVERAGE_PURCHASE_TRX", "computed by the service"),
    ],
)
def test_rules_in_words(name: str, rule: str) -> None:
    assert f.BY_NAME[name].rule() == rule


def test_every_kind_has_a_unit() -> None:
    assert all(Feature("X", kind, "", maximum=1).unit for kind in Kind)


@pytest.mark.parametrize("value", ["A", "C10001", "a.b", "...", "-", "_", ".a", "a.", "x" * 64])
def test_cust_ids(value: str) -> None:
    assert cust_id_fault(value) is None


def test_an_empty_cust_id_is_called_so() -> None:
    assert cust_id_fault("") == "is empty"


@pytest.mark.parametrize("value", [".", "..", "a b", "a/b", "a%2Fb", "ä", "x" * 65, "a\n", ".\n", "\u0661", "a\0"])
def test_cust_ids_that_break_the_rule(value: str) -> None:
    assert cust_id_fault(value) == f.CUST_ID_RULE


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "null"), (1, "a number"), (True, "a boolean"), ([], "an array"), ({}, "an object")]
)
def test_cust_ids_of_another_type(value: object, kind: str) -> None:
    assert cust_id_fault(value) == f"must be a string, not {kind}"


@pytest.mark.parametrize(("given", "computed", "differs"), [(1.0, 1.0000001, False), (0, 1e-7, False), (1, 1.1, True)])
def test_a_derived_value_differs_beyond_rounding(given: float, computed: float, differs: bool) -> None:
    assert f.differs(given, computed) is differs
