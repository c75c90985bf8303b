"""One feature's distribution now beside the one in training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model_service.analysis.stability_index import FEATURE, chance_limit, contributions, tier
from model_service.manifest import Histogram
from model_service.pipeline import Matrix
from model_service.predictor import DECIMALS
from shared.features import FEATURES, Feature
from shared.model_contract import FeatureDrift

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

    def largest_change(self) -> str:
        """Say of the bin that adds most to the index which share of the customers is in it, now and in training."""
        used = self._used()
        training, now = self._training[used], self._now[used]
        place = int(contributions(training, now).argmax())
        shares = f"{now[place] / now.sum():.1%} of customers now, {training[place] / training.sum():.1%} in training"
        return f"{self._range(place)}: {shares}"

    def _used(self) -> NDArray[np.intp]:
        """Return the bins that count: that for missing values only where there are any."""
        missing = self._training[-1] + self._now[-1] > 0
        return np.arange(len(self._training) if missing else len(self._training) - 1)

    def _range(self, place: int) -> str:
        if place > len(self._edges):
            return "missing"
        low = f"{self._edges[place - 1]:,.4g}" if place else None
        high = f"{self._edges[place]:,.4g}" if place < len(self._edges) else None
        if low and high:
            return f"{low} to {high} {self.feature.unit}"
        return (
            f"below {high} {self.feature.unit}" if high else f"above {low} {self.feature.unit}" if low else "any value"
        )
