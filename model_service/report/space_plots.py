"""Plots of the space in which the model compares customers: a map of it, and how clearly segments stand apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model_service.report.figures import Direction, MapFigures, SilhouetteFigures
from model_service.report.segment_plots import Segments, label, styles_of
from model_service.report.style import INK, new_figure, plain_name, wrap
from model_service.scoring.pipeline import Matrix
from shared.typography import fixed, percent

NAMED = 3
"""Features that an axis of the map names."""
LABEL_GAP = 10.5
"""Least distance of a label on the map from a mark or another label above or below it, in points."""
LABEL_SHAPE = 3.0
"""How many times farther it must be from those beside it: a label is wider than high."""


def silhouette(segments: Segments, found: SilhouetteFigures, title: str) -> Figure:
    """Draw the customers' silhouettes, sorted within their segment."""
    figure = new_figure(0.8 + 0.42 * len(segments), title)
    axes = figure.subplots()
    for place, (style, curve, mean) in enumerate(
        zip(styles_of(segments), found["curves"], found["means"], strict=True)
    ):
        if mean is None:
            continue
        heights = place + np.linspace(-0.45, 0.45, len(curve))
        axes.fill_betweenx(heights, 0, curve, facecolor=style.colour, hatch=style.hatch, edgecolor=INK, linewidth=0.4)
        axes.text(1.01, place, f"mean {fixed(mean, 2)}", va="center", transform=axes.get_yaxis_transform())
    axes.axvline(found["mean"], color=INK, linestyle="--", label=f"mean of all customers, {fixed(found['mean'], 2)}")
    axes.set_yticks(range(len(segments)), [label(s) for s in segments])
    axes.set(ylim=(len(segments) - 0.4, -0.6), xlabel="silhouette: −1 in the wrong segment, 0 between two, 1 far")
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside lower right")
    return figure


def segment_map(segments: Segments, features: Sequence[str], found: MapFigures, title: str) -> Figure:
    """Draw the customers on the two directions in which they differ most, with the segments' centroids."""
    centroids = np.array(found["centroids"])
    figure = new_figure(5.2 + 0.09 * len(segments), title)
    axes = figure.subplots()
    _draw_customers(axes, segments, found)
    for segment, style, (x, y) in zip(segments, styles_of(segments), centroids, strict=True):
        axes.scatter(
            x, y, s=70, color=style.colour, marker=style.marker, edgecolor=INK, zorder=5, label=label(segment, 52)
        )
    across, up = found["directions"]
    axes.set_xlabel(axis_text(across, features, 100))
    axes.set_ylabel(axis_text(up, features, 78))
    axes.tick_params(labelbottom=False, labelleft=False, length=0)  # positions in this space have no unit
    figure.legend(loc="outside lower left", ncols=2)
    figure.draw_without_rendering()  # settles the layout, on which the labels' places depend
    _label_points(axes, centroids, [s["id"] for s in segments])
    return figure


def _draw_customers(axes: Axes, segments: Segments, found: MapFigures) -> None:
    points, places = np.array(found["points"]), np.array(found["segments"])
    for place, style in enumerate(styles_of(segments)):
        x, y = points[places == place].T
        # As pixels: thousands of vector marks would make the file many times larger.
        axes.scatter(x, y, s=5, color=style.colour, marker=style.marker, alpha=0.4, linewidth=0, rasterized=True)


def axis_text(direction: Direction, features: Sequence[str], width: int) -> str:
    """Say in words which customers lie at the two ends of a direction. Along an upright axis, "→" points up."""
    weights = np.array(direction["weights"])
    strongest = np.argsort(-np.abs(weights))[:NAMED].tolist()
    names = [plain_name(feature) for feature in features]
    more = ", ".join(_lower(names[i]) for i in strongest if weights[i] > 0)
    less = ", ".join(_lower(names[i]) for i in strongest if weights[i] < 0)
    ends = [f"→ higher: {more}" if more else "", f"← higher: {less}" if less else ""]
    share = f"({percent(direction['share'], 0)} of the differences between customers)"
    return "\n".join([*(wrap(end, width, lines=2) for end in ends if end), share])


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


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
