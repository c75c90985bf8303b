from __future__ import annotations

import numpy as np
import pytest

from model_service.pipeline import CompiledScorer, Parameters
from model_service.training.calibration import REFITS, calibrate, fit_logistic
from model_service.training.work import fit


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
    ticks = []
    found = calibrate(rows, scorer, 0, lambda: ticks.append(1))
    assert len(ticks) == found["refits"] == REFITS
    margins = scorer.score(rows.to_numpy()).margin
    assert sigmoid(found["intercept"] + found["slope"] * margins).min() > 0.9
