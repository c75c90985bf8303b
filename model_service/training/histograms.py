"""How the training customers are distributed, for the comparison with later ones."""

from __future__ import annotations

import numpy as np
import pandas as pd

from model_service.manifest import Histogram
from model_service.pipeline import Matrix

BINS = 10


def histograms(frame: pd.DataFrame) -> dict[str, Histogram]:
    """Return a histogram of about `BINS` equally full bins for every column.

    Parameters
    ----------
    frame : in the features' units, NaN for missing; shape (n_rows, n_features).
    """
    return {str(name): histogram(values.to_numpy()) for name, values in frame.items()}


def histogram(values: Matrix) -> Histogram:
    """Cut `values` (shape (n,), NaN for missing, not all of them) into up to `BINS` bins at their quantiles.

    Equal values stay together, so that where many share one (zero, round limits) there are fewer bins. An edge lies
    midway between two neighbouring values that occur: on a value itself, a later customer's last digit (0.166667 or
    0.1666666) would decide on which side a whole group of equal customers falls.
    """
    known = np.sort(values[~np.isnan(values)])
    starts = np.unique(known[len(known) * np.arange(1, BINS) // BINS])
    before = np.searchsorted(known, starts, side="left") - 1
    edges = np.unique((known[before[before >= 0]] + starts[before >= 0]) / 2)
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    return Histogram(edges=edges.tolist(), counts=counts.tolist(), missing=len(values) - len(known))
