"""Plots of the segments: how large they are, what marks them, and how their features are distributed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, PercentFormatter

from model_service.report.glyphs import named
from model_service.report.presentation import SegmentStyle, plain_name, segment_styles
from model_service.report.style import INK, Heading, bar, heat_map, label_cells, new_figure, wrap
from model_service.store.manifest import UTILISATION, StoredSegment
from model_service.training.naming import COMPOSITE_LABELS, composites
from shared.features import BY_NAME, FEATURES, Kind
from shared.money import in_unit, unit
from shared.typography import number, percent, short

MANY = 12
"""From more panels or segments than this on, they are drawn closer together, so that they fit on a page."""

FEW = 8
"""Up to so many segments there is room for their names above columns."""

HEAT_LIMIT = 2.0
"""Positions beyond so many standard deviations all have the darkest colour."""

SPAN = "#dcdcdc"

Segments = Sequence[StoredSegment]


def styles_of(segments: Segments) -> list[SegmentStyle]:
    """Return the style of each segment."""
    styles = segment_styles(s["id"] for s in segments)
    return [styles[s["id"]] for s in segments]


def label(segment: StoredSegment, width: int = 34) -> str:
    """Return a segment's id and name in at most two lines."""
    return wrap(named(segment["id"], segment["name"]), width, lines=2)


def shares(segments: Segments, heading: Heading) -> Figure:
    """Draw each segment's share of the training customers."""
    figure = new_figure(0.7 + 0.38 * len(segments), heading)
    axes = figure.subplots()
    for place, (segment, style) in enumerate(zip(segments, styles_of(segments), strict=True)):
        bar(axes, place, segment["share"], 0.66, color=style.colour, hatch=style.hatch)
        text = f"{percent(segment['share'])} ({number(segment['size'])})"
        axes.annotate(text, (segment["share"], place), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(segments)), [label(s) for s in segments])
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("share of the customers, with their number")
    return figure


def profile(segments: Segments, currency: str, heading: Heading) -> Figure:
    """Draw each segment's mean of every feature, coloured by how far it lies from that of all customers."""
    names = [name for name in (*BY_NAME, UTILISATION) if all(name in s["profile"] for s in segments)]
    values = np.array([[s["profile"][name]["z"] for s in segments] for name in names])
    figure = new_figure(0.9 + 0.26 * len(names), heading)
    axes = figure.subplots()
    texts = [[in_unit(s["profile"][name]["mean"], name, currency) for s in segments] for name in names]
    mesh = heat_map(axes, values, texts, sns.color_palette("vlag", as_cmap=True), (-HEAT_LIMIT, HEAT_LIMIT))
    few = len(segments) <= FEW
    width = min(80 // len(segments), 24)
    heads = [f"{s['id']}\n{wrap(named('', s['name']), width, lines=5)}".strip() if few else s["id"] for s in segments]
    label_cells(axes, [plain_name(name) for name in names], heads, upright=not few)
    axes.tick_params(labelsize=6.5)
    key = figure.colorbar(mesh, ax=axes, orientation="horizontal", aspect=50, pad=0.02, extend="both")
    key.set_ticks([-HEAT_LIMIT, 0, HEAT_LIMIT], labels=["far below", "like all customers", "far above"])
    return figure


def composite_positions(segments: Segments, heading: Heading) -> Figure:
    """Draw each segment's position on the composites that make its name, in a panel of its own.

    Composites have no order, so nothing joins them.
    """
    positions = [composites(s["profile"]) for s in segments]
    names = list(positions[0])
    table = np.array([[position[name] for name in names] for position in positions])
    places = np.arange(len(names))
    figure, panels = _panels(len(segments), 1.9, heading)
    for axes, segment, style, own in zip(panels, segments, styles_of(segments), table, strict=True):
        axes.barh(places, np.ptp(table, axis=0), 0.5, left=table.min(axis=0), color=SPAN)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.plot(own, places, color=style.colour, marker=style.marker, markeredgecolor=INK, linestyle="")
        axes.set_title(label(segment, 90 // _columns(len(segments))), fontsize=7.5)
        axes.set_yticks(places, [COMPOSITE_LABELS[name] for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(table.min() - 0.25, table.max() + 0.25)
        axes.set_xticks([table.min(), 0, table.max()], ["less", "average", "more"])
        axes.grid(visible=False, axis="y")
    figure.supxlabel("less or more than the average of all customers", fontsize=8)
    return figure


def amounts(segments: Segments, currency: str, heading: Heading) -> Figure:
    """Draw between which amounts the middle half of each segment lies."""
    return _middle_halves(segments, currency, [f.name for f in FEATURES if f.kind is Kind.AMOUNT], heading)


def habits(segments: Segments, currency: str, heading: Heading) -> Figure:
    """Draw the same of frequencies, counts, months and utilisation."""
    names = [*(f.name for f in FEATURES if f.kind is not Kind.AMOUNT), UTILISATION]
    return _middle_halves(segments, currency, names, heading)


def _middle_halves(segments: Segments, currency: str, names: Sequence[str], heading: Heading) -> Figure:
    names = [name for name in names if all(name in s["profile"] for s in segments)]
    line = 0.15 if len(segments) <= MANY else 0.11
    figure, panels = _panels(len(names), 0.75 + line * len(segments), heading)
    for axes, name in zip(panels, names, strict=True):
        axes.set_title(plain_name(name), fontsize=7)
        axes.set_xlabel(unit(name, currency) if name in BY_NAME else "share of the limit", fontsize=7)
        quartiles = [segment["profile"][name] for segment in segments]
        for place, (own, style) in enumerate(zip(quartiles, styles_of(segments), strict=True)):
            bar(axes, place, own["q75"] - own["q25"], 0.7, left=own["q25"], color=style.colour, hatch=style.hatch)
            axes.plot([own["median"]] * 2, [place - 0.45, place + 0.45], color=INK, linewidth=1.8)
        axes.set_yticks(range(len(segments)), [segment["id"] for segment in segments])
        axes.set_ylim(len(segments) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        kind = BY_NAME[name].kind if name in BY_NAME else Kind.FREQUENCY
        if kind in (Kind.AMOUNT, Kind.COUNT):
            _tenfold_axis(axes, max(own["q75"] for own in quartiles))
        elif kind is Kind.FREQUENCY:
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        else:
            axes.set_xlim(0, BY_NAME[name].maximum + 0.5)
    styles = zip(segments, styles_of(segments), strict=True)
    key = [Patch(facecolor=style.colour, hatch=style.hatch, label=label(s, 52)) for s, style in styles]
    figure.legend(handles=key, loc="outside lower left", ncols=2)
    return figure


def _tenfold_axis(axes: Axes, most: float) -> None:
    """Scale the axis as the model sees the values, and label it in their own unit."""
    axes.set_xlim(-0.2, max(most, 1.0) * 1.4)
    axes.set_xscale("function", functions=(np.log1p, np.expm1))
    decades = math.ceil(math.log10(max(most, 10.0)))
    axes.xaxis.set_major_locator(FixedLocator([0.0, *(10.0**d for d in range(decades + 1))]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def _columns(panels: int) -> int:
    return 3 if panels <= MANY else 4


def _panels(count: int, height: float, heading: Heading) -> tuple[Figure, Iterator[Axes]]:
    """Return a figure of small multiples, each `height` inches high, and its panels."""
    columns = min(_columns(count), count)
    lines = math.ceil(count / columns)
    figure = new_figure(0.4 + height * lines, heading)
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, iter(grid[:count])
