"""Plots of how k was chosen, and of how far the confidence can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from model_service.report.style import FAINT, INK, Heading, bar, new_figure
from model_service.store.gate import MIN_SHARE, MIN_STABILITY
from model_service.store.manifest import Manifest
from shared.model_description import ReliabilityBin
from shared.typography import number, percent

CHOSEN = "#0072b2"
ELBOW = "#d55e00"


class _Score(NamedTuple):
    key: str
    title: str
    percent: bool = False
    threshold: float | None = None


_SCORES = (
    _Score("inertia", "Inertia (falls with k)"),
    _Score("stability_mean", "Stability, ARI (high is good)", threshold=MIN_STABILITY),
    _Score("smallest_share", "Smallest segment (high is good)", percent=True, threshold=MIN_SHARE),
    _Score("silhouette", "Silhouette (high is good)"),
    _Score("davies_bouldin", "Davies–Bouldin (low is good)"),
    _Score("calinski_harabasz", "Calinski–Harabasz (high is good)"),
)


def elbow(manifest: Manifest, heading: Heading) -> Figure:
    """Draw the six scores over k, with the k chosen and the elbow of the inertia."""
    figure = new_figure(4.2, heading)
    evidence = manifest.get("evidence")
    elbow_k = evidence["elbow"]["k"] if evidence else None
    for axes, score in zip(figure.subplots(2, 3, sharex=True).flat, _SCORES, strict=True):
        _curve(axes, manifest["scores"], score)
        axes.axvline(manifest["k"], color=CHOSEN, linewidth=5, alpha=0.25, label=f"k = {manifest['k']}, chosen")
        if elbow_k is not None and score.key == "inertia":
            axes.axvline(elbow_k, color=ELBOW, linestyle="--", label=f"k = {elbow_k}, elbow of the inertia (Kneedle)")
        axes.set_xlabel("number of segments (k)" if axes.get_subplotspec().is_last_row() else "")
    handles = {label: handle for a in figure.axes for handle, label in zip(*a.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))
    return figure


def _curve(axes: Axes, scores: Sequence[dict[str, Any]], score: _Score) -> None:
    ks = [s["k"] for s in scores]
    values = [s[score.key] for s in scores]
    axes.plot(ks, values, color=INK, marker="o", markersize=4, linewidth=1)
    if score.key == "stability_mean":
        axes.vlines(ks, [s["stability_min"] for s in scores], values, color=FAINT, linewidth=1.5)
        axes.plot(ks, [s["stability_min"] for s in scores], color=FAINT, marker="_", linestyle="")
    if score.threshold is not None:
        axes.axhline(score.threshold, color=INK, linestyle=":", label="least that the rule asks for")
    axes.set_title(score.title, fontsize=7.5)
    if score.percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    elif max(values) >= 1000:
        axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.1, y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(ks) == 1:
        axes.set_xlim(ks[0] - 1, ks[0] + 1)


def reliability(bins: Sequence[ReliabilityBin], heading: Heading) -> Figure:
    """Draw predicted confidence against how often held-out refits kept the segment, and the difference by bin."""
    figure = new_figure(0.6 + max(2.8, 0.26 * len(bins)), heading)
    against, gaps = figure.subplots(1, 2)
    predicted, observed = (np.array([b[key] for b in bins]) for key in ("predicted", "observed"))
    low = min(predicted.min(), observed.min())
    against.plot([low, 1], [low, 1], color=FAINT, linestyle="--", label="perfectly calibrated")
    against.plot(predicted, observed, color=CHOSEN, marker="o", linestyle="", markersize=5, label="bin of customers")
    against.set(xlabel="predicted confidence (mean of the bin)", ylabel="observed share that kept the segment")
    for axis in (against.xaxis, against.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    against.legend(loc="upper left")
    for place, gap in enumerate(100 * (observed - predicted)):
        bar(gaps, place, gap, 0.6, color=CHOSEN)
    gaps.axvline(0, color=INK, linewidth=0.8)
    widest = max(1.0, 120 * float(np.abs(observed - predicted).max()))
    gaps.set_xlim(-widest, widest)
    gaps.set_yticks(range(len(bins)), [_bin(b) for b in bins])
    gaps.tick_params(axis="y", labelsize=6)
    gaps.set(xlabel="observed minus predicted (percentage points)", ylabel="bin of predicted confidence")
    return figure


def _bin(found: ReliabilityBin) -> str:
    return f"{percent(found['low'])}–{percent(found['high'])}\n{number(found['customers'])} customers"
