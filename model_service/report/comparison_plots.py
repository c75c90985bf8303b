"""Plots of what changed: drift of the customers, and who goes from which segment to which.

Serving has them drawn by a process of its own (``python -m model_service.report.comparison_plots drift svg`` reads a
Drift as JSON and writes the plot), so that it never loads matplotlib and no drawing can harm it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import orjson
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from model_service.report.glyphs import named
from model_service.report.presentation import plain_name, segment_styles
from model_service.report.style import (
    INK,
    Heading,
    bar,
    beside,
    file_content,
    heat_map,
    label_cells,
    new_figure,
    settings,
    wrap,
)
from model_service.scoring.pipeline import Matrix
from shared.model_contract import Drift, FeatureDrift, MixDrift, Preview, PreviewSegment
from shared.typography import day, fixed, number, percent

LEAST_PSI, MOST_PSI = 1e-4, 1e2
"""The axis of the PSI is logarithmic; what lies beyond one of its ends is drawn there, and nothing for zero."""

PSI_DECIMALS = 3

FEW = 8
"""Up to so many segments there is room for their names."""

STAYED = "#e2e2e2"
NOBODY = 1e-9
"""Where the colours begin: a cell that nobody moves to has none."""


class _Tier(NamedTuple):
    colour: str
    marker: str
    text: str


_TIERS = {
    "none": _Tier("#c9c9c9", "o", "none: no more than chance"),
    "detected": _Tier("#56b4e9", "s", "detected: more than chance, but small"),
    "material": _Tier("#de8f05", "D", "material"),
    "severe": _Tier("#a03000", "X", "severe"),
}

_VERDICTS = {
    "stable": "The customers are still those of the training",
    "watch": "Some features have shifted: watch",
    "retrain": "The customers have changed: retrain",
    "not_enough_data": "Too few customers for a verdict",
}


def drift(found: Drift, heading: Heading | None = None) -> Figure:
    """Draw each feature's PSI with its limit of chance, and the mix of segments in training and now."""
    mix = found["segment_mix"]
    features, segments = len(found["features"]), len(mix["training"]) if mix else 0
    figure = new_figure(1.5 + 0.2 * features + (0.6 + 0.22 * segments if mix else 0), heading or drift_heading(found))
    if not found["features"] or mix is None:
        figure.text(0.5, 0.45, wrap(" ".join(found["remarks"]), 90, lines=6), ha="center", va="center")
        return figure
    upper, lower = figure.subplots(2, 1, height_ratios=[features + 3, 1.1 * segments + 2.5])
    _psi_marks(upper, found["features"])
    _mix_bars(lower, mix)
    figure.legend(handles=_key(), loc="outside lower left", ncols=3)
    return figure


def drift_heading(found: Drift) -> Heading:
    """Say what the picture of a drift shows: the verdict, and whose."""
    return Heading(
        _VERDICTS[found["verdict"]],
        f"{number(found['rows'])} customers on {day(found['as_of'])} against those that version "
        f"{found['model_version']} was trained on. The further to the right a mark, the more customers have changed in "
        "that respect; left of the stroke it is chance.",
    )


def _key() -> list[Artist]:
    tiers = [
        Line2D([], [], color=t.colour, marker=t.marker, markeredgecolor=INK, linestyle="", label=t.text)
        for t in _TIERS.values()
    ]
    return [*tiers, Line2D([], [], color=INK, linewidth=1.6, marker="|", linestyle="", label="limit of chance")]


def _psi_marks(axes: Axes, features: Sequence[FeatureDrift]) -> None:
    """Draw marks, not bars: on a logarithmic axis a bar's length says nothing."""
    for place, feature in enumerate(features):
        tier = _TIERS[feature["tier"]]
        index, limit = (float(np.clip(feature[key], LEAST_PSI, MOST_PSI)) for key in ("psi", "limit"))
        if feature["psi"] > 0:
            axes.plot(index, place, color=tier.colour, marker=tier.marker, markersize=6, markeredgecolor=INK)
        if feature["limit"] > 0:
            axes.plot([limit, limit], [place - 0.42, place + 0.42], color=INK, linewidth=1.6)
        beside(axes, max(index, limit), place, _index(feature["psi"]))
    axes.set_xscale("log")
    axes.set_xlim(left=LEAST_PSI / 1.5)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.1)
    _name_rows(axes, [plain_name(f["feature"]) for f in features])
    axes.set_xlabel("how much it has changed (population stability index; each step is ten times as much)")


def _mix_bars(axes: Axes, mix: MixDrift) -> None:
    styles = segment_styles(mix["training"])
    for place, (identity, share) in enumerate(mix["training"].items()):
        before, now = (min(max(s, 0.0), 1.0) for s in (share, mix["now"].get(identity, 0.0)))
        bar(axes, place - 0.2, before, 0.36, color="white")
        bar(axes, place + 0.2, now, 0.36, color=styles[identity].colour)
        beside(axes, max(before, now), place, f"{percent(before)} → {percent(now)}")
    names = mix.get("names", {})
    _name_rows(axes, [named(identity, names.get(identity, "")) for identity in mix["training"]])
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("share of the customers: white in training, coloured now")
    index, limit = _index(mix["psi"]), _index(mix["limit"])
    axes.set_title(f"Sizes of the segments: index {index}, limit of chance {limit}, tier {mix['tier']}")


def _index(psi: float) -> str:
    """Write an index so that a column of them can be compared."""
    if psi > MOST_PSI:
        return f">{MOST_PSI:g}"
    return f"<{10**-PSI_DECIMALS}" if 0 < psi < 10**-PSI_DECIMALS else fixed(psi, PSI_DECIMALS)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [wrap(name, 46, lines=1) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def transitions(found: Preview, heading: Heading | None = None) -> Figure:
    """Draw how many customers go from which segment of the active model to which of the candidate.

    Both sides have one order. Colour is for those who move; those who stay are many, and would swamp them.
    """
    found = in_one_order(found)
    before, after = found["before"], found["after"]
    counts = np.array(found["transitions"], dtype=np.float64).reshape(len(before), len(after))
    by_row = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    stayed = np.array([[one["id"] == other["id"] for other in after] for one in before])
    few = len(after) <= FEW
    figure = new_figure(1.7 + (0.42 if few else 0.3) * len(counts), heading or transitions_heading(found))
    axes = figure.subplots()
    texts = [[_cell(n, share, few) for n, share in zip(*row, strict=True)] for row in zip(counts, by_row, strict=True)]
    moving = np.where(stayed, np.nan, by_row)
    colours = mpl.colormaps["Oranges"].with_extremes(bad=STAYED, under="white")
    mesh = heat_map(axes, moving, texts, colours, (NOBODY, _largest(moving)))
    label_cells(
        axes,
        [_head(s, 26, few) for s in before],
        [_head(s, max(84 // counts.shape[1], 9), few) for s in after],
        upright=not few,
    )
    axes.set_ylabel(wrap(f"before: version {found['active']}", 44))
    axes.set_xlabel(wrap(f"after: version {found['candidate']}", 60))
    axes.xaxis.set_label_position("top")
    key = figure.colorbar(mesh, ax=axes, orientation="horizontal", aspect=50, pad=0.02)
    key.ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    key.set_label("how many of the segment's customers go there")
    figure.legend(handles=[Patch(facecolor=STAYED, label="stayed in their segment")], loc="outside lower right")
    return figure


def in_one_order(preview: Preview) -> Preview:
    """Return `preview` with the segments of both sides in the order of their ids."""
    before, after = preview["before"], preview["after"]
    rows, columns = (sorted(range(len(side)), key=lambda place: side[place]["id"]) for side in (before, after))
    counts = preview["transitions"]
    ordered = preview.copy()
    ordered["before"] = [before[row] for row in rows]
    ordered["after"] = [after[column] for column in columns]
    ordered["transitions"] = [[counts[row][column] for column in columns] for row in rows]
    return ordered


def transitions_heading(found: Preview) -> Heading:
    """Say what the picture of a preview shows: how many move, and where they stand in it."""
    cells = [
        (one["id"] == other["id"], count)
        for one, counts in zip(found["before"], found["transitions"], strict=True)
        for other, count in zip(found["after"], counts, strict=True)
    ]
    everybody, moved = sum(count for _, count in cells), sum(count for stays, count in cells if not stays)
    share = percent(moved / max(everybody, 1))
    return Heading(
        f"{number(moved)} of {number(everybody)} customers would change their segment ({share})",
        "Each row is a segment of before, each column one of after, in one order. Who stays is in the grey cells; the "
        "darker a cell is coloured, the more of its row's customers go there.",
    )


def _largest(moving: Matrix) -> float:
    found = moving[~np.isnan(moving)]
    return float(found.max()) if found.size and found.max() > 0 else 1.0


def _cell(count: float, share: float, few: bool) -> str:
    if not count:
        return "·"
    return f"{number(count)}\n{percent(share)}" if few else number(count)


def _head(segment: PreviewSegment, width: int, few: bool) -> str:
    status = "" if segment["status"] == "kept" else f" ({segment['status']})"
    name = wrap(named("", segment["name"]), width, lines=2 if width > 20 else 5) if few else ""
    return f"{segment['id']}{status}\n{name}".strip()


SUBJECTS: dict[str, Callable[[Any], Figure]] = {
    "drift": drift,
    "transitions": transitions,
}


def main(subject: str, kind: str) -> None:
    """Draw what standard input describes, and write the plot to standard output."""
    found = orjson.loads(sys.stdin.buffer.read())
    with settings():
        figure = SUBJECTS[subject](found)
        sys.stdout.buffer.write(file_content(figure, "svg" if kind == "svg" else "png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
