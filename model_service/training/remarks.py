"""What the scores of the tried k say, in words: the elbow, who disagrees with the choice, and what missed narrowly."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from kneed import KneeLocator

from model_service.gate import MIN_SHARE, MIN_STABILITY
from model_service.training.selection import KScores
from shared.model_description import Elbow

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
        return Elbow(k=None, detail=f"an elbow takes at least {_FEWEST_FOR_ELBOW} values of k; {len(scores)} tried")
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
    here, there = (f"{value(s):.{criterion.digits}f}" for s in (own, best))
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
        misses.append(f"stability {s.stability_mean:.3f} ({MIN_STABILITY} needed)")
    if s.smallest_share < MIN_SHARE:
        misses.append(f"smallest segment {s.smallest_share:.1%} ({MIN_SHARE:.0%} needed)")
    return f"k = {s.k} misses narrowly: {', '.join(misses)}"
