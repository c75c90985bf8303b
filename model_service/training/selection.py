"""Choosing k, on record.

Scores: inertia, silhouette (Rousseeuw 1987), Davies-Bouldin (1979), Calinski-Harabasz (1974) and half-split stability:
the adjusted Rand index, over all rows, between two whole pipelines fitted on disjoint halves (Lange et al. 2004).
The rule and its evidence: clustering study, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)
from sklearn.pipeline import Pipeline

from model_service.gate import MIN_SHARE, MIN_STABILITY
from model_service.training.errors import DataRefused
from model_service.training.work import STUDY_ROWS, Progress, fit, run_all, study_sample

SPLITS = 12
SILHOUETTE_MB = 64
"""Memory for distances between all pairs of customers; scikit-learn would take up to 1 GB, for each k at a time."""


@dataclass(frozen=True, slots=True)
class KScores:
    """The record of one k tried. ``smallest_share`` is that of the smallest segment, 0 to 1."""

    k: int
    inertia: float
    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    stability_mean: float
    stability_min: float
    smallest_share: float

    def qualifies(self) -> bool:
        """Whether the rule allows this k."""
        return self.stability_mean >= MIN_STABILITY and self.smallest_share >= MIN_SHARE

    def as_json(self) -> dict[str, Any]:
        """Return the record for the manifest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen k, why in words, its fitted pipeline, and the record of every k tried."""

    k: int
    reason: str
    pipeline: Pipeline
    scores: list[KScores]


def work_units(ks: Sequence[int]) -> int:
    """Return how many units of work `select` does."""
    return len(ks) * (1 + SPLITS)


def select(rows: pd.DataFrame, ks: Sequence[int], seed: int, progress: Progress) -> Selection:
    """Score every k in `ks` and choose one by the rule; a single k is taken as given.

    Parameters
    ----------
    rows : float64 columns that take part in the distance, NaN for missing; shape (n_rows, n_features).
    """
    progress.phase(f"trying k = {_range(ks)}")
    fits = run_all([partial(_fit_and_score, rows, k, seed) for k in ks], progress)
    progress.phase("stability")
    stability = _stability(rows, ks, seed, progress)
    scores = [KScores(k=k, **quality, **stability[k]) for k, (_, quality) in zip(ks, fits, strict=True)]
    k, reason = (
        (ks[0], f"k = {ks[0]} was asked for; the stability rule was not applied") if len(ks) == 1 else choose(scores)
    )
    return Selection(k, reason, fits[list(ks).index(k)][0], scores)


def _range(ks: Sequence[int]) -> str:
    return f"{ks[0]} to {ks[-1]}" if len(ks) > 1 else str(ks[0])


def choose(scores: Sequence[KScores]) -> tuple[int, str]:
    """Apply the rule: the largest k that is stable and has no tiny segment. Return k and the reason in words."""
    qualified = [s for s in scores if s.qualifies()]
    rule = f"mean stability of at least {MIN_STABILITY} and every segment at least {MIN_SHARE:.0%} of the customers"
    if qualified:
        best = max(qualified, key=lambda s: s.k)
        return best.k, (
            f"k = {best.k} is the largest k tried with {rule} "
            f"(stability {best.stability_mean:.3f}, smallest segment {best.smallest_share:.1%})"
        )
    candidates = [s for s in scores if s.smallest_share >= MIN_SHARE] or list(scores)
    best = max(candidates, key=lambda s: (s.stability_mean, s.k))
    among = (
        "those without a tiny segment" if best.smallest_share >= MIN_SHARE else "all, each of which has a tiny segment"
    )
    return best.k, f"no k has {rule}; k = {best.k} is the most stable of {among} (stability {best.stability_mean:.3f})"


def _fit_and_score(rows: pd.DataFrame, k: int, seed: int) -> tuple[Pipeline, dict[str, float]]:
    pipeline = fit(rows, k, seed)
    cluster = pipeline.named_steps["cluster"]
    studied = study_sample(len(rows), seed)
    z, labels = pipeline[:-1].transform(rows.iloc[studied]), cluster.labels_[studied]
    if (labels == labels[0]).all():
        raise DataRefused(f"with k = {k} as good as all customers fall into one segment")
    with config_context(working_memory=SILHOUETTE_MB):
        silhouette = silhouette_score(z, labels)
    quality = {
        "inertia": float(cluster.inertia_),
        "silhouette": float(silhouette),
        "davies_bouldin": float(davies_bouldin_score(z, labels)),
        "calinski_harabasz": float(calinski_harabasz_score(z, labels)),
        "smallest_share": float(np.bincount(cluster.labels_, minlength=k).min() / len(rows)),
    }
    return pipeline, quality


def _stability(rows: pd.DataFrame, ks: Sequence[int], seed: int, progress: Progress) -> dict[int, dict[str, float]]:
    """Mean and minimum ARI over the same half splits for every k."""
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(rows))[:STUDY_ROWS] for _ in range(SPLITS)]
    jobs = [partial(_half_split_ari, rows, order, k, seed) for k in ks for order in orders]
    found = np.array(run_all(jobs, progress)).reshape(len(ks), SPLITS)
    return {
        k: {"stability_mean": float(a.mean()), "stability_min": float(a.min())} for k, a in zip(ks, found, strict=True)
    }


def _half_split_ari(rows: pd.DataFrame, order: NDArray[np.intp], k: int, seed: int) -> float:
    middle = len(order) // 2
    sample = rows.iloc[order]
    first, second = (fit(half, k, seed).predict(sample) for half in (sample.iloc[:middle], sample.iloc[middle:]))
    return float(adjusted_rand_score(first, second))
