"""Checking a column at once gives the verdicts and stored values of checking value by value."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.customers import any_numbers, nullable_values

from shared.columns import Column, column_faults, stored_column
from shared.features import FEATURES, INPUTS, Feature


def _column(values: list[float | int | None]) -> Column:
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)


@given(st.sampled_from(FEATURES), st.lists(any_numbers(), max_size=30))
def test_faults_equal_those_of_single_values(feature: Feature, values: list[float | int | None]) -> None:
    column = _column(values)
    singly = [feature.fault(None if math.isnan(v) else v) for v in column.tolist()]
    assert list(column_faults(column, feature)) == [(row, fault) for row, fault in enumerate(singly) if fault]


@given(st.data())
def test_stored_values_equal_those_of_single_values(data: st.DataObject) -> None:
    feature = data.draw(st.sampled_from(INPUTS))
    values = data.draw(st.lists(nullable_values(feature), max_size=30))
    stored = stored_column(_column(values), feature)
    singly = [feature.normal(v) for v in values]
    assert list(map(repr, stored)) == list(map(repr, singly))  # repr tells 1 from 1.0 and 0.0 from -0.0


def test_negative_zero_is_stored_as_zero() -> None:
    for column in (_column([-0.0]), _column([-0.0, None])):
        assert math.copysign(1, stored_column(column, INPUTS[0])[0]) == 1


def test_an_empty_column_has_no_faults() -> None:
    assert list(column_faults(_column([]), INPUTS[0])) == []
    assert stored_column(_column([]), INPUTS[0]) == []
