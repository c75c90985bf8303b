"""Plots of the space in which the model compares customers: a map of it, and how clearly segments stand apart."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_samples

from model_service.report.segment_plots import label
from model_service.report.style import INK, SegmentStyle, new_figure
from model_service.report.subject import ScoredRows
from model_service.scoring.pipeline import Clusters, Matrix
from shared.features import DISTANCE_NAMES

SILHOUETTE_ROWS = 5_000
"""Most rows whose silhouette is drawn: its cost grows with their square."""
CURVE_POINTS = 101
"""Points of a segment's curve: every percentile."""
MAP_ROWS = 6_000
"""Most customers drawn on the map: of more, one hides the other."""
NAMED = 3
"""Features that an axis of the map names."""
LABEL_GAP = 10.5
"""Least distance of a label on the map from a mark or another label above or below it, in points."""
LABEL_SHAPE = 3.0
"""How many times farther it must be from those beside it: a label is wider than high."""


def silhouette(rows: ScoredRows) -> Figure | None:
    """Draw the customers' silhouettes, sorted within their segment; None if the rows drawn are all of one segment."""
    picked = rows.sample(SILHOUETTE_ROWS)
    labels = rows.labels[picked]
    if len(np.unique(labels)) < 2:
        return None
    values = silhouette_samples(rows.z[picked], labels)
    figure = new_figure(0.8 + 0.42 * len(rows.segments))
    axes = figure.subplots()
    for place, segment in enumerate(rows.segments):
        own = values[labels == place]
        if len(own):  # a tiny segment may be missing in a sample
            _curve(axes, place, own, rows.styles[segment["id"]])
    axes.axvline(values.mean(), color=INK, linestyle="--", label=f"mean of all customers, {values.mean():.2f}")
    axes.set_yticks(range(len(rows.segments)), [label(s) for s in rows.segments])
    axes.set(ylim=(len(rows.segments) - 0.4, -0.6), xlabel="silhouette: −1 in the wrong segment, 0 between two, 1 far")
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper right")
    return figure


def _curve(axes: Axes, place: int, values: Matrix, style: SegmentStyle) -> None:
    quantiles = np.quantile(values, np.linspace(1, 0, CURVE_POINTS))
    heights = place + np.linspace(-0.45, 0.45, CURVE_POINTS)
    axes.fill_betweenx(heights, 0, quantiles, facecolor=style.colour, hatch=style.hatch, edgecolor=INK, linewidth=0.4)
    axes.text(1.01, place, f"mean {values.mean():.2f}", va="center", transform=axes.get_yaxis_transform())


def segment_map(rows: ScoredRows) -> Figure:
    """Draw the customers on the two directions in which they differ most, with the segments' centroids."""
    pca = PCA(2, svd_solver="full").fit(rows.z)
    centroids = pca.transform(rows.centroids)
    figure = new_figure(5.2 + 0.09 * len(rows.segments))
    axes = figure.subplots()
    picked = rows.sample(MAP_ROWS)
    _draw_customers(axes, rows, pca.transform(rows.z[picked]), rows.labels[picked])
    for segment, (x, y) in zip(rows.segments, centroids, strict=True):
        style = rows.styles[segment["id"]]
        axes.scatter(
            x, y, s=70, color=style.colour, marker=style.marker, edgecolor=INK, zorder=5, label=label(segment, 52)
        )
    axes.set_xlabel(_axis_text(pca, 0))
    axes.set_ylabel(_axis_text(pca, 1))
    figure.legend(loc="outside lower left", ncols=2)
    figure.draw_without_rendering()  # settles the layout, on which the labels' places depend
    _label_points(axes, centroids, [s["id"] for s in rows.segments])
    return figure


def _draw_customers(axes: Axes, rows: ScoredRows, points: Matrix, labels: Clusters) -> None:
    for place, segment in enumerate(rows.segments):
        style = rows.styles[segment["id"]]
        x, y = points[labels == place].T
        # As pixels: thousands of vector marks would make the file many times larger.
        axes.scatter(x, y, s=5, color=style.colour, marker=style.marker, alpha=0.4, linewidth=0, rasterized=True)


def _axis_text(pca: PCA, axis: int) -> str:
    weights = pca.components_[axis]
    strongest = np.argsort(-np.abs(weights))[:NAMED]
    names = ", ".join(f"{'+' if weights[i] > 0 else '−'} {DISTANCE_NAMES[i]}" for i in strongest)
    return f"principal component {axis + 1} ({pca.explained_variance_ratio_[axis]:.0%} of the variance)\n{names}"


def _label_points(axes: Axes, points: Matrix, texts: list[str]) -> None:
    """Write each of `texts` near its point, pushed apart until none covers another."""
    anchors = axes.transData.transform(points) * 72 / axes.figure.dpi
    places = anchors + np.array([0.0, 11.0])
    for _ in range(500):
        places = places + _push(places, places) + _push(places, anchors)
    for point, shift, text in zip(points, places - anchors, texts, strict=True):
        axes.annotate(
            text,
            point,
            shift,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7,
            fontweight="bold",
            zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.6, "shrinkB": 5},
        )


def _push(labels: Matrix, obstacles: Matrix) -> Matrix:
    """Return how far each label has to move away from the obstacles that are too near, shape (n, 2)."""
    apart = labels[:, None] - obstacles[None]
    distance = np.maximum(np.hypot(apart[..., 0] / LABEL_SHAPE, apart[..., 1]), 1e-6)
    strength = np.where(distance < LABEL_GAP, (LABEL_GAP - distance) / distance, 0.0)
    return np.asarray(0.25 * (apart * strength[..., None]).sum(axis=1))
