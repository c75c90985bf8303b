from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_service.analysis.drift import DistanceHistogram
from model_service.analysis.stability_index import FEATURE, MIX, FeatureShift, chance_limit, contributions, tier
from model_service.store.manifest import Histogram
from shared.features import BY_NAME

counts = st.lists(st.integers(0, 10**9), min_size=2, max_size=12)


def test_the_index_of_a_small_case_computed_by_hand():
    # With half a customer more in each of two bins: shares 2/5 and 3/5 against 4/5 and 1/5.
    found = contributions(np.array([1.5, 2.5]), np.array([3.5, 0.5]))
    assert found.tolist() == pytest.approx([0.4 * math.log(2), 0.4 * math.log(3)])


def test_empty_bins_have_a_finite_index():
    found = contributions(np.array([100, 0]), np.array([0, 100])).sum()
    assert found == pytest.approx(2 * (100 / 101) * math.log(201))


@given(st.data())
def test_the_index_is_symmetric_never_negative_and_zero_for_equals(data):
    training = np.array(data.draw(counts))
    now = np.array(data.draw(st.lists(st.integers(0, 10**9), min_size=len(training), max_size=len(training))))
    found = contributions(training, now)
    assert (found >= 0).all()
    assert found.tolist() == pytest.approx(contributions(now, training).tolist())
    assert not contributions(training, training).any()


def test_the_limit_is_that_of_the_study():
    # docs/clustering-study.md, section 7: 10 bins, 18 features, 8,950 customers in training.
    training = np.full(10, 895)
    for window, limit in ((100, 0.255), (200, 0.129), (500, 0.053), (1000, 0.028)):
        assert chance_limit(training, np.full(10, window // 10), 0.05 / 18) == pytest.approx(limit, abs=0.0006)
    mix = np.array([2221, 1771, 1454, 1353, 1298, 853])
    assert chance_limit(mix, np.array([100, 0, 0, 0, 0, 0]), 0.01) == pytest.approx(0.153, abs=0.0006)


def test_one_bin_alone_cannot_shift():
    one = np.array([7])
    assert chance_limit(one, one, 0.05) == 0
    assert tier(float(contributions(one, np.array([3])).sum()), 0, FEATURE) == "none"


@pytest.mark.parametrize(
    ("index", "limit", "thresholds", "expected"),
    [
        (0.30, 0.30, FEATURE, "none"),
        (0.09, 0.01, FEATURE, "detected"),
        (0.10, 0.01, FEATURE, "material"),
        (0.24, 0.01, FEATURE, "material"),
        (0.25, 0.01, FEATURE, "severe"),
        (0.019, 0.01, MIX, "detected"),
        (0.02, 0.01, MIX, "material"),
        (0.1, 0.01, MIX, "severe"),
    ],
)
def test_a_shift_beyond_chance_matters_by_its_size(index, limit, thresholds, expected):
    assert tier(index, limit, thresholds) == expected


@given(st.lists(st.floats(1e-2, 1e4), min_size=1, max_size=60))
def test_the_median_of_distances_is_right_within_a_thousandth(distances):
    histogram = DistanceHistogram()
    for distance in distances:
        histogram.add(np.array([distance]))
    assert histogram.median() == pytest.approx(sorted(distances)[(len(distances) - 1) // 2], rel=1e-3)


@pytest.mark.parametrize(("distance", "median"), [(0.0, 1e-3), (1e9, 1e5)])
def test_distances_beyond_all_bins_count_as_the_nearest(distance, median):
    histogram = DistanceHistogram()
    histogram.add(np.array([distance]))
    assert histogram.median() == pytest.approx(median)


BALANCE = BY_NAME["BALANCE"]
TRAINING = Histogram(edges=[10.0, 20.0], counts=[50, 30, 20], missing=0)


def shift(values, training=TRAINING):
    found = FeatureShift(BALANCE, training)
    found.add(np.array(values, dtype=np.float64))
    return found


@pytest.mark.parametrize(
    ("value", "place", "named"),
    [(9.999, 0, "below 10"), (10.0, 1, "10 to 20"), (19.999, 1, "10 to 20"), (20.0, 2, "above 20")],
)
def test_values_on_an_edge_fall_to_its_right(value, place, named):
    counts = [50, 50, 50]
    counts[place] = 0
    found = shift([value] * 50, Histogram(edges=[10.0, 20.0], counts=counts, missing=0)).largest_change()
    assert found == f"{named}: 100.0% of customers now, 0.0% in training"


def test_missing_values_have_a_bin_where_there_are_any():
    assert shift([1.0] * 50).drift()["bins"] == 3
    found = shift([1.0] * 25 + [np.nan] * 25)
    assert found.drift()["bins"] == 4
    assert found.largest_change() == "missing: 50.0% of customers now, 0.0% in training"
    assert shift([1.0] * 50, Histogram(edges=[10.0], counts=[50, 30], missing=20)).drift()["bins"] == 3


def test_a_feature_that_was_constant_in_training_has_one_bin():
    found = shift([1.0, 2.0], Histogram(edges=[], counts=[100], missing=0))
    assert found.drift() == {"feature": "BALANCE", "psi": 0.0, "limit": 0.0, "bins": 1, "tier": "none"}
    assert found.largest_change().startswith("any value")


@pytest.mark.parametrize(
    "training",
    [
        Histogram(edges=[1.0], counts=[1, 2, 3], missing=0),
        Histogram(edges=[2.0, 1.0], counts=[1, 2, 3], missing=0),
        Histogram(edges=[1.0, 1.0], counts=[1, 2, 3], missing=0),
    ],
)
def test_what_is_no_histogram_is_refused(training):
    with pytest.raises(ValueError, match="BALANCE"):
        FeatureShift(BALANCE, training)
