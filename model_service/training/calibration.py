"""Calibrated confidence: the chance to keep the segment if the model is refitted on a similar sample.

Bootstrap refits are matched to the model by their centroids; a customer's observed stability is the share of refits
that keep the label. A logistic of ``margin = d2 - d1`` is fitted to it: this ranks customers best of those tried
(docs/clustering-study.md, §5), and its slope belongs to the training size, so it is refitted at every training. As many
further refits, which the fit has not seen, measure how reliable it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from model_service.scoring.pipeline import Clusters, CompiledScorer, Matrix, Parameters
from model_service.training.matching import hungarian
from model_service.training.parallel import ProgressReporter, fit, run_all, study_sample
from shared.model_description import Calibration, ReliabilityBin

REFITS = 50
HELD_OUT = 50

EDGES = (0.0, 0.7, 0.9, 0.95, 0.99, 1.0)
"""Bins of the reliability table.

Not deciles: nine of ten customers are at 0.99 or above, so that nine deciles would say 1.00 and hide the others in one.
Not narrower ones either: below 0.9 each would hold so few customers that the chance of 50 refits, up to 0.05, would be
all it shows.
"""


class Confidence(NamedTuple):
    """The two numbers of the confidence, and how they did on refits that they were not fitted to."""

    calibration: Calibration
    reliability: list[ReliabilityBin]

    def error(self) -> float:
        """Return the largest absolute error of a bin."""
        return max(abs(found["predicted"] - found["observed"]) for found in self.reliability)


def calibrate(rows: pd.DataFrame, scorer: CompiledScorer, seed: int, progress: ProgressReporter) -> Confidence:
    """Fit the two numbers of the confidence, and test them.

    Parameters
    ----------
    rows : the training rows, float64, NaN for missing; shape (n_rows, n_features). Refits are on
        `model_service.training.parallel.STUDY_ROWS` of them at most: with more the confidence errs towards too little.
    scorer : of the model to calibrate.
    """
    progress.phase("calibrating confidence")
    judged = rows.iloc[study_sample(len(rows), seed)]
    scores = scorer.score(judged.to_numpy())
    generator = np.random.default_rng(seed)
    samples = [generator.integers(0, len(rows), len(judged)) for _ in range(REFITS + HELD_OUT)]
    jobs = [partial(kept, rows, sample, judged, scorer, scores.nearest, seed) for sample in samples]
    found = run_all(jobs, progress)
    intercept, slope = fit_logistic(scores.margin, np.sum(found[:REFITS], axis=0), REFITS)
    predicted = confidence(intercept, slope, scores.margin)
    return Confidence(
        Calibration(intercept=intercept, slope=slope, refits=REFITS),
        reliability(predicted, np.mean(found[REFITS:], axis=0)),
    )


def kept(
    rows: pd.DataFrame,
    sample: NDArray[np.int64],
    judged: pd.DataFrame,
    scorer: CompiledScorer,
    labels: Clusters,
    seed: int,
) -> NDArray[np.bool_]:
    """Refit on the `sample` of `rows`; return for each of the `judged` whether it stays in its segment.

    Parameters
    ----------
    sample : positions in `rows`, shape (n_sample,).
    labels : clusters of `judged` by `scorer`, shape (n_judged,).
    """
    k = len(scorer.parameters.centroids)
    refit = Parameters.of(fit(rows.iloc[sample], k, seed))
    new_to_old = np.empty(k, dtype=np.intp)
    for new, old, _ in hungarian(refit.log_centroids(), scorer.parameters):
        new_to_old[new] = old
    return np.asarray(new_to_old[CompiledScorer(refit).score(judged.to_numpy()).nearest] == labels)


def confidence(intercept: float, slope: float, margin: Matrix) -> Matrix:
    """Return the confidence at each `margin`, shape (n,)."""
    return np.asarray(expit(intercept + slope * margin))


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


def reliability(predicted: Matrix, observed: Matrix, edges: Sequence[float] = EDGES) -> list[ReliabilityBin]:
    """Compare predicted confidence with the observed share of refits that kept the segment, in bins of the former.

    Parameters
    ----------
    predicted, observed : of each customer, 0 to 1, shape (n,).
    edges : ascending; a value equal to an inner edge belongs to the bin above. Empty bins are left out.
    """
    place = np.searchsorted(edges[1:-1], predicted, side="right")
    return [
        ReliabilityBin(
            low=edges[i],
            high=edges[i + 1],
            customers=int((place == i).sum()),
            predicted=float(predicted[place == i].mean()),
            observed=float(observed[place == i].mean()),
        )
        for i in range(len(edges) - 1)
        if (place == i).any()
    ]
