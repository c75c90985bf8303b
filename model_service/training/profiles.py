"""What a segment looks like, in the customers' own units."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model_service.pipeline import Matrix
from shared.contract import Quartiles

UTILISATION = "UTILISATION"
"""Share of the credit limit in use, ``BALANCE / CREDIT_LIMIT``; computed for profiles only."""


def with_utilisation(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame`, shape (n_rows, n_features), with the column `UTILISATION` added; NaN without a limit."""
    return frame.assign(**{UTILISATION: frame["BALANCE"] / frame["CREDIT_LIMIT"]})


def profiles(frame: pd.DataFrame, labels: NDArray[np.intp], k: int) -> list[dict[str, Quartiles]]:
    """Describe each of `k` segments by every feature and utilisation.

    Missing values are left out; where a segment has no value at all, the median of all customers stands for it, as in
    the model. ``z`` is how many standard deviations the segment's mean lies from that of all customers, both of log1p,
    the scale on which the model compares customers.

    Parameters
    ----------
    frame : a column per feature, in its unit, NaN for missing; shape (n_rows, n_features).
    labels : cluster of each row, shape (n_rows,).
    """
    columns = {str(name): values.to_numpy() for name, values in with_utilisation(frame).items()}
    found: list[dict[str, Quartiles]] = [{} for _ in range(k)]
    for name, values in columns.items():
        known = ~np.isnan(values)
        logs = np.log1p(values[known])
        mean, deviation = logs.mean(), logs.std() or 1.0
        for cluster in range(k):
            members = values[known & (labels == cluster)]
            found[cluster][name] = _quartiles(
                members if len(members) else np.median(values[known])[None], mean, deviation
            )
    return found


def _quartiles(values: Matrix, log_mean: float, log_deviation: float) -> Quartiles:
    q25, median, q75 = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    z = (np.log1p(values).mean() - log_mean) / log_deviation
    return Quartiles(mean=float(values.mean()), q25=q25, median=median, q75=q75, z=float(z))
