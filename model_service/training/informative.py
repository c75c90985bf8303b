"""Which features a training leaves out of the distance, as they tell its customers apart by nothing.

A bank whose cards are all a year old, or that gives no cash advances, has columns with one value; standardising them
would divide by nothing. What hardly anybody has, or hardly anybody has otherwise, is no better: a random half of the
customers may be left without it, and a handful of others would lie so far out that they made a segment of their own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from model_service.training.errors import DataRefused
from shared.features import BY_NAME, DISTANCE_NAMES
from shared.model_description import LeftOut

MIN_KNOWN = 20
MIN_KNOWN_SHARE = 0.01
"""Least values in a column: by chance a half of the rows, or a sample of them, must not be left without any."""

MIN_OTHER_SHARE = 0.01
"""Least share of the known values that differ from the most frequent one."""

MIN_INFORMATIVE = 5
"""Least features that must remain: with fewer, segments are ranges of single figures rather than kinds of customers."""


def uninformative(frame: pd.DataFrame) -> list[LeftOut]:
    """Return the features that the distance must do without, in the order of the dictionary.

    Parameters
    ----------
    frame : a float64 column per feature, NaN for missing; shape (n_rows, n_features).

    Raises
    ------
    DataRefused
        when fewer than `MIN_INFORMATIVE` remain.
    """
    judged = [_judged(name, frame[name]) for name in DISTANCE_NAMES]
    left_out = [found for found in judged if found]
    remaining = len(DISTANCE_NAMES) - len(left_out)
    if remaining < MIN_INFORMATIVE:
        reasons = "; ".join(f"{left['feature']} {left['reason']}" for left in left_out)
        raise DataRefused(
            f"Only {remaining} of the {len(DISTANCE_NAMES)} features tell customers apart; at least {MIN_INFORMATIVE} "
            f"are required. {reasons}."
        )
    return left_out


def in_words(left: LeftOut) -> str:
    """Return what a training's notes say of a feature that it left out."""
    return f"{left['feature']} is left out of the distance: it {left['reason']}"


def _judged(name: str, column: pd.Series[float]) -> LeftOut | None:
    """Return why a column is left out, or None when it is not."""
    values = column.to_numpy()
    known = values[~np.isnan(values)]
    needed = max(MIN_KNOWN_SHARE * len(values), min(MIN_KNOWN, len(values) / 2))
    if len(known) < needed:
        reason = f"has too few values ({len(known)} of {len(values)} rows; at least {needed:.0f} are required)"
        return LeftOut(feature=name, reason=reason, value=None)
    # A value that nearly all have is the median.
    usual = float(np.quantile(known, 0.5, method="lower"))
    others = np.count_nonzero(known != usual)
    if others >= max(MIN_OTHER_SHARE * len(known), 1):
        return None
    share = "every row" if not others else f"all but {others} of {len(known)} rows"
    reason = f"has the same value in {share} ({usual:,.6g} {BY_NAME[name].unit})"
    return LeftOut(feature=name, reason=reason, value=usual)
