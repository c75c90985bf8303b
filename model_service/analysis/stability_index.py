"""The population stability index, what of it is chance, and what of it matters.

Method and thresholds: clustering study, section 7.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

Counts = NDArray[np.int64]
Tier = Literal["none", "detected", "material", "severe"]

SMOOTHING = 0.5
"""Added to every count, so that an empty bin has a finite logarithm (half a customer, as in Jeffreys' prior)."""


class Thresholds(NamedTuple):
    """From which index on a shift beyond chance is material, and severe."""

    material: float
    severe: float


FEATURE = Thresholds(material=0.1, severe=0.25)
MIX = Thresholds(material=0.02, severe=0.1)


def contributions(training: Counts, now: Counts) -> NDArray[np.float64]:
    """Return what each bin adds to the stability index, Σ (q - p) ln(q / p); all at least 0, shape (n_bins,).

    Parameters
    ----------
    training, now : customers in each bin, shape (n_bins,). `SMOOTHING` is added before they become shares p and q.
    """
    p, q = ((counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts)) for counts in (training, now))
    return np.asarray((q - p) * np.log(q / p))


def chance_limit(training: Counts, now: Counts, false_alarms: float) -> float:
    """Return the index that two samples of one population exceed with probability `false_alarms`.

    Between samples of n and m customers it is distributed nearly as (1/n + 1/m) times chi-square with one degree of
    freedom less than there are bins. 0 for a single bin, whose index is always 0.
    """
    if len(training) < 2:
        return 0.0
    return float(chdtri(len(training) - 1, false_alarms) * (1 / training.sum() + 1 / now.sum()))


def tier(index: float, limit: float, thresholds: Thresholds) -> Tier:
    """Say how much a shift matters; up to `limit` it is chance, however large."""
    if index <= limit:
        return "none"
    if index < thresholds.material:
        return "detected"
    return "material" if index < thresholds.severe else "severe"
