from __future__ import annotations

import numpy as np
import pytest

from model_service.scoring import rows
from shared.features import DISTANCE_NAMES, INPUTS, Feature, Kind


@pytest.fixture
def columns(tiny):
    return {f.name: tiny.data.frame[f.name].to_numpy() for f in INPUTS}


def test_columns_are_stacked_in_training_order(tiny, columns):
    shuffled = dict(reversed(columns.items()))
    np.testing.assert_array_equal(rows.distance_matrix(shuffled), tiny.data.distance.to_numpy())


def test_one_row_is_the_same_as_a_matrix_of_one(tiny, columns):
    matrix = rows.distance_matrix(columns)
    for i in (0, 1, 7):
        np.testing.assert_array_equal(rows.distance_row(tiny.customer(i)), matrix[i])


def test_a_derived_feature_in_the_distance_is_computed(monkeypatch, tiny, columns):
    derived = Feature("HALF", Kind.AMOUNT, "Half", maximum=1e12, derive=lambda c: (c["MINIMUM_PAYMENTS"] or 0.0) / 2)
    monkeypatch.setattr(rows, "_DERIVED_IN_DISTANCE", (derived,))
    monkeypatch.setattr(rows, "DISTANCE_NAMES", (*DISTANCE_NAMES, "HALF"))
    expected = np.nan_to_num(columns["MINIMUM_PAYMENTS"]) / 2
    np.testing.assert_array_equal(rows.distance_matrix(columns)[:, -1], expected)
    assert rows.distance_row(tiny.customer(3))[-1] == expected[3]
