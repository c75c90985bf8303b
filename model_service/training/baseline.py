"""How much the model adds to a plain rule that anybody could write down (clustering study, section 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.metrics import adjusted_rand_score

from model_service.pipeline import Labels, Matrix
from model_service.training.profiles import UTILISATION, with_utilisation
from shared.model_description import Baseline

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


def compare_with_rule(frame: pd.DataFrame, labels: Labels) -> Baseline:
    """Compare the model's segments with the groups of `RULE`.

    Both are judged by the share of rank variance between groups (eta squared), averaged over eight key figures:
    purchases, cash advance, balance, payments, credit limit, number of purchases, share of full payments, and
    utilisation (balance / limit). It grows with the number of groups. Missing values are left out.

    Parameters
    ----------
    frame : a column per feature, in its unit, NaN for missing; shape (n_rows, n_features).
    labels : cluster of each row, shape (n_rows,).
    """
    cells = (frame[list(_SIGNS)].to_numpy() > 0) @ (1 << np.arange(len(_SIGNS), dtype=np.intp))
    known = with_utilisation(frame)
    figures = [known[name].to_numpy() for name in (*_KEY_FIGURES, UTILISATION)]
    return Baseline(
        rule=RULE,
        cells=len(np.unique(cells)),
        eta2_rule=float(np.mean([rank_eta2(values, cells) for values in figures])),
        eta2_model=float(np.mean([rank_eta2(values, labels) for values in figures])),
        agreement=float(adjusted_rand_score(cells, labels)),
    )


def rank_eta2(values: Matrix, groups: Labels) -> float:
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
