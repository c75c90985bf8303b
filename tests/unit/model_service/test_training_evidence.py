"""Histograms, the plain rule, and the members shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from model_service.scoring.pipeline import CompiledScorer, Parameters
from model_service.training.calibration import confidence
from model_service.training.evidence import BINS, compare_with_rule, histogram, members, rank_eta2
from model_service.training.parallel import fit


def test_bins_are_equally_full():
    found = histogram(np.arange(100.0))
    assert found == {"edges": [9.5 + 10 * i for i in range(9)], "counts": [10] * 10, "missing": 0}


def test_equal_values_stay_together():
    values = np.concatenate([np.zeros(55), [np.nan] * 7, np.arange(1.0, 46.0)])
    found = histogram(values)
    assert found["missing"] == 7
    assert found["counts"][0] >= 55
    assert len(found["counts"]) == 5
    assert sum(found["counts"]) == 100


def test_an_edge_is_no_value_so_that_rounding_moves_nobody():
    values = np.repeat([1 / 12, 2 / 12, 8 / 12, 1.0], 25)
    rounded = histogram(np.round(values, 6))
    for digits in (4, 6, 12):
        again = np.bincount(np.searchsorted(rounded["edges"], np.round(values, digits), side="right"))
        assert again.tolist() == rounded["counts"]


@pytest.mark.parametrize(
    ("values", "later", "counts"),
    [
        ([5.0], [4.0, 5.0, 6.0], [0, 1, 0]),
        ([5.0, 5.0], [4.9999, 5.0 + 1e-9, 5.0001], [0, 2, 0]),
        ([np.nan, 3.0], [0.0, 3.0, 3.001], [0, 1, 0]),
        ([0.0] * 4, [0.0, 0.083], [4, 0]),
        ([0.0] * 95 + [7.0] * 5, [0.0, 7.0], [95, 5]),
        ([12.0] * 95 + [14.0] * 5, [6.0, 12.0, 14.0], [0, 95, 5]),
    ],
)
def test_a_constant_has_a_bin_of_its_own_so_that_other_values_are_seen_later(values, later, counts):
    found = histogram(np.array(values))
    assert found["counts"] == counts
    assert np.searchsorted(found["edges"], later, side="right").tolist() == list(range(len(later)))


def test_a_feature_that_nobody_has_is_all_missing():
    assert histogram(np.full(3, np.nan)) == {"edges": [], "counts": [0], "missing": 3}


@given(hnp.arrays(np.float64, st.integers(1, 200), elements=st.floats(0, 1e12) | st.just(np.nan) | st.just(0.0)))
def test_a_histogram_counts_everybody_once_by_its_own_edges(values):
    known = values[~np.isnan(values)]
    assume(len(known))
    found = histogram(values)
    assert found["edges"] == sorted(set(found["edges"]))
    assert len(found["counts"]) == len(found["edges"]) + 1 <= BINS
    assert found["missing"] + sum(found["counts"]) == len(values)
    counted = np.bincount(np.searchsorted(found["edges"], known, side="right"), minlength=len(found["counts"]))
    assert counted.tolist() == found["counts"]


def test_rank_variance_counted_by_hand():
    groups = np.array([0, 0, 1, 1])
    assert rank_eta2(np.array([1.0, 2.0, 30.0, 400.0]), groups) == pytest.approx(4 / 5)
    assert rank_eta2(np.array([1.0, 30.0, 1.0, 30.0]), groups) == 0.0
    assert rank_eta2(np.array([7.0, 7.0, 7.0, 7.0]), groups) == 0.0
    assert rank_eta2(np.array([1.0, 2.0, np.nan, 400.0]), groups) == pytest.approx(0.75)


def test_a_model_that_is_the_rule_agrees_with_it(tiny):
    frame = tiny.data.frame.copy()
    kinds = np.arange(len(frame)) % 4
    frame["ONEOFF_PURCHASES"] = (kinds % 2).astype(float)
    frame["INSTALLMENTS_PURCHASES"] = (kinds // 2) * 10.0
    frame["CASH_ADVANCE"] = 0.0
    found = compare_with_rule(frame, kinds.astype(np.intp))
    assert (found["cells"], found["agreement"]) == (4, 1.0)
    assert found["eta2_rule"] == pytest.approx(found["eta2_model"])
    assert compare_with_rule(frame, kinds[::-1].copy() % 2)["agreement"] < 1


def test_the_nearest_and_the_least_sure_are_shown(tiny):
    rows = tiny.data.distance
    scores = CompiledScorer(Parameters.of(fit(rows, 3, 0))).score(rows.to_numpy())
    sure = confidence(0.0, 1.0, scores.margin)
    ids = ["seg-07", "seg-08", "seg-09"]
    for cluster, (typical, borderline) in enumerate(members(tiny.data, scores, sure, ids)):
        inside = scores.nearest == cluster
        assert [m["distance"] for m in typical] == sorted(scores.distance[inside])[:5]
        assert [m["confidence"] for m in borderline] == sorted(sure[inside])[:5]
        for member in (*typical, *borderline):
            assert member["rival"] in set(ids) - {ids[cluster]}
            stored = pd.Series(member["values"], dtype=np.float64)
            pd.testing.assert_series_equal(stored, tiny.data.frame.iloc[member["line"] - 2], check_names=False)
