"""Calibrated confidence: the chance to keep the segment if the model is refitted on a similar sample.

Bootstrap refits are matched to the model by their centroids; a customer's observed stability is the share of refits
that keep the label. A logistic of ``margin = d2 - d1`` is fitted to it. Clustering study, section 5: this measure ranks
customers best of those tried, and its slope belongs to the training size, so it is refitted at every training.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model_service.manifest import Calibration
from model_service.pipeline import CompiledScorer, Matrix, Parameters
from model_service.training.matching import hungarian
from model_service.training.selection import STUDY_ROWS
from model_service.training.work import Tick, fit, run_all

REFITS = 50


def calibrate(rows: pd.DataFrame, scorer: CompiledScorer, seed: int, tick: Tick) -> Calibration:
    """Fit the two numbers of the confidence.

    Parameters
    ----------
    rows : the training rows, float64, NaN for missing; shape (n_rows, n_features).
    scorer : of the model to calibrate.
    """
    generator = np.random.default_rng(seed)
    size = min(len(rows), STUDY_ROWS)
    samples = [generator.integers(0, len(rows), size) for _ in range(REFITS)]
    scores = scorer.score(rows.to_numpy())
    jobs = [partial(_kept, rows, sample, scorer, scores.nearest, seed) for sample in samples]
    kept = np.sum(run_all(jobs, tick), axis=0)
    intercept, slope = fit_logistic(scores.margin, kept, REFITS)
    return Calibration(intercept=intercept, slope=slope, refits=REFITS)


def _kept(
    rows: pd.DataFrame, sample: NDArray[np.int64], scorer: CompiledScorer, labels: NDArray[np.intp], seed: int
) -> NDArray[np.bool_]:
    """Refit on `sample`; return for each row whether the refit puts it into the same segment."""
    k = len(scorer.parameters.centroids)
    refit = Parameters.of(fit(rows.iloc[sample], k, seed))
    new_to_old = np.empty(k, dtype=np.intp)
    for new, old, _ in hungarian(refit.log_centroids(), scorer.parameters):
        new_to_old[new] = old
    return np.asarray(new_to_old[CompiledScorer(refit).score(rows.to_numpy()).nearest] == labels)


def fit_logistic(margin: Matrix, kept: NDArray[np.int64], refits: int) -> tuple[float, float]:
    """Fit ``P(kept) = 1 / (1 + exp(-(a + b margin)))`` to counts; return (a, b).

    Parameters
    ----------
    margin : shape (n,).
    kept : in how many of the `refits` each customer kept the segment, shape (n,).
    """
    # Between two equally near centroids either is as likely: one imagined customer says so, which also keeps the
    # numbers finite when no real one ever moved.
    margins = np.concatenate([margin, margin, [0.0, 0.0]])
    outcomes = np.concatenate([np.ones_like(margin), np.zeros_like(margin), [1.0, 0.0]])
    weights = np.concatenate([kept, refits - kept, [1.0, 1.0]])
    # C: hardly any shrinkage, but an end when the outcomes can be separated.
    model = LogisticRegression(C=1e4, tol=1e-8, max_iter=1000).fit(margins[:, None], outcomes, weights)
    return float(model.intercept_[0]), float(model.coef_[0, 0])
