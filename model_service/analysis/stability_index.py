"""The population stability index, what of it is chance, what of it matters, and that of a feature.

Method and thresholds: docs/clustering-study.md, §7.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_service.scoring.pipeline import Matrix
from model_service.scoring.predictor import DECIMALS
from model_service.store.manifest import Histogram
from shared.features import FEATURES, Feature, Kind
from shared.model_contract import FeatureDrift
from shared.money import in_unit
from shared.typography import number, percent

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
    from scipy.special import chdtri  # here, because serving starts a sixth sooner and takes 27 MB less without it

    return float(chdtri(len(training) - 1, false_alarms) * (1 / training.sum() + 1 / now.sum()))


def tier(index: float, limit: float, thresholds: Thresholds) -> Tier:
    """Say how much a shift matters; up to `limit` it is chance, however large."""
    if index <= limit:
        return "none"
    if index < thresholds.material:
        return "detected"
    return "material" if index < thresholds.severe else "severe"


FALSE_ALARMS = 0.05 / len(FEATURES)
"""Probability that a feature of an unchanged population is detected: 5 % for any of them (Bonferroni)."""


class FeatureShift:
    """Counts a feature's values in the bins of its training histogram, and in one more for missing values.

    Raises
    ------
    ValueError
        when `training` is no histogram.
    """

    def __init__(self, feature: Feature, training: Histogram) -> None:
        self.feature = feature
        self._edges = np.array(training["edges"], dtype=np.float64)
        self._training = np.array([*training["counts"], training["missing"]], dtype=np.int64)
        self._now = np.zeros_like(self._training)
        if len(self._training) != len(self._edges) + 2 or (np.diff(self._edges) <= 0).any():
            raise ValueError(f"the histogram of {feature.name} has other bins than edges")

    def add(self, values: Matrix) -> None:
        """Count `values`, shape (n,), NaN for missing."""
        missing = np.isnan(values)
        bins = np.where(missing, len(self._edges) + 1, np.searchsorted(self._edges, values, side="right"))
        self._now += np.bincount(bins, minlength=len(self._now))

    def drift(self) -> FeatureDrift:
        """Return the stability index, its limit and what they mean, for at least one value."""
        used = self._used()
        training, now = self._training[used], self._now[used]
        index = float(contributions(training, now).sum())
        limit = chance_limit(training, now, FALSE_ALARMS)
        return FeatureDrift(
            feature=self.feature.name,
            psi=round(index, DECIMALS),
            limit=round(limit, DECIMALS),
            bins=len(training),
            tier=tier(index, limit, FEATURE),
        )

    def largest_change(self, currency: str = "") -> str:
        """Say of the bin that adds most to the index which share of the customers is in it, now and in training."""
        used = self._used()
        training, now = self._training[used], self._now[used]
        place = int(contributions(training, now).argmax())
        shares = (percent(float(counts[place] / counts.sum())) for counts in (now, training))
        return "{}: {} of customers now, {} in training".format(self._range(place, currency), *shares)

    def _used(self) -> NDArray[np.intp]:
        """Return the bins that count: that for missing values only where there are any."""
        missing = self._training[-1] + self._now[-1] > 0
        return np.arange(len(self._training) if missing else len(self._training) - 1)

    def _range(self, place: int, currency: str) -> str:
        if place > len(self._edges):
            return "missing"
        low = self._edge(place - 1, currency) if place else None
        high = self._edge(place, currency) if place < len(self._edges) else None
        unit = {Kind.FREQUENCY: " of months", Kind.MONTHS: " months"}.get(self.feature.kind, "")
        if low and high:
            return f"{low} to {high}{unit}"
        return f"below {high}{unit}" if high else f"above {low}{unit}" if low else "any value"

    def _edge(self, place: int, currency: str) -> str:
        edge = float(self._edges[place])
        return (
            f"{number(100 * edge, 1)}%"
            if self.feature.kind is Kind.FREQUENCY
            else in_unit(edge, self.feature.name, currency)
        )
