"""Choosing k, on record, and what the scores of all k tried say about the choice.

Scores: inertia, silhouette (Rousseeuw 1987), Davies-Bouldin (1979), Calinski-Harabasz (1974) and half-split stability:
the adjusted Rand index, over all rows, between two whole pipelines fitted on disjoint halves (Lange et al. 2004).
The rule and its evidence: docs/clustering-study.md, §2.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from kneed import KneeLocator
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)
from sklearn.pipeline import Pipeline

from model_service.store.gate import MIN_SHARE, MIN_STABILITY
from model_service.training.errors import DataRefused
from model_service.training.parallel import STUDY_ROWS, ProgressReporter, fit, run_all, study_sample
from shared.model_description import Elbow
from shared.typography import fixed, percent

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


def select(rows: pd.DataFrame, ks: Sequence[int], seed: int, progress: ProgressReporter) -> Selection:
    """Score every k in `ks` and choose one by the rule; a single k is taken as given.

    Parameters
    ----------
    rows : float64 columns that take part in the distance, NaN for missing; shape (n_rows, n_features).
    """
    progress.phase(f"trying k = {_range(ks)}")
    fits = run_all([partial(_fit_and_score, rows, k, seed) for k in ks], progress)
    progress.phase("measuring stability")
    stability = _stability(rows, ks, seed, progress)
    scores = [KScores(k=k, **quality, **stability[k]) for k, (_, quality) in zip(ks, fits, strict=True)]
    k, reason = (
        (ks[0], f"k = {ks[0]} was requested, so the stability rule was not applied") if len(ks) == 1 else choose(scores)
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
            f"(stability {best.stability_mean:.3f}, smallest segment {percent(best.smallest_share)})"
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
        raise DataRefused(f"With k = {k}, practically all customers fall into one segment.")
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


def _stability(
    rows: pd.DataFrame, ks: Sequence[int], seed: int, progress: ProgressReporter
) -> dict[int, dict[str, float]]:
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


NEAR = 0.05
"""A k that misses each limit by no more than this share of it misses narrowly."""

_FEWEST_FOR_ELBOW = 3

_STRUCTURE = (
    (0.25, "the segments are cuts through a continuum, not separate groups"),
    (0.50, "the segments are weakly separated"),
    (0.70, "the segments are reasonably separated"),
    (1.01, "the segments are strongly separated"),
)
"""Upper limit of the silhouette and what it means (Kaufman and Rousseeuw 1990, table 2.4)."""


class _Criterion(NamedTuple):
    score: str
    title: str
    sign: int
    digits: int


_CRITERIA = (
    _Criterion("silhouette", "silhouette", 1, 3),
    _Criterion("davies_bouldin", "Davies-Bouldin", -1, 3),
    _Criterion("calinski_harabasz", "Calinski-Harabasz", 1, 0),
)
"""Sign 1: the largest is best; -1: the smallest is."""


def find_elbow(scores: Sequence[KScores]) -> Elbow:
    """Look for the k at which the inertia curve bends most (Kneedle: Satopää et al. 2011)."""
    scores = sorted(scores, key=lambda s: s.k)
    if len(scores) < _FEWEST_FOR_ELBOW:
        return Elbow(
            k=None,
            detail=f"finding one takes at least {_FEWEST_FOR_ELBOW} values of k, not {len(scores)}",
        )
    ks, inertias = [s.k for s in scores], [s.inertia for s in scores]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns when it finds none, which is said below
        found = KneeLocator(ks, inertias, curve="convex", direction="decreasing").knee
    if found is None:
        return Elbow(k=None, detail=f"the inertia falls from k = {ks[0]} to {ks[-1]} without a clear bend")
    return Elbow(k=int(found), detail=f"the inertia curve bends most at k = {found}")


def remarks(scores: Sequence[KScores], chosen: int, elbow: Elbow) -> list[str]:
    """Say how separate the segments are, who disagrees with the `chosen` k, and which misses the rule narrowly."""
    own = next(s for s in scores if s.k == chosen)
    found = [f"silhouette {own.silhouette:.3f}: {_structure(own.silhouette)}"]
    if len(scores) == 1:
        return [f"only k = {chosen} was tried, so there is nothing to compare it with", *found]
    found += _elbow_remark(elbow, chosen)
    found += [_criterion_remark(criterion, scores, own) for criterion in _CRITERIA]
    return found + [_near_miss(s) for s in scores if _misses_narrowly(s)]


def _structure(silhouette: float) -> str:
    return next(meaning for limit, meaning in _STRUCTURE if silhouette <= limit)


def _elbow_remark(elbow: Elbow, chosen: int) -> list[str]:
    if elbow["k"] is None:
        return [f"no elbow: {elbow['detail']}"]
    agrees = "agrees" if elbow["k"] == chosen else f"disagrees with k = {chosen}"
    return [f"the elbow {agrees}: {elbow['detail']}"]


def _criterion_remark(criterion: _Criterion, scores: Sequence[KScores], own: KScores) -> str:
    def value(s: KScores) -> float:
        return float(getattr(s, criterion.score))

    best = max(scores, key=lambda s: (criterion.sign * value(s), s is own))
    extreme = "highest" if criterion.sign > 0 else "lowest"
    if best is own:
        return f"{criterion.title} agrees: it is {extreme}, which is best, at k = {own.k}"
    here, there = (fixed(value(s), criterion.digits) for s in (own, best))
    return (
        f"{criterion.title} disagrees: it is {extreme}, which is best, at k = {best.k} ({there} against {here} at "
        f"k = {own.k})"
    )


def _misses_narrowly(s: KScores) -> bool:
    near = s.stability_mean >= MIN_STABILITY * (1 - NEAR) and s.smallest_share >= MIN_SHARE * (1 - NEAR)
    return near and not s.qualifies()


def _near_miss(s: KScores) -> str:
    misses = []
    if s.stability_mean < MIN_STABILITY:
        misses.append(f"stability {s.stability_mean:.3f} ({MIN_STABILITY} required)")
    if s.smallest_share < MIN_SHARE:
        misses.append(f"smallest segment {percent(s.smallest_share)} ({MIN_SHARE:.0%} required)")
    return f"k = {s.k} narrowly misses the rule: {', '.join(misses)}"
