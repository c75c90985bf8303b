"""The list of a version's plots: which there are, in which order, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.figure import Figure

from model_service.report import choice_plots, comparison_plots, segment_plots, space_plots
from model_service.report.subject import Comparison, ScoredRows
from model_service.store.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Subject:
    """What the plots of a version are drawn from; ``comparison`` is with its parent, where it has one."""

    manifest: Manifest
    rows: ScoredRows
    comparison: Comparison | None


class PlotSpec(NamedTuple):
    """A plot: ``name`` is its file's, ``caption`` says how to read it."""

    name: str
    title: str
    caption: str
    draw: Callable[[Subject], Figure | None]


def _reliability(subject: Subject) -> Figure | None:
    evidence = subject.manifest.get("evidence")
    return choice_plots.reliability(evidence["reliability"]) if evidence and evidence["reliability"] else None


def _drift(subject: Subject) -> Figure | None:
    found = subject.comparison and subject.comparison.drift
    return comparison_plots.drift(found) if found else None


def _transitions(subject: Subject) -> Figure | None:
    return comparison_plots.transitions(subject.comparison.preview) if subject.comparison else None


PLOTS = (
    PlotSpec(
        "elbow",
        "Scores of every k tried",
        "Six scores for each number of segments. The band marks the k chosen, the dashed line the elbow of the "
        "inertia where there is one, the dotted lines what the rule asks for. Stability shows the mean and, below "
        "it, the least of the half splits.",
        lambda s: choice_plots.elbow(s.manifest),
    ),
    PlotSpec(
        "shares",
        "Size of the segments",
        "Share of the training customers in each segment, with their number.",
        lambda s: segment_plots.shares(s.rows),
    ),
    PlotSpec(
        "profile",
        "What marks the segments",
        "How far each segment's mean lies from the mean of all customers, in standard deviations of the log1p values "
        "on which the model compares customers. Red is above, blue below; the number says by how much.",
        lambda s: segment_plots.profile(s.rows),
    ),
    PlotSpec(
        "composites",
        "Positions that make the names",
        "Each panel shows one segment on the composites of features from which its name is made; "
        "the grey band spans all segments.",
        lambda s: segment_plots.composite_lines(s.rows),
    ),
    PlotSpec(
        "map",
        "Map of the customers",
        "Customers on the two directions in which they differ most (principal components of the standardised log1p "
        "values); large marks are the segments' centroids. Two directions hide what lies in the others.",
        lambda s: space_plots.segment_map(s.rows),
    ),
    PlotSpec(
        "silhouette",
        "How clearly the segments stand apart",
        "Every customer's silhouette, sorted within its segment. The bands are equally high whatever the segment's "
        "size. Below zero a customer lies on average nearer to another segment's members.",
        lambda s: space_plots.silhouette(s.rows),
    ),
    PlotSpec(
        "amounts",
        "Amounts by segment",
        "Distributions in currency units on the log1p scale of the model: the stroke is the median, the widest box "
        "holds half of the customers, each narrower pair half of those beyond.",
        lambda s: segment_plots.amounts(s.rows),
    ),
    PlotSpec(
        "habits",
        "Habits by segment",
        "The same for frequencies, numbers of transactions (log1p scale), months of use and utilisation of the limit.",
        lambda s: segment_plots.habits(s.rows),
    ),
    PlotSpec(
        "reliability",
        "Whether the confidence can be believed",
        "Left, predicted confidence against the share of held-out refits in which customers kept their segment; "
        "on the dashed line both are equal. Right, the difference for each bin with its number of customers.",
        _reliability,
    ),
    PlotSpec(
        "drift",
        "Customers of this training against the parent's",
        "Population stability index of each feature between the two trainings, and the mix of the parent's segments.",
        _drift,
    ),
    PlotSpec(
        "transitions",
        "Who goes where, against the parent",
        "Training customers by the parent's segment (rows) and by that of this version (columns).",
        _transitions,
    ),
)
