"""What makes a version understandable and comparable: baseline, histograms, members, and all of it put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import adjusted_rand_score

from model_service.scoring.pipeline import Clusters, Matrix, Parameters, Scores
from model_service.store.manifest import UTILISATION, Evidence, Histogram, SegmentEvidence
from model_service.training.calibration import Confidence, confidence
from model_service.training.dataset import TrainingData
from model_service.training.parallel import study_sample
from model_service.training.segments import with_utilisation
from model_service.training.selection import Selection, find_elbow, remarks
from model_service.training.surrogate import RuleSheet, rule_sheet
from shared.model_description import Baseline, Member

PERCENTILES = np.linspace(0.0, 1.0, 101)


def gather(
    data: TrainingData,
    chosen: Selection,
    scores: Scores,
    calibrated: Confidence,
    ids: Sequence[str],
    seed: int,
) -> Evidence:
    """Describe a fitted model.

    Parameters
    ----------
    scores : of the rows of `data`, in order.
    ids : permanent segment id of each cluster.
    """
    elbow = find_elbow(chosen.scores)
    studied = study_sample(len(data.frame), seed)
    sheet = _rule_sheet(data, Parameters.of(chosen.pipeline), scores, studied)
    numbers = calibrated.calibration
    shown = members(data, scores, confidence(numbers["intercept"], numbers["slope"], scores.margin), ids)
    return Evidence(
        elbow=elbow,
        remarks=remarks(chosen.scores, chosen.k, elbow),
        reliability=calibrated.reliability,
        calibration_error=calibrated.error(),
        fidelity=sheet.fidelity,
        segments={
            ids[c]: SegmentEvidence(rules=sheet.rules[c], typical=shown[c].typical, borderline=shown[c].borderline)
            for c in range(chosen.k)
        },
        histograms=histograms(data.frame),
        distances=np.quantile(scores.distance, PERCENTILES).tolist(),
        baseline=compare_with_rule(data.frame.iloc[studied], scores.nearest[studied]),
    )


def _rule_sheet(data: TrainingData, parameters: Parameters, scores: Scores, studied: NDArray[np.intp]) -> RuleSheet:
    distance = data.distance.iloc[studied]
    rows = distance.to_numpy()
    filled = np.where(np.isnan(rows), parameters.fill, rows)
    return rule_sheet(filled, list(distance.columns), scores.nearest[studied], len(parameters.centroids))


RULE = "buys in one go or not, buys in instalments or not, takes cash or not: 8 groups"

_SIGNS = ("ONEOFF_PURCHASES", "INSTALLMENTS_PURCHASES", "CASH_ADVANCE")
_KEY_FIGURES = (
    "PURCHASES",
    "CASH_ADVANCE",
    "BALANCE",
    "PAYMENTS",
    "CREDIT_LIMIT",
    "PURCHASES_TRX",
    "PRC_FULL_PAYMENT",
)


def compare_with_rule(frame: pd.DataFrame, labels: Clusters) -> Baseline:
    """Compare the model's segments with the groups of `RULE`.

    Both are judged by the share of rank variance between groups (eta squared), averaged over eight key figures:
    purchases, cash advance, balance, payments, credit limit, number of purchases, share of full payments, and
    utilisation (balance / limit). It grows with the number of groups. Missing values are left out, and so is a figure
    that nobody has.

    Parameters
    ----------
    frame : a column per feature, in its unit, NaN for missing; shape (n_rows, n_features).
    labels : cluster of each row, shape (n_rows,).
    """
    signs = frame[[name for name in _SIGNS if name in frame]].to_numpy() > 0
    cells = signs @ (1 << np.arange(signs.shape[1], dtype=np.intp))
    known = with_utilisation(frame)
    names = [name for name in (*_KEY_FIGURES, UTILISATION) if name in known and known[name].notna().any()]
    figures = [known[name].to_numpy() for name in names]
    return Baseline(
        rule=RULE,
        cells=len(np.unique(cells)),
        eta2_rule=float(np.mean([rank_eta2(values, cells) for values in figures])),
        eta2_model=float(np.mean([rank_eta2(values, labels) for values in figures])),
        agreement=float(adjusted_rand_score(cells, labels)),
    )


def rank_eta2(values: Matrix, groups: Clusters) -> float:
    """Return the share (0 to 1) of the variance of the ranks of `values` that lies between `groups`.

    Parameters
    ----------
    values : shape (n,); NaN are left out. All equal: 0.
    groups : non-negative group of each value, shape (n,).
    """
    known = ~np.isnan(values)
    ranks, groups = rankdata(values[known]), groups[known]
    sizes = np.bincount(groups)
    means = np.bincount(groups, weights=ranks) / np.maximum(sizes, 1)
    total = ranks.var() * len(ranks)
    return float((sizes * (means - ranks.mean()) ** 2).sum() / total) if total else 0.0


BINS = 10

SAME = 1e-6
"""How far from a constant (relative, and for 0 absolute) another value must lie to be another one."""


def histograms(frame: pd.DataFrame) -> dict[str, Histogram]:
    """Return a histogram of about `BINS` equally full bins for every column.

    Parameters
    ----------
    frame : in the features' units, NaN for missing; shape (n_rows, n_features).
    """
    return {str(name): histogram(values.to_numpy()) for name, values in frame.items()}


def histogram(values: Matrix) -> Histogram:
    """Cut `values` (shape (n,), NaN for missing) into up to `BINS` bins at their quantiles.

    Equal values stay together, so that where many share one (zero, round limits) there are fewer bins. An edge lies
    midway between two neighbouring values that occur: on a value itself, a later customer's last digit (0.166667 or
    0.1666666) would decide on which side a whole group of equal customers falls. Where nearly all have the smallest
    value, it has a bin of its own, so that later customers with another one are seen.
    """
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return Histogram(edges=[], counts=[0], missing=len(values))
    starts = np.unique(known[len(known) * np.arange(1, BINS) // BINS])
    before = np.searchsorted(known, starts, side="left") - 1
    edges = np.unique((known[before[before >= 0]] + starts[before >= 0]) / 2)
    if not len(edges):
        edges = _around(float(known[0]), known)
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    return Histogram(edges=edges.tolist(), counts=counts.tolist(), missing=len(values) - len(known))


def _around(smallest: float, known: Matrix) -> Matrix:
    """Return the edges of a bin for the smallest of the `known` values alone, of which none is negative."""
    above = known[known > smallest]
    upper = (smallest + above[0]) / 2 if len(above) else smallest * (1 + SAME) + SAME
    return np.array([smallest * (1 - SAME), upper] if smallest else [upper])


SHOWN = 5


class Members(NamedTuple):
    """The customers nearest to the centroid, nearest first, and those least sure to stay, least sure first."""

    typical: list[Member]
    borderline: list[Member]


def members(data: TrainingData, scores: Scores, confidence: Matrix, ids: Sequence[str]) -> list[Members]:
    """Pick up to `SHOWN` typical and borderline members of each cluster.

    Parameters
    ----------
    scores : of the rows of `data`; arrays of shape (n_rows,).
    confidence : of each row, 0 to 1, shape (n_rows,).
    ids : permanent segment id of each cluster.
    """

    def described(row: int) -> Member:
        values = data.frame.iloc[row]
        return Member(
            line=None if data.lines is None else int(data.lines[row]),
            confidence=float(confidence[row]),
            distance=float(scores.distance[row]),
            rival=ids[scores.rival[row]],
            values={str(name): None if np.isnan(value) else float(value) for name, value in values.items()},
        )

    found = []
    for cluster in range(len(ids)):
        inside = np.flatnonzero(scores.nearest == cluster)
        nearest, unsure = (
            inside[np.argsort(by[inside], kind="stable")[:SHOWN]] for by in (scores.distance, scores.margin)
        )
        found.append(Members(*([described(row) for row in rows.tolist()] for rows in (nearest, unsure))))
    return found
