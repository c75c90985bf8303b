"""Plots of the space in which the model compares customers: a map of it, and how clearly segments stand apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model_service.report.figures import Direction, MapFigures, SilhouetteFigures
from model_service.report.segment_plots import Segments, label, styles_of
from model_service.report.style import INK, Heading, new_figure, wrap
from model_service.scoring.pipeline import Matrix
from model_service.scoring.wording import enumerated
from model_service.training.naming import COMPOSITE_WORDS, COMPOSITES
from shared.typography import fixed

NAMED = 3
"""Features that an axis of the map names."""
LABEL_GAP = 10.5
"""Least distance of a label on the map from a mark or another label above or below it, in points."""
LABEL_SHAPE = 3.0
"""How many times farther it must be from those beside it: a label is wider than high."""


def silhouette(segments: Segments, found: SilhouetteFigures, heading: Heading) -> Figure:
    """Draw the customers' silhouettes, sorted within their segment."""
    figure = new_figure(0.8 + 0.42 * len(segments), heading)
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
    axes.set(ylim=(len(segments) - 0.4, -0.6), xlabel="silhouette: −1 in the wrong segment, 0 between two, 1 far apart")
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside lower right")
    return figure


def segment_map(segments: Segments, features: Sequence[str], found: MapFigures, heading: Heading) -> Figure:
    """Draw the customers on the two directions in which they differ most, with the segments' centroids."""
    centroids = np.array(found["centroids"])
    figure = new_figure(5.2 + 0.09 * len(segments), heading)
    axes = figure.subplots()
    _draw_customers(axes, segments, found)
    for segment, style, (x, y) in zip(segments, styles_of(segments), centroids, strict=True):
        axes.scatter(
            x, y, s=70, color=style.colour, marker=style.marker, edgecolor=INK, zorder=5, label=label(segment, 52)
        )
    across, up = found["directions"]
    _name_ends(axes, axis_ends(across, features), axis_ends(up, features))
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


class Ends(NamedTuple):
    """What customers at the two ends of a direction do more than the others."""

    low: str
    high: str


def axis_ends(direction: Direction, features: Sequence[str]) -> Ends:
    """Say in words which customers lie at the two ends of a direction."""
    weights = dict(zip(features, direction["weights"], strict=True))
    known = {
        composite: sum(weights[name] for name in names if name in weights) / len(names)
        for composite, names in COMPOSITES.items()
    }
    strongest = sorted(known, key=lambda composite: -abs(known[composite]))[:NAMED]
    high = [COMPOSITE_WORDS[c].more for c in strongest if known[c] > 0]
    low = [COMPOSITE_WORDS[c].more for c in strongest if known[c] < 0]
    opposite = [COMPOSITE_WORDS[c].less for c in strongest][:1]
    # All pull one way: then the other end has those who do the same less.
    return Ends(enumerated(low or opposite), enumerated(high or opposite))


def _name_ends(axes: Axes, across: Ends, up: Ends) -> None:
    """Write what customers do at both ends of both axes, with an arrow."""
    low, high = wrap(f"← {across.low}", 48, lines=2), wrap(f"{across.high} →", 48, lines=2)
    axes.annotate(low, (0, 0), (0, -4), "axes fraction", "offset points", ha="left", va="top", fontsize=8)
    axes.annotate(high, (1, 0), (0, -4), "axes fraction", "offset points", ha="right", va="top", fontsize=8)
    upright: dict[str, Any] = {"rotation": 90, "ha": "right", "fontsize": 8}
    low, high = wrap(f"← {up.low}", 40, lines=2), wrap(f"{up.high} →", 40, lines=2)
    axes.annotate(low, (0, 0), (-4, 0), "axes fraction", "offset points", va="bottom", **upright)
    axes.annotate(high, (0, 1), (-4, 0), "axes fraction", "offset points", va="top", **upright)


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
