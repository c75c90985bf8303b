"""What the pictures and the page of a version say in numbers, small enough to be kept beside them.

When somebody renames a segment, everything that shows names is drawn again from these figures, the manifest and the
names of now (`model_service.report.redraw`), without the customers, who are deleted after a training.
"""

from __future__ import annotations

from typing import NotRequired

import numpy as np
from typing_extensions import TypedDict

from model_service.analysis.drift import DriftCounter
from model_service.analysis.preview import PreviewCounter, renamed
from model_service.report.subject import ScoredRows, predictor
from model_service.store.comparison import Centroids, distances
from model_service.store.labels import Labels
from model_service.store.manifest import Manifest
from shared.contract import BORDERLINE
from shared.features import INPUT_NAMES
from shared.model_contract import Drift, Preview

SILHOUETTE_ROWS = 5_000
"""Most rows whose silhouette is drawn: its cost grows with their square."""
CURVE_POINTS = 101
"""Points of a segment's curve: every percentile."""
MAP_ROWS = 6_000
"""Most customers drawn on the map: of more, one hides the other."""
DECIMALS = 3
"""Of what is only drawn."""


class Direction(TypedDict):
    """An axis of the map: its share of the variance and the weight of each feature of the distance."""

    share: float
    weights: list[float]


class MapFigures(TypedDict):
    """Customers (``points``, each in the segment at its index in ``segments``) and the segments' centroids."""

    directions: list[Direction]
    centroids: list[list[float]]
    points: list[list[float]]
    segments: list[int]


class SilhouetteFigures(TypedDict):
    """The mean of all customers drawn, and each segment's quantiles from the highest on; none of a tiny segment."""

    mean: float
    curves: list[list[float]]
    means: list[float | None]


class Certainty(TypedDict):
    """How sure the model is of a segment's customers; the rival is that of most of those who are borderline."""

    confidence: float
    borderline: float
    rival: str | None
    rival_share: float


class ComparisonFigures(TypedDict):
    """Who moves from the parent's segments, how many of them surely, and the drift, where the parent has evidence."""

    preview: Preview
    sure: int
    drift: Drift | None


class Figures(TypedDict):
    """The content of ``plots/figures.json``.

    ``segments`` are the ids of all segments that plots and report name, ``named`` the plots that do. ``note`` is what
    the person said who started the training; ``notes`` say what was left out of the data. ``currency`` is that of the
    amounts in what is stored beside this; versions from before there was one lack it, and are drawn again.
    """

    segments: list[str]
    named: list[str]
    note: str
    notes: list[str]
    certainty: dict[str, Certainty]
    map: MapFigures
    silhouette: SilhouetteFigures | None
    comparison: ComparisonFigures | None
    currency: NotRequired[str]


def certainty(manifest: Manifest, rows: ScoredRows) -> dict[str, Certainty]:
    """Return how sure the model is of the customers of each segment, by id."""
    from model_service.training.calibration import confidence  # loads scikit-learn, which drawing again does without

    numbers = manifest["calibration"]
    sure = confidence(numbers["intercept"], numbers["slope"], rows.margin)
    found = {}
    for place, segment in enumerate(rows.segments):
        own = rows.labels == place
        unsure = own & (sure < BORDERLINE)
        rivals = np.bincount(rows.rivals[unsure], minlength=len(rows.segments))
        found[segment["id"]] = Certainty(
            confidence=float(sure[own].mean()) if own.any() else 0.0,
            borderline=float(unsure.sum() / own.sum()) if own.any() else 0.0,
            rival=rows.segments[int(rivals.argmax())]["id"] if unsure.any() else None,
            rival_share=float(rivals.max() / unsure.sum()) if unsure.any() else 0.0,
        )
    return found


def on_map(rows: ScoredRows) -> MapFigures:
    """Return the customers, or a sample of them, on the two directions in which they differ most."""
    from sklearn.decomposition import PCA  # here for the same reason

    pca = PCA(2, svd_solver="full").fit(rows.z)
    picked = rows.sample(MAP_ROWS)
    directions = [
        Direction(share=float(share), weights=weights.tolist())
        for share, weights in zip(pca.explained_variance_ratio_, pca.components_, strict=True)
    ]
    return MapFigures(
        directions=directions,
        centroids=pca.transform(rows.centroids).tolist(),
        points=pca.transform(rows.z[picked]).round(DECIMALS).tolist(),
        segments=rows.labels[picked].tolist(),
    )


def silhouettes(rows: ScoredRows) -> SilhouetteFigures | None:
    """Return the silhouettes of the customers, or of a sample; None if these are all of one segment."""
    from sklearn.metrics import silhouette_samples  # here for the same reason

    picked = rows.sample(SILHOUETTE_ROWS)
    labels = rows.labels[picked]
    if len(np.unique(labels)) < 2:
        return None
    values = silhouette_samples(rows.z[picked], labels)
    curves: list[list[float]] = []
    means: list[float | None] = []
    for place in range(len(rows.segments)):
        own = values[labels == place]  # a tiny segment may be missing in a sample
        means.append(float(own.mean()) if len(own) else None)
        curves.append(np.quantile(own, np.linspace(1, 0, CURVE_POINTS)).round(DECIMALS).tolist() if len(own) else [])
    return SilhouetteFigures(mean=float(values.mean()), curves=curves, means=means)


def compare(
    manifest: Manifest, rows: ScoredRows, parent: Manifest | None, currency: str = ""
) -> ComparisonFigures | None:
    """Compare with `parent`; None without one, or if its features are others."""
    if parent is None or distances(Centroids.of(manifest), Centroids.of(parent)) is None:
        return None
    columns = {name: rows.frame[name].to_numpy(dtype=np.float64) for name in INPUT_NAMES}
    before = predictor(parent, currency)
    counter = PreviewCounter(before, predictor(manifest))
    counter.add(columns)
    preview = counter.result(manifest["created_at"])
    preview["customers"] = []  # of single customers nothing is kept
    found = ComparisonFigures(preview=preview, sure=counter.sure, drift=None)
    if "evidence" in parent:
        drift = DriftCounter(before)
        drift.add(columns)
        found["drift"] = drift.result(manifest["created_at"])
    return found


def relabelled(found: ComparisonFigures, labels: Labels) -> ComparisonFigures:
    """Return `found` with the segments called as people call them now."""
    ours = found.copy()
    ours["preview"] = renamed(found["preview"], labels, found["sure"])
    drift = found["drift"]
    if drift and drift["segment_mix"]:
        names = drift["segment_mix"].get("names", {})
        given = {identity: label["name"] for identity, label in labels.items() if label["name"] and identity in names}
        remarks = drift["remarks"]
        for identity, name in given.items():
            before, now = (f"{identity} ({called})" for called in (names[identity], name))
            remarks = [remark.replace(before, now) for remark in remarks]
        renewed = drift.copy()
        renewed["remarks"] = remarks
        renewed["segment_mix"] = {**drift["segment_mix"], "names": {**names, **given}}
        ours["drift"] = renewed
    return ours
