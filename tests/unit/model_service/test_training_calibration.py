from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_progress import Watched

from model_service.scoring.pipeline import CompiledScorer, Parameters
from model_service.training import parallel
from model_service.training.calibration import (
    HELD_OUT,
    REFITS,
    Confidence,
    calibrate,
    confidence,
    fit_logistic,
    reliability,
)
from model_service.training.parallel import fit


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(("intercept", "slope"), [(-0.1, 21.6), (0.5, 3.0), (0.0, 0.0), (-2.0, 40.0)])
def test_a_logistic_is_recovered_from_its_own_shares(intercept, slope):
    margin = np.linspace(0, 6, 2000)
    refits = 10**6
    kept = refits * sigmoid(intercept + slope * margin)
    assert fit_logistic(margin, kept, refits) == pytest.approx((intercept, slope), rel=1e-3, abs=1e-3)


def test_customers_who_never_move_make_a_steep_but_finite_curve():
    intercept, slope = fit_logistic(np.linspace(0.5, 5, 50), np.full(50, 40), 40)
    assert intercept == pytest.approx(0, abs=0.5)
    assert 5 < slope < 1000


def test_customers_who_all_move_half_of_the_time_make_a_flat_one():
    assert fit_logistic(np.linspace(0, 5, 50), np.full(50, 20), 40) == pytest.approx((0, 0), abs=1e-6)


def test_clear_customers_are_confident_and_the_work_is_counted(tiny):
    rows = tiny.data.distance
    scorer = CompiledScorer(Parameters.of(fit(rows, 3, 0)))
    watched = Watched()
    found = calibrate(rows, scorer, 0, watched)
    assert watched.phases == ["calibrating confidence"]
    assert watched.ticks == REFITS + HELD_OUT
    assert found.calibration["refits"] == REFITS
    numbers = found.calibration["intercept"], found.calibration["slope"]
    assert confidence(*numbers, scorer.score(rows.to_numpy()).margin).min() > 0.9
    assert sum(b["customers"] for b in found.reliability) == len(rows)
    assert all(b["observed"] == 1.0 for b in found.reliability)


def test_large_data_are_judged_by_a_sample(tiny, monkeypatch):
    monkeypatch.setattr(parallel, "STUDY_ROWS", 60)
    rows = tiny.data.distance
    found = calibrate(rows, CompiledScorer(Parameters.of(fit(rows, 3, 0))), 0, parallel.NoProgress())
    assert sum(b["customers"] for b in found.reliability) == 60


def test_a_reliability_table_counted_by_hand():
    predicted = np.array([0.5, 0.6, 0.7, 0.95, 1.0])
    observed = np.array([0.4, 0.8, 0.6, 1.0, 1.0])
    low, middle, high = reliability(predicted, observed, (0.0, 0.7, 0.9, 0.95, 1.0))
    assert low == {"low": 0.0, "high": 0.7, "customers": 2, "predicted": 0.55, "observed": pytest.approx(0.6)}
    assert (middle["low"], middle["customers"], middle["observed"]) == (0.7, 1, 0.6)
    assert (high["low"], high["high"], high["customers"]) == (0.95, 1.0, 2), "the bin between is empty"
    error = Confidence({"intercept": 0.0, "slope": 1.0, "refits": 1}, [low, middle, high]).error()
    assert error == pytest.approx(0.1)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=50).map(np.array),
    st.floats(-5, 5),
    st.floats(-500, 500),
)
def test_every_customer_is_in_one_bin_and_confidence_is_a_probability(margin, intercept, slope):
    predicted = confidence(intercept, slope, margin)
    assert ((predicted >= 0) & (predicted <= 1)).all()
    table = reliability(predicted, predicted)
    assert sum(b["customers"] for b in table) == len(margin)
    assert all(b["low"] <= b["predicted"] <= b["high"] or b["predicted"] == pytest.approx(b["low"]) for b in table)
