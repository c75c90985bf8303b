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

from model_service.report.style import (
    INK,
    file_content,
    heat_map,
    label_cells,
    new_figure,
    segment_styles,
    settings,
    wrap,
)
from shared.model_contract import Drift, FeatureDrift, MixDrift, Preview, PreviewSegment

LEAST_PSI, MOST_PSI = 1e-4, 1e2
"""The axis of the PSI is logarithmic; less and more than these are drawn as these."""

FEW = 8
"""Up to so many segments there is room for their names."""


class _Tier(NamedTuple):
    colour: str
    hatch: str
    text: str


_TIERS = {
    "none": _Tier("#c9c9c9", "", "none: no more than chance"),
    "detected": _Tier("#56b4e9", "///", "detected: more than chance, but small"),
    "material": _Tier("#de8f05", "xxx", "material"),
    "severe": _Tier("#a03000", "", "severe"),
}


def drift(found: Drift) -> Figure:
    """Draw each feature's PSI with its limit of chance, and the mix of segments in training and now."""
    mix = found["segment_mix"]
    features, segments = len(found["features"]), len(mix["training"]) if mix else 0
    figure = new_figure(1.5 + 0.2 * features + (0.6 + 0.22 * segments if mix else 0))
    title = f"{found['verdict'].replace('_', ' ')}: {found['rows']:,} customers against {found['model_version']}"
    title = wrap(title, 90)
    if not found["features"] or mix is None:
        figure.text(0.5, 0.5, f"{title}\n\n{wrap(' '.join(found['remarks']), 90, lines=6)}", ha="center", va="center")
        return figure
    upper, lower = figure.subplots(2, 1, height_ratios=[features + 3, 1.1 * segments + 2.5])
    upper.set_title(title)
    _psi_bars(upper, found["features"])
    _mix_bars(lower, mix)
    figure.legend(handles=_key(), loc="outside lower left", ncols=3)
    return figure


def _key() -> list[Artist]:
    tiers = [
        Patch(facecolor=t.colour, hatch=t.hatch, edgecolor=INK, linewidth=0.4, label=t.text) for t in _TIERS.values()
    ]
    return [*tiers, Line2D([], [], color=INK, linewidth=1.6, label="limit of chance")]


def _psi_bars(axes: Axes, features: Sequence[FeatureDrift]) -> None:
    for place, feature in enumerate(features):
        tier = _TIERS[feature["tier"]]
        length, limit = (float(np.clip(feature[key], LEAST_PSI, MOST_PSI)) for key in ("psi", "limit"))
        axes.barh(place, length, color=tier.colour, hatch=tier.hatch, edgecolor=INK, linewidth=0.4, height=0.7)
        axes.plot([limit, limit], [place - 0.42, place + 0.42], color=INK, linewidth=1.6)
        _beside(axes, max(length, limit), place, f"{feature['psi']:.2g}")
    axes.set_xscale("log")
    axes.set_xlim(left=LEAST_PSI / 1.5)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.1)
    _name_rows(axes, [f["feature"] for f in features])
    axes.set_xlabel("population stability index (no unit, logarithmic)")


def _mix_bars(axes: Axes, mix: MixDrift) -> None:
    styles = segment_styles(mix["training"])
    for place, (identity, share) in enumerate(mix["training"].items()):
        before, now = (100 * min(max(s, 0.0), 1.0) for s in (share, mix["now"].get(identity, 0.0)))
        axes.barh(place - 0.2, before, 0.36, color="white", edgecolor=INK, linewidth=0.5)
        axes.barh(place + 0.2, now, 0.36, color=styles[identity].colour, edgecolor=INK, linewidth=0.5)
        _beside(axes, max(before, now), place, f"{before:.1f} → {now:.1f}")
    _name_rows(axes, list(mix["training"]))
    axes.margins(x=0.12)
    axes.set_xlabel("share of customers (%): white in training, coloured now")
    axes.set_title(f"Mix of segments: index {mix['psi']:.2g}, limit of chance {mix['limit']:.2g}, tier {mix['tier']}")


def _beside(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=6.5)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [wrap(name, 40, lines=1) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def transitions(found: Preview) -> Figure:
    """Draw how many customers go from which segment of the active model to which of the candidate."""
    counts = np.array(found["transitions"], dtype=np.float64).reshape(len(found["before"]), len(found["after"]))
    by_row = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(found["after"]) <= FEW
    figure = new_figure(1.7 + (0.42 if few else 0.3) * len(counts))
    axes = figure.subplots()
    texts = [[_cell(n, share, few) for n, share in zip(*row, strict=True)] for row in zip(counts, by_row, strict=True)]
    mesh = heat_map(axes, by_row, texts, mpl.colormaps["Blues"], (0.0, 1.0))
    label_cells(
        axes,
        [_head(s, 26, few) for s in found["before"]],
        [_head(s, max(90 // counts.shape[1], 9), few) for s in found["after"]],
        upright=not few,
    )
    axes.set_ylabel(wrap(f"before ({found['active']})", 40))
    axes.set_xlabel(wrap(f"after ({found['candidate']})", 60))
    axes.xaxis.set_label_position("top")
    bar = figure.colorbar(mesh, ax=axes, orientation="horizontal", aspect=50, pad=0.02)
    bar.set_label("share of the row: of those who were in the segment before")
    return figure


def _cell(count: float, share: float, few: bool) -> str:
    if not count:
        return "·"
    return f"{count:,.0f}\n{share:.1%}" if few else f"{count:,.0f}"


def _head(segment: PreviewSegment, width: int, few: bool) -> str:
    status = "" if segment["status"] == "kept" else f" ({segment['status']})"
    name = wrap(segment["name"], width, lines=2 if width > 20 else 5) if few else ""
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
