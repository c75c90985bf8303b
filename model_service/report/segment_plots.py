"""Plots of the segments: how large they are, what marks them, and how their features are distributed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from model_service.report.style import FAINT, INK, SegmentStyle, heat_map, label_cells, new_figure, wrap
from model_service.report.subject import ScoredRows
from model_service.scoring.pipeline import Matrix
from model_service.store.manifest import StoredSegment
from model_service.training.naming import composites
from model_service.training.segments import UTILISATION
from shared.features import BY_NAME, FEATURES, Kind

MANY = 12
"""From more panels or segments than this on, they are drawn closer together, so that they fit on a page."""

FEW = 8
"""Up to so many segments there is room for their names above columns."""

HEAT_LIMIT = 2.0
"""Positions beyond so many standard deviations all have the darkest colour; the number says how far they are."""


def shares(rows: ScoredRows) -> Figure:
    """Draw each segment's share of the training customers."""
    figure = new_figure(0.7 + 0.38 * len(rows.segments))
    axes = figure.subplots()
    for place, segment in enumerate(rows.segments):
        _bar(axes, place, segment, rows.styles[segment["id"]])
    axes.set_yticks(range(len(rows.segments)), [label(s) for s in rows.segments])
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the training customers (%), with their number")
    return figure


def _bar(axes: Axes, place: int, segment: StoredSegment, style: SegmentStyle) -> None:
    share = 100 * segment["share"]
    axes.barh(place, share, color=style.colour, hatch=style.hatch, edgecolor=INK, linewidth=0.6, height=0.66)
    axes.annotate(
        f"{share:.1f} % ({segment['size']:,})", (share, place), (4, 0), textcoords="offset points", va="center"
    )


def label(segment: StoredSegment, width: int = 34) -> str:
    """Return a segment's id and name in at most two lines."""
    return wrap(f"{segment['id']} {segment['name']}", width, lines=2)


def profile(rows: ScoredRows) -> Figure:
    """Draw how far each segment's mean lies from that of all customers, for every feature."""
    names = [*BY_NAME, UTILISATION]
    values = np.array([[s["profile"][name]["z"] for s in rows.segments] for name in names])
    figure = new_figure(0.9 + 0.26 * len(names))
    axes = figure.subplots()
    texts = [[f"{value:+.1f}" for value in line] for line in values.round(1) + 0.0]  # + 0.0 turns -0.0 into 0.0
    mesh = heat_map(axes, values, texts, sns.color_palette("vlag", as_cmap=True), (-HEAT_LIMIT, HEAT_LIMIT))
    few = len(rows.segments) <= FEW
    width = min(90 // len(rows.segments), 24)
    heads = [f"{s['id']}\n{wrap(s['name'], width, lines=5)}" if few else s["id"] for s in rows.segments]
    label_cells(axes, names, heads, upright=not few)
    axes.tick_params(labelsize=6.5)
    bar = figure.colorbar(mesh, ax=axes, orientation="horizontal", aspect=50, pad=0.02, extend="both")
    bar.set_label("mean of the segment, in standard deviations from all customers' mean (of log1p values)")
    return figure


def composite_lines(rows: ScoredRows) -> Figure:
    """Draw each segment's position on the composites that make its name, in a panel of its own."""
    positions = [composites(s["profile"]) for s in rows.segments]
    names = list(positions[0])
    table = np.array([[position[name] for name in names] for position in positions])
    figure, panels = _panels(len(rows.segments), 2.0)
    for axes, segment, own in zip(panels, rows.segments, table, strict=True):
        style = rows.styles[segment["id"]]
        axes.fill_between(names, table.min(axis=0), table.max(axis=0), color="#ededed", linewidth=0)
        axes.axhline(0, color=FAINT, linewidth=0.8)
        axes.plot(names, own, color=style.colour, marker=style.marker, markeredgecolor=INK, linewidth=2)
        axes.set_title(label(segment, 90 // _columns(len(rows.segments))), fontsize=7.5)
        axes.margins(y=0.1)
        axes.tick_params(axis="x", rotation=90)
    figure.supylabel("mean position (standard deviations from all customers' mean)", fontsize=8)
    return figure


def amounts(rows: ScoredRows) -> Figure:
    """Draw the distributions of the amounts by segment."""
    return _distributions(rows, [f.name for f in FEATURES if f.kind is Kind.AMOUNT])


def habits(rows: ScoredRows) -> Figure:
    """Draw the distributions of frequencies, counts, months and utilisation by segment."""
    return _distributions(rows, [*(f.name for f in FEATURES if f.kind is not Kind.AMOUNT), UTILISATION])


def _distributions(rows: ScoredRows, names: Sequence[str]) -> Figure:
    line = 0.15 if len(rows.segments) <= MANY else 0.11
    figure, panels = _panels(len(names), 0.75 + line * len(rows.segments))
    for axes, name in zip(panels, names, strict=True):
        axes.set_title(name, fontsize=7)
        axes.set_xlabel(BY_NAME[name].unit if name in BY_NAME else "share of the limit", fontsize=7)
        if rows.frame[name].isna().all():  # as may be in a sample
            continue
        _letter_values(axes, rows, name)
        kind = BY_NAME[name].kind if name in BY_NAME else Kind.FREQUENCY
        if kind in (Kind.AMOUNT, Kind.COUNT):
            _log1p_axis(axes, rows.frame[name].to_numpy())
    return figure


def _letter_values(axes: Axes, rows: ScoredRows, name: str) -> None:
    ids = [s["id"] for s in rows.segments]
    sns.boxenplot(
        x=rows.frame[name].to_numpy(),
        y=np.array(ids)[rows.labels],
        hue=np.array(ids)[rows.labels],
        order=ids,
        palette={identity: rows.styles[identity].colour for identity in ids},
        legend=False,
        saturation=1,
        k_depth=4,
        showfliers=False,
        linewidth=0.4,
        line_kws={"color": INK, "linewidth": 1.4},
        ax=axes,
    )
    axes.set_ylabel("")


def _log1p_axis(axes: Axes, values: Matrix) -> None:
    """Scale the axis as the model sees the values, and label it in their own unit."""
    lowest = float(np.nanquantile(values, 0.01))
    axes.set_xlim(left=lowest / 2 if lowest > 1 else -0.2)  # log1p knows nothing below -1, where a margin might reach
    axes.set_xscale("function", functions=(np.log1p, np.expm1))
    decades = math.ceil(math.log10(max(float(np.nanmax(values)), 10.0)))
    axes.xaxis.set_major_locator(FixedLocator([0.0, *(10.0**d for d in range(decades + 1))]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _columns(panels: int) -> int:
    return 3 if panels <= MANY else 4


def _panels(count: int, height: float) -> tuple[Figure, Iterator[Axes]]:
    """Return a figure of small multiples, each `height` inches high, and its panels."""
    columns = min(_columns(count), count)
    lines = math.ceil(count / columns)
    figure = new_figure(0.4 + height * lines)
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, iter(grid[:count])
